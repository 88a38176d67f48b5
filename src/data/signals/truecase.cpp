#include "data/signals/truecase.h"

#include <algorithm>

#include "base/white_space.h"

namespace fettle::data {
namespace {

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_word(char c) { return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80; }

/// "i", "i'm", "i." but neither "i.e." nor "(i)" of a list.
bool is_standalone_i(std::string_view text, size_t at) {
  if (text[at] != 'i' || (at > 0 && !is_space(text[at - 1]))) return false;
  if (at + 1 == text.size()) return true;
  const char next = text[at + 1];
  if (next == '.') return at + 2 == text.size() || is_space(text[at + 2]);
  return is_space(next) || next == '\'' || next == ',' || next == '!' || next == '?';
}

}  // namespace

std::string truecase(std::string_view text) {
  std::string out(text);
  bool start = true, ended = false, fenced = false;
  for (size_t i = 0; i < out.size(); ++i) {
    if (text.substr(i, 3) == "```") fenced = !fenced;
    if (fenced) continue;
    const char c = out[i];
    if (c == '.' || c == '!' || c == '?') {
      ended = true;
      start = false;
    } else if (is_space(c)) {
      if (ended) start = true;
      ended = false;
    } else {
      if ((start && is_word(c)) || is_standalone_i(text, i)) out[i] = upper(c);
      if (is_word(c)) start = false;
      ended = ended && !is_word(c);
    }
  }
  return out;
}

int find_phrase(std::string_view text, const std::vector<std::string>& phrases) {
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  for (size_t i = 0; i < phrases.size(); ++i) {
    if (std::search(text.begin(), text.end(), phrases[i].begin(), phrases[i].end(), same) != text.end()) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace fettle::data
