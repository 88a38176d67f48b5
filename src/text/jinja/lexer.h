#pragma once
// Template source -> tokens, with Jinja2's white-space rules (trim_blocks and lstrip_blocks on).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::jinja {

struct Token {
  enum class Kind : uint8_t {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    symbol,
    end
  };
  Kind kind;
  std::string text;  ///< of data and strings: the value, escapes resolved
  int32_t line, column;
  int64_t integer = 0;
  double real = 0;

  bool is(std::string_view symbol_or_end) const { return kind == Kind::symbol && text == symbol_or_end; }
  bool is_name(std::string_view name) const { return kind == Kind::name && text == name; }
};

/// Always ends with a token of kind `end`. Throws Error naming `where`, line and column.
std::vector<Token> tokenize(std::string_view source, std::string_view where);

}  // namespace fettle::jinja
