#pragma once
// A client's socket, plain or TLS: every wait has an end.
#include <openssl/types.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace fettle::serve {

using Clock = std::chrono::steady_clock;

/// Used by one thread at a time: the poller until a request is whole, then a worker. Owns the socket.
class Connection {
 public:
  /// `open` counts the connections there are. Throws std::bad_alloc, and has not taken the socket then.
  Connection(int socket, SSL_CTX* tls, std::atomic<int64_t>& open);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  enum class Greeting : uint8_t { done, wants_read, wants_write, failed };
  /// One step of the TLS handshake, without waiting; done at once where there is no TLS.
  Greeting greet();
  /// Appends what has come to `received`, without waiting. False when the client has left.
  bool receive();
  bool buffered() const;  ///< bytes wait inside TLS that the socket does not show
  /// Says that nothing more will be sent; what the client sends is still received.
  void end_sending();

  void set_write_timeout(std::chrono::milliseconds timeout) { write_timeout_ = timeout; }
  /// The client closed the connection, or its sending half of it.
  bool client_left() const;
  bool broken() const { return broken_; }  ///< nothing can be sent
  std::string local_address() const;

  std::string received;  ///< bytes that came and were not read yet

  /// Sends all of it, waiting at most the write timeout. False, and the connection is broken, when that fails.
  bool write(std::string_view bytes);
  int socket() const { return socket_; }

 private:
  /// One try: bytes, 0 at the end, -1 for "wait for `events`", -2 broken.
  ssize_t try_receive(char* data, size_t size, short& events);
  ssize_t try_send(const char* data, size_t size, short& events);
  bool wait(short events, Clock::time_point deadline) const;

  int socket_;
  SSL* ssl_ = nullptr;
  std::atomic<int64_t>& open_;
  bool greeted_;
  bool broken_ = false;
  std::chrono::milliseconds write_timeout_{30000};
};

}  // namespace fettle::serve
