#pragma once
// A parsed template. Nodes live as long as their Program; pointers between them do not own.
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/callable.h"

namespace fettle::jinja {

struct Expr;
using FilterFunction = Value (*)(Interpreter&, const Value& subject, const Arguments&);
using TestFunction = bool (*)(Interpreter&, const Value& subject, const Arguments&);

struct CallArguments {
  std::vector<const Expr*> positional;
  std::vector<std::pair<std::string, const Expr*>> named;
  const Expr* star = nullptr;       ///< *list
  const Expr* star_star = nullptr;  ///< **dict
};

enum class Operator : uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct Expr {
  enum class Kind : uint8_t {
    constant,
    name,
    list,
    tuple,
    dict,
    attribute,
    item,
    slice,
    call,
    filter,
    test,
    negate,
    plus,
    logical_not,
    binary,
    concat,
    compare,
    logical_and,
    logical_or,
    condition
  };
  Kind kind;
  int32_t line;
  Value constant;
  int32_t symbol = -1;  ///< of a name
  std::string text;     ///< of a name, attribute, filter, test
  /// Operands in order. item: object, index; slice: start, stop, step (null when absent); condition: test,
  /// then, else (null when absent); dict: key, value, key, value, …; filter and test: the subject (null in a
  /// filter block).
  std::vector<const Expr*> operands;
  std::vector<Operator> operators;  ///< of binary (one) and compare (one per further operand)
  std::unique_ptr<CallArguments> arguments;
  FilterFunction filter = nullptr;
  TestFunction test = nullptr;
};

struct Signature {
  std::vector<int32_t> parameters;
  std::vector<const Expr*> defaults;  ///< of the last parameters
  std::vector<std::string> names;
  bool varargs = false, kwargs = false, caller = false;  ///< which of these the body reads
};

struct Stmt;
using Block = std::vector<const Stmt*>;

struct Stmt {
  enum class Kind : uint8_t {
    data,
    print,
    for_loop,
    if_else,
    set,
    set_block,
    macro,
    call_block,
    filter_block,
    with,
    generation,
    break_loop,
    continue_loop
  };
  Kind kind;
  int32_t line;
  Text data;
  const Expr* target =
      nullptr;  ///< of set and for: a name, an attribute of a name (namespace), or a tuple of them
  const Expr* value = nullptr;      ///< what is printed, assigned, iterated, called; the filter of a block
  const Expr* condition = nullptr;  ///< the `if` of a for
  std::vector<std::pair<const Expr*, Block>> branches;  ///< of an if: tests with bodies
  Block body, otherwise;
  bool recursive = false;
  std::string name;  ///< of a macro
  int32_t symbol = -1;
  Signature signature;
  std::vector<std::pair<const Expr*, const Expr*>> bindings;  ///< of a with
};

/// Immutable once parsed: safe to run from many threads.
struct Program {
  Block body;
  std::vector<std::string> symbols;  ///< names by number
  int32_t symbol(std::string_view name) const;  ///< -1 when the template never mentions it
  std::deque<Expr> expressions;
  std::deque<Stmt> statements;
};

/// Null when there is none.
FilterFunction find_filter(std::string_view name);
TestFunction find_test(std::string_view name);
std::vector<std::string> filter_names();
std::vector<std::string> test_names();

}  // namespace fettle::jinja
