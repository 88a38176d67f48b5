#include "text/tokenizer/split_patterns.h"

#include "text/unicode/unicode.h"

namespace fettle {

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

using unicode::kLetter;
using unicode::kNumber;
using unicode::kSpace;

constexpr uint8_t kKinds = kLetter | kNumber | kSpace;

class Scanner {
 public:
  Scanner(const char* text, uint32_t end) : text_(text), end_(end), table_(unicode::class_table().data()) {}

  uint32_t end() const { return end_; }
  char at(uint32_t i) const { return i < end_ ? text_[i] : '\0'; }
  /// The kind of the character at `i` (letter, number, space or 0 for the rest); `next` becomes the offset
  /// behind it.
  uint8_t kind(uint32_t i, uint32_t& next) const {
    const auto byte = static_cast<uint8_t>(text_[i]);
    if (byte < 0x80) {
      next = i + 1;
      return table_[byte] & kKinds;
    }
    size_t position = i;
    const char32_t code = unicode::next({text_, end_}, position);
    next = static_cast<uint32_t>(position);
    return unicode::classes(code) & kKinds;
  }
  /// The end of the run of characters of `wanted` kind from `i`.
  uint32_t run(uint32_t i, uint8_t wanted) const {
    uint32_t next = i;
    while (i < end_ && kind(i, next) == wanted) i = next;
    return i;
  }
  /// Where `\s+(?!\S)|\s+` ends: the run [begin, end) of spaces gives up its last one to what follows it.
  uint32_t spaces(uint32_t begin, uint32_t end, bool followed) const {
    if (!followed) return end;
    const auto last = static_cast<uint32_t>(unicode::previous({text_, end_}, end));
    return last > begin ? last : end;
  }
  /// The length of 's 't 're 've 'm 'll 'd at `i`, which holds an apostrophe, or 0.
  template <bool any_case>
  uint32_t contraction(uint32_t i) const {
    const char a = lower<any_case>(at(i + 1));
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    const char b = lower<any_case>(at(i + 2));
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    // U+017F, the long s, folds to s.
    if (any_case && at(i + 1) == '\xc5' && at(i + 2) == '\xbf') return 3;
    return 0;
  }

 private:
  template <bool any_case>
  static char lower(char c) {
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  const char* text_;
  uint32_t end_;
  const uint8_t* table_;
};

template <bool single_digits>
uint32_t gpt2_match(const Scanner& scan, uint32_t i) {
  const char c = scan.at(i);
  if (c == '\'') {
    if (const uint32_t length = scan.contraction<false>(i)) return i + length;
  }
  uint32_t next = i;
  uint8_t kind = scan.kind(i, next);
  if (c == ' ' && next < scan.end()) {
    uint32_t behind = next;
    const uint8_t following = scan.kind(next, behind);
    if (following != kSpace && !(single_digits && following == kNumber)) {
      kind = following;
      next = behind;
    }
  }
  if (kind == kSpace) {
    const uint32_t end = scan.run(next, kSpace);
    bool followed = end < scan.end();
    if (single_digits && followed) followed = scan.kind(end, next) != kNumber;
    return scan.spaces(i, end, followed);
  }
  if (single_digits && kind == kNumber) return next;
  return scan.run(next, kind);
}

template <bool single_digits>
void split_gpt2(std::string_view text, Span span, std::vector<Span>& out) {
  const Scanner scan(text.data(), span.end);
  for (uint32_t i = span.begin; i < span.end;) {
    const uint32_t end = gpt2_match<single_digits>(scan, i);
    out.push_back({i, end});
    i = end;
  }
}

/// Punctuation and the newlines right after it.
uint32_t punctuation(const Scanner& scan, uint32_t i) {
  i = scan.run(i, 0);
  while (scan.at(i) == '\r' || scan.at(i) == '\n') ++i;
  return i;
}

uint32_t spaces_with_newlines(const Scanner& scan, uint32_t i) {
  const uint32_t end = scan.run(i, kSpace);
  for (uint32_t last = end; last > i; --last) {
    if (scan.at(last - 1) == '\n' || scan.at(last - 1) == '\r') return last;
  }
  return scan.spaces(i, end, end < scan.end());
}

template <int digits>
uint32_t llama3_match(const Scanner& scan, uint32_t i) {
  const char c = scan.at(i);
  if (c == '\'') {
    if (const uint32_t length = scan.contraction<true>(i)) return i + length;
  }
  uint32_t next = i;
  const uint8_t kind = scan.kind(i, next);
  if (kind == kLetter) return scan.run(next, kLetter);
  if (kind == kNumber) {
    for (int count = 1; count < digits && next < scan.end(); ++count) {
      uint32_t behind = next;
      if (scan.kind(next, behind) != kNumber) break;
      next = behind;
    }
    return next;
  }
  uint32_t behind = next;
  const bool has_next = next < scan.end();
  const uint8_t following = has_next ? scan.kind(next, behind) : 0;
  if (c != '\r' && c != '\n' && has_next && following == kLetter) return scan.run(behind, kLetter);
  if (kind == 0) return punctuation(scan, next);
  if (c == ' ' && has_next && following == 0) return punctuation(scan, behind);
  return spaces_with_newlines(scan, i);
}

template <int digits>
void split_llama3(std::string_view text, Span span, std::vector<Span>& out) {
  const Scanner scan(text.data(), span.end);
  for (uint32_t i = span.begin; i < span.end;) {
    const uint32_t end = llama3_match<digits>(scan, i);
    out.push_back({i, end});
    i = end;
  }
}

}  // namespace

SplitMatcher find_split_matcher(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return split_gpt2<false>;
  if (pattern == kLlama3Pattern) return split_llama3<3>;
  if (pattern == kQwen2Pattern) return split_llama3<1>;
  return nullptr;
}

void split_gpt2_single_digits(std::string_view text, Span span, std::vector<Span>& out) {
  split_gpt2<true>(text, span, out);
}

}  // namespace fettle
