#include "serve/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace fettle::serve {
namespace {

void address_of(bool remote, int socket, std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if ((remote ? getpeername(socket, raw, &size) : getsockname(socket, raw, &size)) != 0) return;
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    port = ntohs(v4->sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    port = ntohs(v6->sin6_port);
  }
  ip = text;
}

/// What OpenSSL waits for after a call that did nothing.
ssize_t why_not(SSL* ssl, int result, short& events) {
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
      events = POLLIN;
      return -1;
    case SSL_ERROR_WANT_WRITE:
      events = POLLOUT;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    default:
      return -2;
  }
}

}  // namespace

Connection::Connection(int socket, SSL_CTX* tls) : socket_(socket), greeted_(tls == nullptr) {
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls == nullptr) return;
  ssl_ = SSL_new(tls);
  SSL_set_fd(ssl_, socket_);
  SSL_set_accept_state(ssl_);
}

Connection::~Connection() {
  if (ssl_ != nullptr) {
    if (greeted_ && !broken_) SSL_shutdown(ssl_);
    SSL_free(ssl_);
  }
  close(socket_);
}

bool Connection::wait(short events, Clock::time_point deadline) const {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd one{socket_, events, 0};
    const int found = poll(&one, 1, static_cast<int>(std::min<int64_t>(left, 60000)));
    if (found > 0) return true;
    if (found < 0 && errno != EINTR) return false;
  }
}

bool Connection::greet(Clock::time_point deadline) {
  while (!greeted_) {
    const int result = SSL_do_handshake(ssl_);
    short events = 0;
    if (result == 1) {
      greeted_ = true;
    } else if (why_not(ssl_, result, events) != -1 || !wait(events, deadline)) {
      broken_ = true;
      return false;
    }
  }
  return true;
}

ssize_t Connection::try_receive(char* data, size_t size, short& events) {
  if (ssl_ != nullptr) {
    const int got = SSL_read(ssl_, data, static_cast<int>(std::min<size_t>(size, 1 << 30)));
    return got > 0 ? got : why_not(ssl_, got, events);
  }
  events = POLLIN;
  const ssize_t got = recv(socket_, data, size, 0);
  if (got >= 0) return got;
  return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

ssize_t Connection::try_send(const char* data, size_t size, short& events) {
  if (ssl_ != nullptr) {
    const int sent = SSL_write(ssl_, data, static_cast<int>(std::min<size_t>(size, 1 << 30)));
    return sent > 0 ? sent : why_not(ssl_, sent, events);
  }
  events = POLLOUT;
  const ssize_t sent = send(socket_, data, size, MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

bool Connection::receive() {
  char piece[16384];
  short events = 0;
  const ssize_t got = try_receive(piece, sizeof piece, events);
  if (got > 0) received.append(piece, static_cast<size_t>(got));
  return got > 0 || got == -1;
}

bool Connection::receive(Clock::time_point deadline) {
  const size_t before = received.size();
  while (received.size() == before) {
    if (!receive()) return false;
    if (received.size() == before && !wait(POLLIN, deadline)) return false;
  }
  return true;
}

bool Connection::buffered() const {
  return ssl_ != nullptr && SSL_pending(ssl_) > 0;
}

void Connection::begin_request(std::string head, uint64_t body_limit, Clock::time_point deadline) {
  head_ = std::move(head);
  head_read_ = 0;
  body_left_ = body_limit;
  deadline_ = deadline;
}

ssize_t Connection::read(char* data, size_t size) {
  if (head_read_ < head_.size()) {
    const size_t taken = head_.copy(data, size, head_read_);
    head_read_ += taken;
    return static_cast<ssize_t>(taken);
  }
  if (received.empty()) receive(deadline_);
  const size_t taken = std::min({size, received.size(), static_cast<size_t>(body_left_)});
  if (taken == 0) input_ended_ = true;  // the answer that says so can still be written
  if (taken == 0 || broken_) return -1;
  received.copy(data, taken);
  received.erase(0, taken);
  body_left_ -= taken;
  return static_cast<ssize_t>(taken);
}

ssize_t Connection::write(const char* data, size_t size) {
  const auto deadline = Clock::now() + write_timeout_;
  size_t sent = 0;
  while (sent < size && !broken_) {
    short events = 0;
    const ssize_t now = try_send(data + sent, size - sent, events);
    if (now > 0) {
      sent += static_cast<size_t>(now);
    } else if (now != -1 || !wait(events, deadline)) {
      broken_ = true;
    }
  }
  return broken_ ? -1 : static_cast<ssize_t>(sent);
}

bool Connection::is_readable() const {
  return head_read_ < head_.size() || !received.empty();
}

bool Connection::client_left() const {
  char byte = 0;
  const ssize_t got = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  address_of(true, socket_, ip, port);
}
void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  address_of(false, socket_, ip, port);
}

}  // namespace fettle::serve
