#include <algorithm>

#include "text/jinja/interpreter.h"

namespace fettle::jinja {

const Value& Interpreter::evaluate_in_place(const Expr& node, Value& made) {
  switch (node.kind) {
    case Expr::Kind::constant:
      charge(1);
      return node.constant;
    case Expr::Kind::name:
      return name_in_place(node, made);
    case Expr::Kind::item:
      return item_in_place(node, made);
    case Expr::Kind::attribute:
      return attribute_in_place(node, made);
    default:
      return made = evaluate(node);
  }
}

const Value& Interpreter::name_in_place(const Expr& node, Value& made) {
  charge(1);
  line_ = node.line;
  if (const Value* value = scope_->find(node.symbol)) return *value;
  return made = Value::undefined(fmt::format("'{}' is undefined", node.text));
}

const Value& Interpreter::item_in_place(const Expr& node, Value& made) {
  const Nested nested(*this);
  charge(1);
  Value object_made, key_made;
  const Value& object = evaluate_in_place(*node.operands[0], object_made);
  if (node.operands[1]->kind == Expr::Kind::slice) return made = evaluate_slice(object, *node.operands[1]);
  const Value& key = evaluate_in_place(*node.operands[1], key_made);
  line_ = node.line;
  const Dict* dict = object.dict();
  if (dict != nullptr && &object != &object_made) {
    if (const Value* value = dict->find(key)) {
      charge(static_cast<int64_t>(dict->entries.size() / 16));
      return *value;
    }
  }
  return made = get_item(object, key);
}

const Value& Interpreter::attribute_in_place(const Expr& node, Value& made) {
  const Nested nested(*this);
  charge(1);
  Value object_made;
  const Value& object = evaluate_in_place(*node.operands[0], object_made);
  line_ = node.line;
  const Dict* dict = object.dict();
  if (dict != nullptr && &object != &object_made && find_method(object, node.text) == nullptr &&
      !is_refused_method(object, node.text)) {
    charge(static_cast<int64_t>(dict->entries.size() / 16));
    if (const Value* value = dict->find(node.text)) return *value;
  }
  return made = get_attribute(object, node.text);
}

Value Interpreter::evaluate(const Expr& node) {
  const Nested nested(*this);
  charge(1);
  line_ = node.line;
  switch (node.kind) {
    case Expr::Kind::constant:
      if (const Text* text = node.constant.text()) return Value::borrowed(*text);
      return node.constant;
    case Expr::Kind::name:
    case Expr::Kind::item:
    case Expr::Kind::attribute: {
      Value made;
      const Value& value = evaluate_in_place(node, made);
      if (&value == &made) return made;
      return value;
    }
    case Expr::Kind::list:
    case Expr::Kind::tuple:
      return evaluate_items(node);
    case Expr::Kind::dict:
      return evaluate_dict(node);
    case Expr::Kind::slice:
      raise("a slice stands only inside []");
    case Expr::Kind::call:
      return evaluate_call(node);
    case Expr::Kind::filter:
      return evaluate_filter(node, evaluate(*node.operands[0]));
    case Expr::Kind::test: {
      if (node.test == nullptr) raise("unknown test '{}'", node.text);
      const Value subject = evaluate(*node.operands[0]);
      const Arguments arguments = evaluate_arguments(*node.arguments);
      line_ = node.line;
      return node.test(*this, subject, arguments);
    }
    case Expr::Kind::negate:
      return negate(evaluate(*node.operands[0]));
    case Expr::Kind::plus: {
      const Value value = evaluate(*node.operands[0]);
      return binary(*this, Operator::add, int64_t{0}, value);
    }
    case Expr::Kind::logical_not: {
      Value made;
      return !evaluate_in_place(*node.operands[0], made).truth();
    }
    case Expr::Kind::binary:
      return evaluate_binary(node);
    case Expr::Kind::concat:
      return evaluate_concat(node);
    case Expr::Kind::compare:
      return evaluate_compare(node);
    case Expr::Kind::logical_and: {
      Value left = evaluate(*node.operands[0]);
      return left.truth() ? evaluate(*node.operands[1]) : left;
    }
    case Expr::Kind::logical_or: {
      Value left = evaluate(*node.operands[0]);
      return left.truth() ? left : evaluate(*node.operands[1]);
    }
    case Expr::Kind::condition:
      if (Value made; evaluate_in_place(*node.operands[0], made).truth()) return evaluate(*node.operands[1]);
      if (node.operands[2] != nullptr) return evaluate(*node.operands[2]);
      return Value::undefined("the inline if-expression evaluated to false and no else section was defined");
  }
  return {};
}

Value Interpreter::evaluate_items(const Expr& node) {
  std::vector<Value> items;
  items.reserve(node.operands.size());
  for (const Expr* operand : node.operands) items.push_back(evaluate(*operand));
  return make_list(std::move(items), node.kind == Expr::Kind::tuple ? ListKind::tuple : ListKind::list);
}

Value Interpreter::evaluate_dict(const Expr& node) {
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i + 1 < node.operands.size(); i += 2) {
    Value key = evaluate(*node.operands[i]);
    entries.emplace_back(std::move(key), evaluate(*node.operands[i + 1]));
  }
  return make_dict(std::move(entries));
}

