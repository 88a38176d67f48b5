#pragma once
// A client's socket, plain or TLS, as the HTTP library's stream: every wait has an end, every body a limit.
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

namespace fettle::serve {

using Clock = std::chrono::steady_clock;

/// Used by one thread at a time: the poller until a request is whole, then a worker. Owns the socket.
class Connection final : public httplib::Stream {
 public:
  /// `open` counts the connections there are. Throws std::bad_alloc, and has not taken the socket then.
  Connection(int socket, SSL_CTX* tls, std::atomic<int64_t>& open);
  ~Connection() override;
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

  /// From now on read() gives `head`, and then nothing: the socket is the poller's to read.
  void begin_request(std::string head);
  bool request_read() const { return head_read_ == head_.size(); }
  void set_write_timeout(std::chrono::milliseconds timeout) { write_timeout_ = timeout; }
  /// The client closed the connection, or its sending half of it.
  bool client_left() const;
  bool broken() const { return broken_; }  ///< nothing can be sent
  std::string local_address() const;

  std::string received;  ///< bytes that came and were not read yet

  bool is_readable() const override { return !request_read(); }
  bool is_writable() const override { return !broken_ && !client_left(); }
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

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
  std::string head_;
  size_t head_read_ = 0;
  std::chrono::milliseconds write_timeout_{30000};
};

}  // namespace fettle::serve
