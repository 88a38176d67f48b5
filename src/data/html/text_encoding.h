#pragma once
// Texts in the encodings of the web (WHATWG, Encoding Standard) as UTF-8. The tables are glibc's iconv.
#include <cstdint>
#include <string>
#include <string_view>

namespace fettle::data {

struct DecodedText {
  std::string text;
  int64_t beyond_ascii = 0;  ///< characters, those below included
  int64_t replaced = 0;      ///< pieces that mean nothing, each now U+FFFD
  int64_t controls = 0;      ///< C1 controls, which no text holds: a sign of another encoding
};

/// `encoding` is a name that encoding_of_label() gave, but "replacement". Thread-safe.
/// Differences from the standard's tables: 24 characters of gb18030 that Unicode did not have at first are
/// those characters, not private ones; of big5, some 140 codes that the Hong Kong set gave up are unknown.
DecodedText decode_text(std::string_view encoding, std::string_view bytes);

}  // namespace fettle::data
