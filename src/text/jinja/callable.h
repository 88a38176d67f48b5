#pragma once
// What a template can call, and how arguments meet parameters.
#include <functional>
#include <initializer_list>

#include "text/jinja/value.h"

namespace fettle::jinja {

class Interpreter;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Callable {
  std::string name;
  std::function<Value(Interpreter&, const Arguments&)> call;
};

/// `loop` inside a for. Items come one at a time since the filter of the for may depend on what the body did.
struct Loop {
  std::vector<Value> items;                    ///< what is iterated
  size_t next = 0;                             ///< index into items of the first that was not looked at
  std::function<bool(const Value&)> filter;    ///< the `if` of the for; empty when it has none or has ended
  std::vector<Value> ready;                    ///< passed the filter
  size_t given = 0;                            ///< how many of them the body got
  std::function<Value(const Value&)> recurse;  ///< of a recursive for: renders its body over other items
  int64_t index0 = -1, depth0 = 0;
  Value previous, current;
  std::vector<Value> last_changed;
  bool changed_called = false;

  bool peek();     ///< true when another item comes
  bool advance();  ///< moves on to it
  int64_t length();
};

/// Arguments by parameter, as Python binds them. Throws Failure for one too many, one twice, one unknown.
class Bound {
 public:
  Bound(std::string_view function, const Arguments& arguments, std::initializer_list<std::string_view> names);
  /// Null when not given.
  const Value* operator[](size_t index) const { return values_[index]; }
  const Value& required(size_t index) const;
  bool flag(size_t index, bool fallback = false) const;
  int64_t integer(size_t index, int64_t fallback) const;
  /// Null when not given or none.
  const Text* text(size_t index) const;
  const Text& required_text(size_t index) const;

 private:
  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

}  // namespace fettle::jinja
