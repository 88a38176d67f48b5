#pragma once
// Rules for the parts of a JSON text. White space: nothing, one space, or a new line with an indent of up to
// 24 spaces stands behind `{`, `[`, `,`, `:` and before `}`, `]`; nothing elsewhere.
#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "generate/constrain/grammar.h"

namespace fettle {

/// Makes each rule once. The grammar must outlive this.
class JsonRules {
 public:
  static constexpr int free_depth = 12;  ///< levels of a value of which nothing is known

  explicit JsonRules(Grammar& grammar);

  Grammar& grammar() { return grammar_; }
  static Grammar::Symbol ref(int32_t rule) { return Grammar::reference(rule); }
  static Grammar::Sequence join(std::initializer_list<Grammar::Sequence> parts);

  int32_t space();
  int32_t string();
  int32_t number(bool integer);
  int32_t word(std::string_view text);  ///< true, false, null
  /// Between quotes, what the terminal lets through.
  int32_t quoted(TextTerminal terminal);
  /// Any value, any object, of at most `depth` levels.
  int32_t value(int depth = free_depth);
  int32_t object(int depth = free_depth);

  /// `open`, what the rule gives with space around it, `close`.
  int32_t enclosed(char open, int32_t inside, char close);

 private:
  int32_t once(int32_t& kept, const std::function<int32_t()>& make);
  int32_t listed(char open, const Grammar::Sequence& item, char close);

  Grammar& grammar_;
  int32_t space_ = -1, string_ = -1;
  std::array<int32_t, 2> numbers_{-1, -1};
  std::map<std::string, int32_t, std::less<>> words_;
  std::array<int32_t, free_depth + 1> objects_, values_;
};

}  // namespace fettle
