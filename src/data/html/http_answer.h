#pragma once
// An HTTP/1 answer (RFC 9112) as crawlers keep it, unpacked.
#include <cstddef>
#include <string>
#include <string_view>

namespace fettle::data {

struct HttpAnswer {
  bool is_page = false;  ///< status 200 and HTML, with a head that ends
  std::string charset;   ///< of its Content-Type, "" when none
  /// Without chunks and Content-Encoding (gzip, deflate with and without zlib's head, br, zstd; several, and
  /// more than the head says; none although the head says one).
  std::string body;
  /// What was wrong with it. `body` then holds what could be read.
  std::string problem;
};

/// A body grows to `most` bytes at the most. Thread-safe.
HttpAnswer unpack_http(std::string_view answer, size_t most);

/// Of "text/html; charset=x" and the like: whether it is HTML, and the label.
bool is_html_type(std::string_view content_type);
std::string charset_of_type(std::string_view content_type);

}  // namespace fettle::data
