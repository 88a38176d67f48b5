#pragma once
// The first lines of an HTTP/1 request (RFC 9112), read strictly: what two readers might understand in two ways is refused.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "serve/http/api_error.h"

namespace fettle::serve {

struct HeadLimits {
  size_t bytes = 32 << 10;   ///< of the whole head
  size_t target = 1024;      ///< of the path with its query
  size_t fields = 100;       ///< header lines
  uint64_t body = 16 << 20;  ///< announced by Content-Length
};

struct RequestHead {
  std::string method, target;
  bool is_1_1 = false;  ///< HTTP/1.1, otherwise 1.0
  std::string if_none_match;
  std::string authorization, host, origin;
  int hosts = 0;              ///< Host fields
  std::string local_address;  ///< the server's, on which the request came; set by the server
  std::string api_key;      ///< x-api-key, as Anthropic's clients send it
  /// Of a browser's preflight (the CORS protocol of the Fetch standard).
  std::string cors_method, cors_headers;
  bool cors_private_network = false;
  std::optional<uint64_t> length;  ///< Content-Length
  bool chunked = false;
  bool expects_continue = false;  ///< the client waits for a word before it sends the body
  bool has_body() const { return chunked || length.value_or(0) > 0; }
  bool keep_alive = false;  ///< the client would send another request on this connection
};

/// Where the body begins; npos while the empty line has not come. It was not there in the first `seen` bytes.
size_t head_end(std::string_view bytes, size_t seen = 0);

/// `bytes` is a whole head. Throws ApiError: 400 (malformed, contradictory), 413, 414, 415, 417, 431,
/// 501, 505.
RequestHead parse_head(std::string_view bytes, const HeadLimits& limits);

}  // namespace fettle::serve
