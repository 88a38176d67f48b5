#pragma once
// Which encoding a page is in, found as a browser finds it (WHATWG, HTML, 13.2.3.2), and its text.
#include <cstdint>
#include <string>
#include <string_view>

namespace fettle::data {

struct PageText {
  std::string text;      ///< UTF-8
  std::string encoding;  ///< the standard's name
  int64_t replaced = 0;  ///< pieces that became U+FFFD
  std::string problem;   ///< why it cannot be decoded; `text` is empty then
};

/// In this order: a byte order mark; valid UTF-8, whatever is declared; the charset of the HTTP head
/// (`declared`, a label or ""); what <meta> or the XML declaration says; libuchardet's guess. A declaration
/// under which the text holds much that means nothing is passed over. Thread-safe.
PageText decode_page(std::string_view bytes, std::string_view declared);

/// The encoding that the page's own head declares, "" when none: <meta charset>, <meta http-equiv> or <?xml
/// encoding?> (HTML, "prescan a byte stream to determine its encoding").
std::string_view encoding_in_head(std::string_view bytes);

}  // namespace fettle::data
