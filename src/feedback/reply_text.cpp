#include "feedback/reply_text.h"

#include <charconv>
#include <cmath>

#include "base/white_space.h"

namespace fettle::feedback {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads literals from left to right; every function returns false, or none, when something else stands there.
class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text) : text_(text) {}

  std::optional<std::vector<LiteralRow>> rows() {
    std::vector<LiteralRow> result;
    const bool whole = list('[', ']', [&] {
      LiteralRow row;
      if (!list('{', '}', [&] { return member(row); })) return false;
      result.push_back(std::move(row));
      return true;
    });
    skip();
    if (!whole || at_ != text_.size()) return std::nullopt;
    return result;
  }

 private:
  void skip() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  /// Items between `open` and `close`, parted by commas; one may stand behind the last.
  template <typename Item>
  bool list(char open, char close, Item item) {
    if (!take(open)) return false;
    while (!take(close)) {
      if (!item()) return false;
      if (take(',')) continue;
      return take(close);
    }
    return true;
  }
  bool member(LiteralRow& row) {
    std::string key, value;
    if (!quoted(key) || !take(':')) return false;
    if (!quoted(value) && !bare(value)) return false;
    row.emplace_back(std::move(key), std::move(value));
    return true;
  }
  bool quoted(std::string& into) {
    skip();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return false;
    const char quote = text_[at_];
    for (size_t at = at_ + 1; at < text_.size() && text_[at] != '\n'; ++at) {
      if (text_[at] == quote) {
        at_ = at + 1;
        return true;
      }
      if (text_[at] == '\\' && ++at == text_.size()) break;
      into += text_[at];
    }
    return false;
  }
  bool bare(std::string& into) {
    skip();
    while (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '.' || text_[at_] == '-')) into += text_[at_++];
    return !into.empty();
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + separator.size();
  }
}

std::optional<double> number_at(std::string_view text, size_t& at, bool fraction) {
  size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  if (end == at) return std::nullopt;
  if (fraction && end + 1 < text.size() && text[end] == '.' && is_digit(text[end + 1])) {
    ++end;
    while (end < text.size() && is_digit(text[end])) ++end;
  }
  double value = 0.0;
  std::from_chars(text.data() + at, text.data() + end, value);
  at = end;
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<double> whole_text_number(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::vector<LiteralRow>> literal_rows(std::string_view text) { return LiteralReader(text).rows(); }

}  // namespace fettle::feedback