namespace {

// Python's slice.indices.
struct SliceRange {
  int64_t start, stop, step;
  int64_t count() const {
    if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
    return start > stop ? (start - stop - 1) / -step + 1 : 0;
  }
};

SliceRange slice_range(const Value& start, const Value& stop, const Value& step, int64_t length) {
  const auto number = [](const Value& value, int64_t fallback) {
    if (value.is_none() || value.is_undefined()) return fallback;
    if (!value.is_integer()) raise("slice indices must be integers or none, got {}", value.type_name());
    return value.integer();
  };
  SliceRange range{};
  range.step = std::max(number(step, 1), -INT64_MAX);
  if (range.step == 0) raise("a slice's step cannot be zero");
  const int64_t low = range.step > 0 ? 0 : -1;
  const int64_t high = range.step > 0 ? length : length - 1;
  const auto clamp = [&](const Value& value, int64_t fallback) {
    if (value.is_none()) return fallback;
    int64_t index = number(value, fallback);
    if (index < 0) index += length;
    return std::clamp(index, low, high);
  };
  range.start = clamp(start, range.step > 0 ? low : high);
  range.stop = clamp(stop, range.step > 0 ? high : low);
  return range;
}

Value slice_text(const Text& text, const Value& start, const Value& stop, const Value& step) {
  const std::string_view bytes = text.bytes();
  const SliceRange range = slice_range(start, stop, step, count_characters(bytes));
  if (range.step == 1) {
    const size_t begin = offset_of_character(bytes, range.start);
    const size_t length =
        offset_of_character(bytes.substr(begin), std::max<int64_t>(0, range.stop - range.start));
    return text.slice(begin, begin + length);
  }
  std::vector<size_t> offsets;
  for (size_t at = 0; at < bytes.size(); next_character(bytes, at)) offsets.push_back(at);
  offsets.push_back(bytes.size());
  Text out;
  for (int64_t i = 0, at = range.start; i < range.count(); ++i, at += range.step) {
    out.append(text, offsets[static_cast<size_t>(at)], offsets[static_cast<size_t>(at) + 1]);
  }
  return out;
}

}  // namespace

Value Interpreter::evaluate_slice(const Value& object, const Expr& slice) {
  const auto bound = [&](size_t which) {
    return slice.operands[which] == nullptr ? Value(None{}) : evaluate(*slice.operands[which]);
  };
  const Value start = bound(0);
  const Value stop = bound(1);
  const Value step = bound(2);
  if (object.is_undefined()) return get_item(object, start);
  if (const Text* text = object.text()) {
    charge_text(text->size());
    if (!step.is_none()) charge(static_cast<int64_t>(text->size() / 8));
    return slice_text(*text, start, stop, step);
  }
  const List* list = object.list();
  if (list == nullptr || list->kind > ListKind::range)
    raise("'{}' object cannot be sliced", object.type_name());
  const SliceRange range = slice_range(start, stop, step, static_cast<int64_t>(list->items.size()));
  charge(range.count());
  std::vector<Value> items;
  for (int64_t i = 0, at = range.start; i < range.count(); ++i, at += range.step) {
    items.push_back(list->items[static_cast<size_t>(at)]);
  }
  return make_list(std::move(items), list->kind == ListKind::tuple ? ListKind::tuple : ListKind::list);
}

