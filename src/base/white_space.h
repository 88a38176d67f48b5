#pragma once
// White space of ASCII, the same in every locale. Unicode's is unicode::kSpace.
#include <string_view>

namespace fettle {

/// Space, tab, newline, vertical tab, form feed, carriage return.
constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// What HTML and HTTP call white space (WHATWG, Infra, 4.6): a vertical tab is none.
constexpr bool is_html_space(char c) {
  return is_space(c) && c != '\v';
}

/// Without white space at both ends.
constexpr std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Nothing but white space, or nothing.
constexpr bool is_blank(std::string_view text) {
  return trimmed(text).empty();
}

}  // namespace fettle
