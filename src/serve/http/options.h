#pragma once
// What an HttpServer is bound by.
#include <chrono>
#include <string>

#include "base/file.h"
#include "serve/http/request_head.h"

namespace fettle::serve {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 18888;            ///< 0: any free one
  int max_connections = 4096;  ///< open sockets; the one that is silent longest makes room for a new one
  int max_active = 256;        ///< requests that are answered or streamed at once, a thread each
  int max_pending = 256;       ///< whole requests that wait for a thread; beyond it 503
  /// Bytes of all bodies that are held at once, at least two of the largest; beyond it the largest that is not whole is refused.
  uint64_t body_memory = 256 << 20;
  HeadLimits head;
  std::chrono::milliseconds head_timeout{10000};   ///< from a request's first byte to the end of its head; of a TLS handshake
  std::chrono::milliseconds idle_timeout{30000};   ///< of a connection that says nothing
  std::chrono::milliseconds body_timeout{30000};   ///< of a whole body
  std::chrono::milliseconds write_timeout{30000};  ///< of one write that the client does not take
  fs::path tls_certificate, tls_key;               ///< both or none
  std::string cors_origin;                         ///< empty: no other origin; "*": all
};

}  // namespace fettle::serve
