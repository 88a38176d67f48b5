#pragma once
// Which language a text is in, by CLD2, whose tables are in the library.
#include <string>
#include <string_view>

namespace fettle::data {

struct Language {
  std::string code;  ///< ISO 639: "en", "de", "zh"; "un" when it cannot be told
  double confidence =
      0;  ///< the share of the text that is in it, halved where CLD2 calls its finding unreliable
};

/// The language of most of the text. `text` is UTF-8; what follows bytes that are not is left out.
/// Thread-safe.
Language detect_language(std::string_view text);

}  // namespace fettle::data
