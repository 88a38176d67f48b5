#pragma once
// Values of a template, with Python's meaning: truth, equality, order, str() and repr().
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/jinja/text.h"

namespace fettle::jinja {

/// What a template did wrong while it ran; whoever runs it adds the line.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
template <typename... Args>
[[noreturn]] void raise(fmt::format_string<Args...> format, Args&&... args) {
  throw Failure(fmt::format(format, std::forward<Args>(args)...));
}

/// A result that is larger than any chat needs; a template may not fill the memory.
inline constexpr int64_t kMaxBytes = int64_t{1} << 26;
inline constexpr int64_t kMaxItems = int64_t{1} << 20;
/// Values in a list, its lists' values and so on included: bounds what printing or comparing one value may
/// cost.
inline constexpr int64_t kMaxWeight = int64_t{1} << 22;
/// Lists in lists, dicts in dicts.
inline constexpr int kMaxDepth = 600;

struct List;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;

struct Undefined {
  std::shared_ptr<const std::string> hint;  ///< what to say when it is used
};
struct None {};

/// Strings, lists and dicts are shared and never change.
class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(None none) : data_(none) {}
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {}
  Value(std::shared_ptr<const Text> text) : data_(std::move(text)) {}
  Value(std::shared_ptr<const List> list) : data_(std::move(list)) {}
  Value(std::shared_ptr<const Dict> dict) : data_(std::move(dict)) {}
  Value(Namespace* space) : data_(space) {}
  Value(std::shared_ptr<const Callable> callable) : data_(std::move(callable)) {}
  Value(std::shared_ptr<Loop> loop) : data_(std::move(loop)) {}
  static Value string(std::string text, int32_t source = kFromTemplate) {
    return Text(std::move(text), source);
  }
  static Value undefined(std::string hint);
  /// A text or dict that its owner keeps until the run has ended: copies count no references, which threads that run the
  /// same template would fight over.
  static Value borrowed(const Text& text) {
    return std::shared_ptr<const Text>(std::shared_ptr<const Text>(), &text);
  }
  static Value borrowed(const Dict& dict) {
    return std::shared_ptr<const Dict>(std::shared_ptr<const Dict>(), &dict);
  }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_string() const { return text() != nullptr; }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(data_); }
  bool is_integer() const {
    return std::holds_alternative<int64_t>(data_) || is_boolean();
  }  ///< as in Python
  bool is_boolean() const { return std::holds_alternative<bool>(data_); }
  bool is_real() const { return std::holds_alternative<double>(data_); }

  /// Null (or 0) when the value is of another kind.
  const Text* text() const { return pointer<const Text>(); }
  const List* list() const { return pointer<const List>(); }
  const Dict* dict() const { return pointer<const Dict>(); }
  const Callable* callable() const { return pointer<const Callable>(); }
  Loop* loop() const { return pointer<Loop>(); }
  Namespace* space() const {
    const auto* found = std::get_if<Namespace*>(&data_);
    return found == nullptr ? nullptr : *found;
  }
  int64_t integer() const;  ///< of an integer or boolean
  double real() const;      ///< of any number
  const Undefined& hint() const { return std::get<Undefined>(data_); }

  bool truth() const;
  std::string_view type_name() const;  ///< as Python calls it, for errors

 private:
  template <typename T>
  T* pointer() const {
    const auto* found = std::get_if<std::shared_ptr<T>>(&data_);
    return found == nullptr ? nullptr : found->get();
  }
  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>, Namespace*,
               std::shared_ptr<const Callable>, std::shared_ptr<Loop>>
      data_;
};

enum class ListKind : uint8_t { list, tuple, range, generator, items, keys, values };

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::list;
  int depth = 1;
  int64_t weight = 1;           ///< values in it, nested ones and shared ones counted each time
  mutable size_t consumed = 0;  ///< of a generator, which can be read once
  std::string label;            ///< of a range: its repr
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  ///< in order of insertion, keys differ
  int depth = 1;
  int64_t weight = 1;
  const Value* find(std::string_view key) const;
  const Value* find(const Value& key) const;
};

/// The one thing a template can change. Owned by the run; it may hold itself.
struct Namespace {
  std::vector<std::pair<std::string, Value>> entries;
  Value* find(std::string_view name);
};

int64_t weight(const Value& value);  ///< what walking it costs, in values; a text counts by its size
/// Throws Failure when nested too deeply or too large.
Value make_list(std::vector<Value> items, ListKind kind = ListKind::list);
/// A later entry with an equal key replaces the value of the earlier one. Keys must be hashable.
Dict dict_of(std::vector<std::pair<Value, Value>> entries);
inline Value make_dict(std::vector<std::pair<Value, Value>> entries) {
  return std::make_shared<const Dict>(dict_of(std::move(entries)));
}
/// Strings of `json` get `source`.
Value from_json(const OrderedJson& json, int32_t source);

bool equal(const Value& left, const Value& right);
/// -1, 0, 1; throws Failure when the two have no order. `symbol` is for the message.
int compare(const Value& left, const Value& right, std::string_view symbol = "<");
/// The items a `for` would see; a generator is used up. Throws Failure for what cannot be iterated.
std::vector<Value> iterate(const Value& value);
std::string repr_real(double value);

void append_str(Text& out, const Value& value);   ///< str(value); nothing for undefined
void append_repr(Text& out, const Value& value);  ///< repr(value)
Text to_text(const Value& value);                 ///< str(value)
void check_size(int64_t bytes);                   ///< throws Failure above kMaxBytes

}  // namespace fettle::jinja
