#pragma once
// A client that says exactly what a test wants, byte by byte.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/json.h"

namespace fettle::test {

class RawClient {
 public:
  explicit RawClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() {
    if (fd_ >= 0) ::close(fd_);
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  int socket() const { return fd_; }
  RawClient& send(const std::string& bytes) {
    [[maybe_unused]] const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return *this;
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void leave() {
    ::close(fd_);
    fd_ = -1;
  }

  /// What comes until the server closes, or nothing comes for `milliseconds`.
  std::string read_all(int milliseconds = 2000) {
    std::string all;
    while (read_some(all, milliseconds)) {
    }
    return all;
  }
  /// One answer with a Content-Length.
  std::string read_answer(int milliseconds = 5000) {
    std::string all;
    for (;;) {
      const size_t end = all.find("\r\n\r\n");
      if (end != std::string::npos) {
        const size_t at = all.find("Content-Length: ");
        const size_t length = at == std::string::npos || at > end ? 0 : std::stoul(all.substr(at + 16));
        if (all.size() >= end + 4 + length) return all;
      }
      if (!read_some(all, milliseconds)) return all;
    }
  }

 private:
  bool read_some(std::string& all, int milliseconds) const {
    pollfd one{fd_, POLLIN, 0};
    if (::poll(&one, 1, milliseconds) <= 0) return false;
    char piece[4096];
    const ssize_t got = ::recv(fd_, piece, sizeof piece, 0);
    if (got <= 0) return false;
    all.append(piece, static_cast<size_t>(got));
    return true;
  }

  int fd_;
  bool connected_ = false;
};

inline int status_of(const std::string& answer) {
  return answer.size() > 12 && answer.starts_with("HTTP/1.") ? std::stoi(answer.substr(9, 3)) : 0;
}
inline std::string body_of(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

/// One request on a connection of its own.
inline std::string ask(int port, const std::string& method, const std::string& path,
                       const std::string& body = {}, const std::string& headers = {}) {
  RawClient client(port);
  client.send(
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{}",
                  method, path, headers, body.size(), body));
  return client.read_all(20000);
}

}  // namespace fettle::test