Arguments Interpreter::evaluate_arguments(const CallArguments& node) {
  Arguments out;
  for (const Expr* value : node.positional) out.positional.push_back(evaluate(*value));
  for (const auto& [name, value] : node.named) out.named.emplace_back(name, evaluate(*value));
  if (node.star != nullptr) {
    for (Value& item : iterate(evaluate(*node.star))) out.positional.push_back(std::move(item));
  }
  if (node.star_star != nullptr) {
    const Value more = evaluate(*node.star_star);
    if (more.dict() == nullptr) raise("the argument behind ** must be a dict, got {}", more.type_name());
    for (const auto& [key, value] : more.dict()->entries) {
      if (key.text() == nullptr) raise("keywords must be strings, got {}", key.type_name());
      out.named.emplace_back(key.text()->bytes(), value);
    }
  }
  charge(static_cast<int64_t>(out.positional.size() + out.named.size()));
  return out;
}

Value Interpreter::evaluate_call(const Expr& node, const Value* caller) {
  const Expr& callee = *node.operands[0];
  Value object;
  Method method = nullptr;
  if (callee.kind == Expr::Kind::attribute) {
    object = evaluate(*callee.operands[0]);
    method = find_method(object, callee.text);
    if (method == nullptr) object = get_attribute(object, callee.text);
  } else {
    object = evaluate(callee);
  }
  Arguments arguments = evaluate_arguments(*node.arguments);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  line_ = node.line;
  return method != nullptr ? method(*this, object, arguments) : call(object, arguments);
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  if (const Loop* loop = callee.loop()) {
    if (!loop->recurse || arguments.positional.size() != 1)
      raise("loop(...) needs a recursive for and one list");
    return loop->recurse(arguments.positional[0]);
  }
  if (callee.is_undefined())
    raise("{}", callee.hint().hint ? *callee.hint().hint : "an undefined value is called");
  if (callee.callable() == nullptr) raise("'{}' object is not callable", callee.type_name());
  return callee.callable()->call(*this, arguments);
}

Value Interpreter::evaluate_filter(const Expr& node, const Value& subject) {
  if (node.filter == nullptr) raise("unknown filter '{}'", node.text);
  const Arguments arguments = evaluate_arguments(*node.arguments);
  line_ = node.line;
  return node.filter(*this, subject, arguments);
}

// The filters of a block are a chain whose innermost one has no subject of its own: it takes the block's
// text.
Value Interpreter::filter_block(const Expr& node, const Value& text) {
  return evaluate_filter(node, node.operands[0] == nullptr ? text : filter_block(*node.operands[0], text));
}

std::pair<Operator, const Value&> Interpreter::next_operand(Value& made) {
  const Expr& step = *spine_.back();
  spine_.pop_back();
  const Value& right = evaluate_in_place(*step.operands[1], made);
  charge(1);
  line_ = step.line;
  return {step.operators[0], right};
}

// `a + b + c + …` leans to the left; walking its spine keeps long sums from nesting.
Value Interpreter::evaluate_binary(const Expr& node) {
  const size_t outer = spine_.size();
  const Expr* first = &node;
  for (; first->kind == Expr::Kind::binary; first = first->operands[0]) spine_.push_back(first);
  Value made;
  const Value* left = &evaluate_in_place(*first, made);
  std::optional<Text> sum;  // of a run of texts, which is not copied at each step
  while (spine_.size() > outer) {
    Value right_made;
    const auto [op, right] = next_operand(right_made);
    if (op == Operator::add && right.is_string() && (sum || left->is_string())) {
      if (!sum) sum = *left->text();
      charge_text(sum->size() + right.text()->size());
      sum->append(*right.text());
      continue;
    }
    if (sum) {
      made = std::move(*sum);
      left = &made;
      sum.reset();
    }
    made = binary(*this, op, *left, right);
    left = &made;
  }
  if (sum) return std::move(*sum);
  return made;
}

Value Interpreter::evaluate_concat(const Expr& node) {
  Text out;
  for (const Expr* operand : node.operands) {
    Value made;
    const Value& value = evaluate_in_place(*operand, made);
    charge(weight(value));
    append_str(out, value);
    check_size(static_cast<int64_t>(out.size()));
  }
  charge_text(out.size());
  return out;
}

Value Interpreter::evaluate_compare(const Expr& node) {
  Value made[2];
  const Value* left = &evaluate_in_place(*node.operands[0], made[0]);
  for (size_t i = 0; i < node.operators.size(); ++i) {
    const Value& right = evaluate_in_place(*node.operands[i + 1], made[(i + 1) % 2]);
    line_ = node.line;
    if (!binary(*this, node.operators[i], *left, right).truth()) return false;
    left = &right;
  }
  return true;
}

