#pragma once
// The letters of HTTP/1 (RFC 9110, 5.6; RFC 9112).
#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace fettle::serve {

inline bool is_token_char(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u < 0x80 && (std::isalnum(u) != 0 || (u > 0x20 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos));
}

inline bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_token_char); }

/// What may stand in a line of a head, a trailer or a chunk's size.
inline bool is_line_char(char c) {
  const auto u = static_cast<unsigned char>(c);
  return (u >= 0x20 && u != 0x7f) || c == '\t';
}

inline std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace fettle::serve
