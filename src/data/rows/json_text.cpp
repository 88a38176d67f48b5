#include "data/rows/json_text.h"

#include <cstdint>

#include "base/ordered_json.h"

namespace fettle::data {

void append_json_string(std::string_view value, std::string& text) {
  constexpr std::string_view hex = "0123456789abcdef";
  text += '"';
  size_t kept = 0;
  for (size_t at = 0; at < value.size(); ++at) {
    const auto c = static_cast<uint8_t>(value[at]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    text.append(value.substr(kept, at - kept));
    kept = at + 1;
    text += '\\';
    switch (c) {
      case '"':
      case '\\':
        text += static_cast<char>(c);
        break;
      case '\n':
        text += 'n';
        break;
      case '\r':
        text += 'r';
        break;
      case '\t':
        text += 't';
        break;
      default:
        text += "u00";
        text += hex[c >> 4];
        text += hex[c & 15];
    }
  }
  text.append(value.substr(kept));
  text += '"';
}

OrderedJson parse_ordered_json(std::string_view text, std::string_view where) {
  return fettle::parse_ordered_json(text, where);
}

}  // namespace fettle::data
