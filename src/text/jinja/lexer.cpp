#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "text/jinja/text.h"

namespace fettle::jinja {
namespace {

using Kind = Token::Kind;

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out.push_back(source[i]);
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();  // Jinja drops the newline that ends a file
  return out;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<uint8_t>(c) >= 0x80;
}
bool is_name_part(char c) {
  return is_name_start(c) || is_digit(c);
}

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view where)
      : source_(normalize_newlines(source)), where_(where) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    add(Kind::end, "end of template");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void error(const std::string& message) {
    locate(at_);
    fail(where_, "line {}, column {}: {}", line_, column_, message);
  }

  // Positions only grow, so counting goes on from where it stopped.
  void locate(size_t position) {
    for (; located_ < std::min(position, source_.size()); ++located_) {
      if (source_[located_] == '\n') {
        ++line_;
        column_ = 1;
      } else {
        ++column_;
      }
    }
  }

  Token& add(Kind kind, std::string text) {
    locate(at_);
    tokens_.push_back({kind, std::move(text), line_, column_});
    return tokens_.back();
  }

  bool starts(std::string_view piece, size_t position) const {
    return std::string_view(source_).substr(position).starts_with(piece);
  }

  size_t skip_space(size_t position) const {
    while (position < source_.size()) {
      size_t after = position;
      if (!is_space(next_character(source_, after))) break;
      position = after;
    }
    return position;
  }

  // Position behind "raw %}" when the tag whose inside starts at `position` is a raw tag; npos otherwise.
  size_t raw_tag(size_t position, std::string_view name, bool trim_newline) const {
    position = skip_space(position);
    if (!starts(name, position)) return std::string::npos;
    position = skip_space(position + name.size());
    if (starts("-%}", position)) return skip_space(position + 3);
    if (trim_newline && starts("+%}", position)) return position + 3;
    if (!starts("%}", position)) return std::string::npos;
    position += 2;
    if (trim_newline && position < source_.size() && source_[position] == '\n') ++position;
    return position;
  }

  // What is left of the text before a tag: `-` strips all white space, otherwise lstrip_blocks strips the
  // blanks between the line's start and a tag that is no variable.
  std::string_view left_stripped(std::string_view text, char sign, bool variable) const {
    if (sign == '-') {
      size_t end = text.size();
      for (size_t at = 0, kept = 0; at < text.size();) {
        if (!is_space(next_character(text, at))) kept = at;
        end = kept;
      }
      return text.substr(0, end);
    }
    if (sign == '+' || variable) return text;
    const size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && !line_starting_) return text;
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    for (size_t at = begin; at < text.size();) {
      if (!is_space(next_character(text, at))) return text;
    }
    return text.substr(0, begin);
  }

  void add_data(std::string_view text) {
    if (!text.empty()) add(Kind::data, std::string(text));
  }

  void move_to(size_t position) {
    at_ = position;
    line_starting_ = position > 0 && source_[position - 1] == '\n';
  }

  size_t find_tag(size_t from) const {
    for (size_t i = from; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#'))
        return i;
    }
    return std::string::npos;
  }

  char sign_at(size_t position) const {
    const char c = position < source_.size() ? source_[position] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  void root() {
    const size_t tag = find_tag(at_);
    if (tag == std::string::npos) {
      add_data(std::string_view(source_).substr(at_));
      at_ = source_.size();
      return;
    }
    const char type = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    add_data(left_stripped(std::string_view(source_).substr(at_, tag - at_), sign, type == '{'));
    at_ = tag;
    const size_t inside = tag + 2 + (sign == '\0' ? 0 : 1);
    if (type == '#') return comment(inside);
    if (type == '%') {
      const size_t raw = raw_tag(inside, "raw", false);
      if (raw != std::string::npos) return raw_block(raw);
    }
    add(type == '{' ? Kind::variable_begin : Kind::block_begin, type == '{' ? "{{" : "{%");
    at_ = inside;
    tag_inside(type == '{' ? "}}" : "%}", type == '{');
  }

  void comment(size_t inside) {
    const size_t close = source_.find("#}", inside);
    if (close == std::string::npos) error("a comment '{#' is never closed; add '#}'");
    const char sign = close > inside ? sign_at(close - 1) : '\0';
    size_t after = close + 2;
    if (sign == '-') {
      after = skip_space(after);
    } else if (sign != '+' && after < source_.size() && source_[after] == '\n') {
      ++after;
    }
    move_to(after);
  }

  void raw_block(size_t inside) {
    move_to(inside);
    for (size_t at = source_.find("{%", inside); at != std::string::npos; at = source_.find("{%", at + 2)) {
      const char sign = sign_at(at + 2);
      const size_t after = raw_tag(at + 2 + (sign == '\0' ? 0 : 1), "endraw", true);
      if (after == std::string::npos) continue;
      add_data(left_stripped(std::string_view(source_).substr(inside, at - inside), sign, false));
      return move_to(after);
    }
    error("a raw block is never closed; add '{% endraw %}'");
  }

  // Behind the end of a tag when one stands here, npos otherwise.
  size_t tag_end(std::string_view close, bool variable) const {
    if (source_[at_] == '-' && starts(close, at_ + 1)) return skip_space(at_ + 3);
    if (!variable && source_[at_] == '+' && starts(close, at_ + 1)) return at_ + 3;
    if (!starts(close, at_)) return std::string::npos;
    const size_t after = at_ + 2;
    return !variable && after < source_.size() && source_[after] == '\n' ? after + 1 : after;
  }

  void tag_inside(std::string_view close, bool variable) {
    std::string open;  // the closing brackets that are due
    while (true) {
      at_ = skip_space(at_);
      if (at_ >= source_.size()) error(fmt::format("the template ends inside a tag; '{}' is missing", close));
      const size_t end = open.empty() ? tag_end(close, variable) : std::string::npos;
      if (end != std::string::npos) {
        add(variable ? Kind::variable_end : Kind::block_end, std::string(close));
        return move_to(end);
      }
      const char c = source_[at_];
      if (is_digit(c)) {
        number();
      } else if (is_name_start(c)) {
        size_t after = at_;
        while (after < source_.size() && is_name_part(source_[after])) ++after;
        add(Kind::name, source_.substr(at_, after - at_));
        at_ = after;
      } else if (c == '\'' || c == '"') {
        string(c);
      } else {
        symbol(open);
      }
    }
  }

  void symbol(std::string& open) {
    static constexpr std::string_view symbols[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                   "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                   ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto found = std::find_if(std::begin(symbols), std::end(symbols),
                                    [&](std::string_view symbol) { return starts(symbol, at_); });
    if (found == std::end(symbols)) {
      error(fmt::format("unexpected character {}", escaped(std::string_view(source_).substr(at_, 1))));
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) error(fmt::format("unexpected '{}'", c));
      if (open.back() != c) error(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      open.pop_back();
    }
    add(Kind::symbol, std::string(*found));
    at_ += found->size();
  }

  // Digits with single underscores between them, from `position`.
  size_t digits(size_t position) const {
    while (position < source_.size() &&
           (is_digit(source_[position]) ||
            (source_[position] == '_' && position + 1 < source_.size() && is_digit(source_[position + 1]) &&
             is_digit(source_[position - 1])))) {
      ++position;
    }
    return position;
  }

  void number() {
    if (source_[at_] == '0' && at_ + 1 < source_.size() && radix_number()) return;
    size_t end = digits(at_);
    bool real = false;
    const bool index = at_ > 0 && source_[at_ - 1] == '.';  // `items.0.name` holds no fraction
    if (!index && end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      real = true;
      end = digits(end + 1);
    }
    if (!index && end < source_.size() && (source_[end] | 0x20) == 'e') {
      const size_t sign =
          end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
      if (end + 1 + sign < source_.size() && is_digit(source_[end + 1 + sign])) {
        real = true;
        end = digits(end + 1 + sign);
      }
    }
    std::string text = source_.substr(at_, end - at_);
    std::erase(text, '_');
    Token& token = add(real ? Kind::real : Kind::integer, text);
    std::from_chars_result result{};
    if (real) {
      result = std::from_chars(text.data(), text.data() + text.size(), token.real);
    } else {
      result = std::from_chars(text.data(), text.data() + text.size(), token.integer);
    }
    if (result.ec != std::errc()) error(fmt::format("the number {} is out of range", text));
    at_ = end;
  }

  bool radix_number() {
    const char type = static_cast<char>(source_[at_ + 1] | 0x20);
    const int base = type == 'x' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 0;
    if (base == 0) return false;
    size_t end = at_ + 2;
    std::string text;
    const auto is_radix_digit = [&](char c) {
      const int value = is_digit(c)                              ? c - '0'
                        : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                 : 99;
      return value < base;
    };
    for (; end < source_.size(); ++end) {
      if (source_[end] == '_' && end + 1 < source_.size() && is_radix_digit(source_[end + 1])) continue;
      if (!is_radix_digit(source_[end])) break;
      text.push_back(source_[end]);
    }
    if (text.empty()) return false;
    Token& token = add(Kind::integer, text);
    if (std::from_chars(text.data(), text.data() + text.size(), token.integer, base).ec != std::errc()) {
      error("the number is out of range");
    }
    at_ = end;
    return true;
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) error("a string is never closed");
    add(Kind::string, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    at_ = end + 1;
  }

  // Python's "unicode-escape".
  std::string unescape(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '\\' || i + 1 >= text.size()) {
        out.push_back(text[i++]);
        continue;
      }
      const char c = text[i + 1];
      static constexpr std::string_view plain = "nrtabfv\\'\"";
      static constexpr std::string_view meaning = "\n\r\t\a\b\f\v\\'\"";
      if (const size_t which = plain.find(c); which != std::string_view::npos) {
        out.push_back(meaning[which]);
        i += 2;
      } else if (c == '\n') {
        i += 2;
      } else if (c >= '0' && c <= '7') {
        i = code_escape(text, i + 1, 3, 8, false, out);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        i = code_escape(text, i + 2, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, true, out);
      } else if (c == 'N') {
        error("character names (\\N{...}) are not supported; write the character itself");
      } else {
        out.push_back('\\');
        ++i;
      }
    }
    return out;
  }

  size_t code_escape(std::string_view text, size_t begin, size_t length, int base, bool exact,
                     std::string& out) {
    const std::string_view code = text.substr(begin, length);
    uint32_t value = 0;
    const auto result = std::from_chars(code.data(), code.data() + code.size(), value, base);
    const auto used = static_cast<size_t>(result.ptr - code.data());
    if (result.ec != std::errc() || (exact && used != length) || value > 0x10FFFF) {
      error("a string holds a broken character escape");
    }
    // A lone surrogate is no character; append_character would take its low range for stray bytes.
    append_character(out, value >= 0xD800 && value <= 0xDFFF ? 0xFFFD : value);
    return begin + used;
  }

  std::string source_;
  std::string_view where_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool line_starting_ = true;
  size_t located_ = 0;
  int32_t line_ = 1, column_ = 1;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, std::string_view where) {
  return Lexer(source, where).run();
}

}  // namespace fettle::jinja
