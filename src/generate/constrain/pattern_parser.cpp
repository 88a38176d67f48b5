#include "generate/constrain/pattern_parser.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

using Kind = PatternNode::Kind;
constexpr int deepest_group = 100;
constexpr int64_t most_repeats = 5000;

const CharacterSet digit_set{{'0', '9'}};
const CharacterSet word_set{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CharacterSet space_set{{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                             {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                             {0x3000, 0x3000}, {0xfeff, 0xfeff}};
const CharacterSet line_end_set{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class Parser {
 public:
  explicit Parser(std::string_view pattern) : pattern_(pattern) {
    if (unicode::valid_prefix(pattern) != pattern.size()) throw Error("a pattern must be valid UTF-8");
    for (size_t at = 0; at < pattern.size();) text_.push_back(unicode::next(pattern, at));
  }

  PatternNode parse() {
    PatternNode node = choice(0);
    if (more()) refuse("has a ')' too many");
    return node;
  }

 private:
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    const std::string_view shown = pattern_.substr(0, unicode::valid_prefix(pattern_.substr(0, 80)));
    throw Error(fmt::format("the pattern '{}' {} (at character {})", shown,
                            fmt::format(format, std::forward<Args>(args)...), at_ + 1));
  }

  bool more() const { return at_ < text_.size(); }
  char32_t peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : U'\0'; }
  bool take(char32_t c) {
    if (!more() || peek() != c) return false;
    ++at_;
    return true;
  }
  bool take(std::u32string_view text) {
    if (!std::u32string_view(text_).substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  PatternNode choice(int depth) {
    if (depth > deepest_group) refuse("is nested deeper than {} groups", deepest_group);
    PatternNode node{Kind::choice};
    do {
      node.parts.push_back(sequence(depth));
    } while (take(U'|'));
    return node.parts.size() == 1 ? std::move(node.parts.front()) : node;
  }

  PatternNode sequence(int depth) {
    PatternNode node{Kind::sequence};
    while (more() && peek() != '|' && peek() != ')') {
      PatternNode part = atom(depth);
      node.parts.push_back(quantified(std::move(part)));
    }
    return node;
  }

  PatternNode atom(int depth) {
    const char32_t c = peek();
    if (c == '(') return group(depth);
    if (c == '[') return {Kind::set, character_class()};
    if (c == '*' || c == '+' || c == '?') refuse("has a quantifier with nothing before it");
    ++at_;
    if (c == '^') return {Kind::begin};
    if (c == '$') return {Kind::end};
    if (c == '.') return {Kind::set, complement(line_end_set)};
    if (c == '\\') return {Kind::set, escape(false)};
    return {Kind::set, {{c, c}}};
  }

  PatternNode group(int depth) {
    ++at_;
    PatternNode node{Kind::ahead};
    bool ahead = false;
    if (take(U"?=") || take(U"?!")) {
      ahead = true;
      node.positive = text_[at_ - 1] == '=';
      if (depth > 0) refuse("has a look-ahead inside a group, which is not supported");
    } else if (take(U"?<=") || take(U"?<!")) {
      refuse("has a look-behind, which is not supported");
    } else if (take(U"?<") || take(U"?P<")) {
      while (more() && peek() != '>') ++at_;
      if (!take(U'>')) refuse("has a group's name without '>'");
    } else if (take(U'?') && !take(U':')) {
      refuse("has '(?{}', which is not supported", static_cast<char>(peek() < 0x80 ? peek() : U'?'));
    }
    PatternNode inside = choice(depth + 1);
    if (!take(U')')) refuse("lacks a ')'");
    if (!ahead) return inside;
    node.parts.push_back(std::move(inside));
    return node;
  }

  PatternNode quantified(PatternNode part) {
    int64_t least = 0, most = -1;
    if (take(U'*')) {
    } else if (take(U'+')) {
      least = 1;
    } else if (take(U'?')) {
      most = 1;
    } else if (!counts(least, most)) {
      return part;
    }
    if (part.kind == Kind::begin || part.kind == Kind::end || part.kind == Kind::ahead)
      refuse("has a quantifier behind ^, $ or a look-ahead");
    take(U'?');  // lazy: the same strings
    if (peek() == '*' || peek() == '+' || peek() == '?') refuse("has two quantifiers in a row");
    PatternNode node{Kind::repeat};
    node.parts.push_back(std::move(part));
    node.least = least;
    node.most = most;
    return node;
  }

  /// {n}, {n,} or {n,m}; a brace that is none of these stands for itself.
  bool counts(int64_t& least, int64_t& most) {
    const size_t begin = at_;
    const auto number = [&]() -> std::optional<int64_t> {
      if (peek() < '0' || peek() > '9') return std::nullopt;
      int64_t value = 0;
      while (peek() >= '0' && peek() <= '9')
        value = std::min<int64_t>(value * 10 + (text_[at_++] - '0'), 1000000);
      return value;
    };
    if (!take(U'{')) return false;
    const auto first = number();
    auto last = first;
    if (first && take(U',')) last = peek() == '}' ? std::optional<int64_t>(-1) : number();
    if (!first || !last || !take(U'}')) {
      at_ = begin;
      return false;
    }
    if (*last >= 0 && *last < *first) refuse("has a quantifier whose bounds are in the wrong order");
    if (std::max(*first, *last) > most_repeats) refuse("repeats a part more than {} times", most_repeats);
    least = *first;
    most = *last;
    return true;
  }

  CharacterSet character_class() {
    ++at_;
    const bool negated = take(U'^');
    std::vector<CharacterRange> ranges;
    while (!take(U']')) {
      if (!more()) refuse("lacks a ']'");
      const CharacterSet first = class_atom();
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < text_.size()) {
        ++at_;
        const CharacterSet last = class_atom();
        const bool single = first.size() == 1 && last.size() == 1 && first[0].low == first[0].high &&
                            last[0].low == last[0].high;
        if (!single) refuse("has a range between classes");
        if (last[0].low < first[0].low) refuse("has a range whose ends are in the wrong order");
        ranges.push_back({first[0].low, last[0].low});
      } else {
        ranges.insert(ranges.end(), first.begin(), first.end());
      }
    }
    // Twice: no surrogate stays inside a range.
    const CharacterSet others = complement(united(std::move(ranges)));
    return negated ? others : complement(others);
  }

  CharacterSet class_atom() {
    const char32_t c = text_[at_++];
    return c == '\\' ? escape(true) : CharacterSet{{c, c}};
  }

  CharacterSet escape(bool in_class) {
    if (!more()) refuse("ends with a backslash");
    const char32_t c = text_[at_++];
    const auto one = [](char32_t code) { return CharacterSet{{code, code}}; };
    switch (c) {
      case 'd':
        return digit_set;
      case 'D':
        return complement(digit_set);
      case 'w':
        return word_set;
      case 'W':
        return complement(word_set);
      case 's':
        return space_set;
      case 'S':
        return complement(space_set);
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'v':
        return one('\v');
      case 'f':
        return one('\f');
      case 'r':
        return one('\r');
      case 'x':
        return one(hexadecimal(2));
      case 'u':
        return one(unicode_escape());
      case 'c': {
        const char32_t letter = peek();
        if (letter >= 0x80 || std::isalpha(static_cast<int>(letter)) == 0) refuse("has \\c without a letter");
        ++at_;
        return one(letter % 32);
      }
      case 'b':
        if (in_class) return one('\b');
        [[fallthrough]];
      case 'B':
        refuse("has a word boundary, which is not supported");
      case 'p':
      case 'P':
        refuse("has a Unicode property, which is not supported; write the ranges");
      case 'k':
        refuse("has a back-reference, which is not supported");
      case 'A':
      case 'Z':
      case 'z':
        refuse("has \\{}, which ECMA-262 does not know; write ^ or $", static_cast<char>(c));
      default:
        break;
    }
    if (c == '0' && !(peek() >= '0' && peek() <= '9')) return one(0);
    if (c >= '0' && c <= '9') refuse("has a back-reference or an octal escape, which is not supported");
    if (c < 0x80 && std::isalpha(static_cast<int>(c)) != 0)
      refuse("has the unknown escape \\{}", static_cast<char>(c));
    return one(c);
  }

  char32_t hexadecimal(int count) {
    char32_t code = 0;
    for (int i = 0; i < count; ++i) {
      const char32_t c = peek();
      if (c >= 0x80 || std::isxdigit(static_cast<int>(c)) == 0)
        refuse("has an escape without its {} hexadecimal digits", count);
      code = code * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
      ++at_;
    }
    return code;
  }

  char32_t unicode_escape() {
    char32_t code = 0;
    if (take(U'{')) {
      while (more() && peek() != '}' && code <= 0x10ffff) code = code * 16 + hexadecimal(1);
      if (!take(U'}')) refuse("has \\u{{ without '}}'");
    } else {
      code = hexadecimal(4);
      if (code >= 0xd800 && code < 0xdc00 && take(U"\\u"))
        code = 0x10000 + ((code - 0xd800) << 10) + (hexadecimal(4) - 0xdc00);
    }
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) refuse("has an escape that is no character");
    return code;
  }

  std::string_view pattern_;
  std::u32string text_;
  size_t at_ = 0;
};

}  // namespace

PatternNode parse_pattern(std::string_view pattern) {
  return Parser(pattern).parse();
}

}  // namespace fettle
