#pragma once
// The first lines of an HTTP/1 request (RFC 9112), checked strictly before the HTTP library sees them: what
// two readers might understand in two ways is refused.
#include <cstdint>
#include <string>
#include <string_view>

#include "serve/api_error.h"

namespace fettle::serve {

struct HeadLimits {
  size_t bytes = 32 << 10;   ///< of the whole head
  size_t target = 1024;      ///< of the path with its query
  size_t fields = 100;       ///< header lines
  uint64_t body = 16 << 20;  ///< announced by Content-Length
};

struct RequestHead {
  std::string text;  ///< the head for the HTTP library, ends with an empty line; without the fields that the
                     ///< server decides on its own (Range, Accept-Encoding, Content-Type)
  std::string method, target;
  std::string authorization, host, origin;
  std::string api_key;      ///< x-api-key, as Anthropic's clients send it
  /// Of a browser's preflight (the CORS protocol of the Fetch standard).
  std::string cors_method, cors_headers;
  bool cors_private_network = false;
  bool has_body = false;    ///< a body follows: Content-Length above 0, or chunks
  bool keep_alive = false;  ///< the client would send another request on this connection
};

/// Where the body begins; npos while the empty line has not come.
size_t head_end(std::string_view bytes);

/// `bytes` is a whole head. Throws ApiError: 400 (malformed, contradictory), 413, 414, 415, 431, 501, 505.
RequestHead parse_head(std::string_view bytes, const HeadLimits& limits);

}  // namespace fettle::serve