namespace {

[[noreturn]] void raise_undefined(const Value& value) {
  raise("{}", value.hint().hint ? *value.hint().hint : "an undefined value is used");
}

Value missing(const Value& object, const std::string& what) {
  if (object.is_none()) return Value::undefined(fmt::format("none has no attribute {}", what));
  return Value::undefined(fmt::format("'{} object' has no attribute {}", object.type_name(), what));
}

Value bound_method(Method method, const Value& self, std::string_view name) {
  auto out = std::make_shared<Callable>();
  out->name = "built-in method " + std::string(name);
  out->call = [method, self](Interpreter& run, const Arguments& arguments) {
    return method(run, self, arguments);
  };
  return std::shared_ptr<const Callable>(std::move(out));
}

// A string's or list's element; npos-like nullopt when there is none.
std::optional<Value> element(const Value& object, int64_t index) {
  if (const List* list = object.list()) {
    const auto size = static_cast<int64_t>(list->items.size());
    if (index < 0) index += size;
    if (list->kind > ListKind::range || index < 0 || index >= size) return std::nullopt;
    return list->items[static_cast<size_t>(index)];
  }
  const Text* text = object.text();
  if (text == nullptr) return std::nullopt;
  if (index < 0) index += count_characters(text->bytes());
  if (index < 0) return std::nullopt;
  const size_t begin = offset_of_character(text->bytes(), index);
  if (begin >= text->size()) return std::nullopt;
  size_t end = begin;
  next_character(text->bytes(), end);
  return Value(text->slice(begin, end));
}

}  // namespace

Value Interpreter::get_attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) raise_undefined(object);
  if (const Method method = find_method(object, name)) return bound_method(method, object, name);
  if (is_refused_method(object, name)) {
    return Value::undefined(
        fmt::format("'{}' of a {} changes it, which a chat template may not do", name, object.type_name()));
  }
  if (const Dict* dict = object.dict()) {
    if (const Value* value = dict->find(name)) return *value;
  } else if (Namespace* space = object.space()) {
    if (const Value* value = space->find(name)) return *value;
  } else if (Loop* loop = object.loop()) {
    bool found = false;
    Value value = loop_attribute(*loop, name, found);
    if (found) return value;
  }
  return missing(object, fmt::format("'{}'", name));
}

Value Interpreter::get_item(const Value& object, const Value& key) {
  if (object.is_undefined()) raise_undefined(object);
  if (const Dict* dict = object.dict()) {
    charge(static_cast<int64_t>(dict->entries.size() / 16));
    if (const Value* value = dict->find(key)) return *value;
  } else if (key.is_integer()) {
    if (const Text* text = object.text()) charge(static_cast<int64_t>(text->size() / 64));
    if (auto found = element(object, key.integer())) return *found;
    return Value::undefined(fmt::format("{} object has no element {}", object.type_name(), key.integer()));
  }
  if (const Text* name = key.text()) return get_attribute(object, name->bytes());
  Text shown;
  append_repr(shown, key);
  return missing(object, shown.bytes());
}

Value Interpreter::get_path(const Value& object, const Value& path) {
  if (path.is_none()) return object;
  if (!path.is_string()) return get_item(object, path);
  Value value = object;
  const std::string_view names = path.text()->bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t dot = std::min(names.find('.', begin), names.size());
    const std::string part(names.substr(begin, dot - begin));
    const bool index =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    value = get_item(value, index ? Value(static_cast<int64_t>(std::stol(part))) : Value::string(part));
    begin = dot + 1;
  }
  return value;
}

Value Interpreter::loop_attribute(Loop& loop, std::string_view name, bool& found) {
  found = true;
  if (name == "index") return loop.index0 + 1;
  if (name == "index0") return loop.index0;
  if (name == "first") return loop.index0 == 0;
  if (name == "last") return !loop.peek();
  if (name == "length") return loop.length();
  if (name == "revindex") return loop.length() - loop.index0;
  if (name == "revindex0") return loop.length() - loop.index0 - 1;
  if (name == "depth") return loop.depth0 + 1;
  if (name == "depth0") return loop.depth0;
  if (name == "previtem")
    return loop.index0 == 0 ? Value::undefined("there is no previous item") : loop.previous;
  if (name == "nextitem") return loop.peek() ? loop.ready[loop.given] : Value::undefined("there is no next item");
  found = false;
  return {};
}

}  // namespace fettle::jinja
