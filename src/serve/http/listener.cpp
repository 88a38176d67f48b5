#include "serve/http/listener.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include "base/error.h"
#include "base/open_file.h"

namespace fettle::serve {

int open_listener(const std::string& host, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) throw Error(Error::Kind::io, fmt::format("--host {}: {}", host, gai_strerror(failed)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> hold(found, freeaddrinfo);
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, a->ai_addr, a->ai_addrlen) == 0 && ::listen(fd, 1024) == 0) return fd;
    close(fd);
  }
  fail_io(fmt::format("{}:{}", host, port),
          "cannot listen; is another server there? --port N takes another one");
}

SSL_CTX* open_tls(const fs::path& certificate, const fs::path& key) {
  if (certificate.empty() && key.empty()) return nullptr;
  if (certificate.empty() || key.empty())
    fail_usage("serve: TLS needs both --tls-cert and --tls-key");
  for (const fs::path& file : {certificate, key}) open_regular(file);  // says what is wrong with it, and waits for no pipe
  SSL_CTX* tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
  if (SSL_CTX_use_certificate_chain_file(tls, certificate.c_str()) != 1)
    fail(certificate.string(), "is no certificate chain in PEM");
  if (SSL_CTX_use_PrivateKey_file(tls, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(tls) != 1)
    fail(key.string(), "is no private key in PEM that fits the certificate");
  return tls;
}

}  // namespace fettle::serve
