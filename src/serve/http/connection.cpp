#include "serve/http/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace fettle::serve {
namespace {

/// The server's own address of a connection; empty when there is none.
std::string local_address_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (getsockname(socket, raw, &size) != 0) return {};
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(&address)->sin_addr, text, sizeof text);
  if (address.ss_family == AF_INET6) inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr, text, sizeof text);
  return text;
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

Connection::Connection(int socket, SSL_CTX* tls, std::atomic<int64_t>& open) : socket_(socket), open_(open), greeted_(tls == nullptr) {
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls != nullptr) {
    ssl_ = SSL_new(tls);
    if (ssl_ == nullptr || SSL_set_fd(ssl_, socket_) != 1) {
      SSL_free(ssl_);
      throw std::bad_alloc();
    }
    SSL_set_accept_state(ssl_);
  }
  ++open_;
}

Connection::~Connection() {
  if (ssl_ != nullptr) {
    if (greeted_ && !broken_) SSL_shutdown(ssl_);
    SSL_free(ssl_);
  }
  close(socket_);
  --open_;
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

Connection::Greeting Connection::greet() {
  if (greeted_) return Greeting::done;
  ERR_clear_error();  // another connection's would be taken for this one's
  const int result = SSL_do_handshake(ssl_);
  greeted_ = result == 1;
  if (greeted_) return Greeting::done;
  short events = 0;
  if (why_not(ssl_, result, events) == -1) return events == POLLOUT ? Greeting::wants_write : Greeting::wants_read;
  broken_ = true;
  return Greeting::failed;
}

ssize_t Connection::try_receive(char* data, size_t size, short& events) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
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
    ERR_clear_error();
    const int sent = SSL_write(ssl_, data, static_cast<int>(std::min<size_t>(size, 1 << 30)));
    return sent > 0 ? sent : why_not(ssl_, sent, events);
  }
  events = POLLOUT;
  const ssize_t sent = send(socket_, data, size, MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

bool Connection::receive() {
  char piece[65536];
  short events = 0;
  const ssize_t got = try_receive(piece, sizeof piece, events);
  if (got > 0) received.append(piece, static_cast<size_t>(got));
  return got > 0 || got == -1;
}

bool Connection::buffered() const {
  return ssl_ != nullptr && SSL_pending(ssl_) > 0;
}

void Connection::end_sending() {
  if (ssl_ != nullptr && greeted_ && !broken_) SSL_shutdown(ssl_);
  ::shutdown(socket_, SHUT_WR);
  broken_ = true;
}

bool Connection::write(std::string_view bytes) {
  const auto deadline = Clock::now() + write_timeout_;
  while (!bytes.empty() && !broken_) {
    short events = 0;
    const ssize_t now = try_send(bytes.data(), bytes.size(), events);
    if (now > 0) {
      bytes.remove_prefix(static_cast<size_t>(now));
    } else if (now != -1 || !wait(events, deadline)) {
      broken_ = true;
    }
  }
  return !broken_;
}

bool Connection::client_left() const {
  char byte = 0;
  const ssize_t got = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

std::string Connection::local_address() const { return local_address_of(socket_); }

}  // namespace fettle::serve
