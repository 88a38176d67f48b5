#pragma once
// A client's socket, plain or TLS, as the HTTP library's stream: every wait has an end, every body a limit.
#include <httplib.h>

#include <chrono>
#include <memory>
#include <string>

namespace fettle::serve {

using Clock = std::chrono::steady_clock;

/// Used by one thread at a time: the poller until a head is whole, then a worker. Owns the socket.
class Connection final : public httplib::Stream {
 public:
  explicit Connection(int socket, SSL_CTX* tls = nullptr);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// TLS handshake, if any is due; false when it fails or the deadline passes.
  bool greet(Clock::time_point deadline);
  /// Appends what has come to `received`, without waiting. False when the client has left.
  bool receive();
  /// The same, waiting for at least one byte.
  bool receive(Clock::time_point deadline);
  bool buffered() const;  ///< bytes wait inside TLS that the socket does not show

  /// From now on read() gives `head`, then what stands in `received`, then the socket: at most `body_limit`
  /// bytes beyond the head, none after `deadline`.
  void begin_request(std::string head, uint64_t body_limit, Clock::time_point deadline);
  void set_write_timeout(std::chrono::milliseconds timeout) { write_timeout_ = timeout; }
  /// The client closed the connection, or its sending half of it.
  bool client_left() const;
  /// Something was read too late or too long: no further request can be told from the rest of this one.
  bool broken() const { return broken_ || input_ended_; }

  std::string received;  ///< bytes that came and were not read yet

  bool is_readable() const override;
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
  bool greeted_;
  bool broken_ = false;       ///< nothing can be sent
  bool input_ended_ = false;  ///< nothing more will be read
  std::string head_;
  size_t head_read_ = 0;
  uint64_t body_left_ = 0;
  Clock::time_point deadline_{};
  std::chrono::milliseconds write_timeout_{30000};
};

}  // namespace fettle::serve
