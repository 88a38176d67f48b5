#include "text/jinja/interpreter.h"

#include <algorithm>

#include "base/error.h"

namespace fettle::jinja {

namespace {
constexpr int kMaxNesting = 400;
}

Interpreter::Nested::Nested(Interpreter& run) : run_(run) {
  if (run_.depth_ >= kMaxNesting) {
    raise("calls and expressions are nested more than {} deep; does a macro call itself?", kMaxNesting);
  }
  ++run_.depth_;
}

const Value* Scope::find(int32_t symbol) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    for (const auto& [known, value] : scope->values) {
      if (known == symbol) return &value;
    }
  }
  return nullptr;
}

void Scope::set(int32_t symbol, Value value) {
  for (auto& [known, old] : values) {
    if (known == symbol) {
      old = std::move(value);
      return;
    }
  }
  values.emplace_back(symbol, std::move(value));
}

Interpreter::Interpreter(const Program& program, int64_t steps, std::optional<int64_t> now)
    : program_(program), steps_(steps), now_(now) {}

Interpreter::~Interpreter() {
  for (const Value& loop : loops_) loop.loop()->last_changed.clear();
}

int32_t Program::symbol(std::string_view name) const {
  const auto found = std::find(symbols.begin(), symbols.end(), name);
  return found == symbols.end() ? -1 : static_cast<int32_t>(found - symbols.begin());
}

Bindings::Bindings(const Program& program) : program_(&program) {
  for (const auto& [name, function] : global_functions()) set(name, function);
}

void Bindings::set(int32_t symbol, Value value) {
  if (symbol >= 0) scope_.set(symbol, std::move(value));
}

Text Interpreter::run(Bindings bindings, size_t size, std::string_view where) {
  scope_ = &scopes_.emplace_back(std::move(bindings.scope_));
  Text out;
  out.reserve(size);
  try {
    execute(program_.body, out);
  } catch (const Failure& failure) {
    fail(where, "line {}: {}", line_, failure.what());
  }
  return out;
}

void Interpreter::charge(int64_t steps) {
  steps_ -= steps;
  if (steps_ < 0) raise("the template does not come to an end (step limit reached); does it loop for ever?");
}

void Interpreter::charge_text(size_t bytes) {
  check_size(static_cast<int64_t>(std::min<size_t>(bytes, INT64_MAX)));
  charge(1 + static_cast<int64_t>(bytes / 64));
}

Scope* Interpreter::enter(Scope* parent) {
  Scope* scope = nullptr;
  if (free_scopes_.empty()) {
    scope = &scopes_.emplace_back();
    scope->values.reserve(4);
  } else {
    scope = free_scopes_.back();
    free_scopes_.pop_back();
  }
  scope->parent = parent;
  return scope;
}

void Interpreter::leave(Scope* scope) {
  if (scope->captured) return;
  scope->values.clear();
  free_scopes_.push_back(scope);
}

Interpreter::Flow Interpreter::execute(const Block& block, Text& out) {
  for (const Stmt* node : block) {
    const Flow flow = execute(*node, out);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute(const Stmt& node, Text& out) {
  const Nested nested(*this);
  charge(1);
  line_ = node.line;
  switch (node.kind) {
    case Stmt::Kind::data:
      charge_text(node.data.size());
      out.append(node.data);
      check_size(static_cast<int64_t>(out.size()));
      break;
    case Stmt::Kind::print:
      print_expression(*node.value, out);
      break;
    case Stmt::Kind::if_else:
      return execute_if(node, out);
    case Stmt::Kind::for_loop: {
      Value made;
      execute_for(node, evaluate_in_place(*node.value, made), out);
      break;
    }
    case Stmt::Kind::set:
      assign(*node.target, evaluate(*node.value));
      break;
    case Stmt::Kind::set_block: {
      Value text = capture(node.body);
      if (node.value != nullptr) text = filter_block(*node.value, text);
      assign(*node.target, std::move(text));
      break;
    }
    case Stmt::Kind::macro:
      scope_->set(node.symbol, make_macro(node));
      break;
    case Stmt::Kind::call_block:
      execute_call_block(node, out);
      break;
    case Stmt::Kind::filter_block:
      print(filter_block(*node.value, capture(node.body)), out);
      break;
    case Stmt::Kind::with:
      return execute_with(node, out);
    case Stmt::Kind::generation:
      print(capture(node.body), out);
      break;
    case Stmt::Kind::break_loop:
      return Flow::break_loop;
    case Stmt::Kind::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_if(const Stmt& node, Text& out) {
  for (const auto& [test, body] : node.branches) {
    Value made;
    if (evaluate_in_place(*test, made).truth()) return execute(body, out);
  }
  return execute(node.otherwise, out);
}

/// A sum of texts, which most of a template is, goes out part by part.
void Interpreter::print_expression(const Expr& node, Text& out) {
  const size_t outer = spine_.size();
  const Expr* first = &node;
  for (; first->kind == Expr::Kind::binary && first->operators[0] == Operator::add; first = first->operands[0]) {
    spine_.push_back(first);
  }
  Value made;
  const Value* left = &evaluate_in_place(*first, made);
  if (spine_.size() == outer) return print(*left, out);
  const bool texts = left->is_string();
  if (texts) print(*left, out);
  while (spine_.size() > outer) {
    Value right_made;
    const Value& right = next_operand(right_made).second;
    if (texts && right.is_string()) {
      print(right, out);
    } else {  // of a text and something else it throws
      made = binary(*this, Operator::add, *left, right);
      left = &made;
    }
  }
  if (!texts) print(*left, out);
}

void Interpreter::print(const Value& value, Text& out) {
  charge(weight(value));
  const size_t before = out.size();
  append_str(out, value);
  check_size(static_cast<int64_t>(out.size()));
  charge(static_cast<int64_t>((out.size() - before) / 64));
}

Text Interpreter::capture(const Block& block) {
  Scope* outer = scope_;
  scope_ = enter(outer);
  Text out;
  execute(block, out);
  leave(scope_);
  scope_ = outer;
  return out;
}

// The filter sees the names outside the loop and the loop's own target, not `loop`.
void Interpreter::set_filter(Loop& loop, const Stmt& node) {
  if (node.condition == nullptr) return;
  loop.filter = [this, &node, outer = scope_](const Value& item) {
    charge(1);
    Scope* current = scope_;
    scope_ = enter(outer);
    assign(*node.target, item);
    const bool passed = evaluate(*node.condition).truth();
    leave(scope_);
    scope_ = current;
    return passed;
  };
}

void Interpreter::execute_for(const Stmt& node, const Value& iterable, Text& out, int64_t depth0) {
  auto loop = std::make_shared<Loop>();
  loop->items = iterate(iterable);
  loop->depth0 = depth0;
  charge(static_cast<int64_t>(loop->items.size()));
  Scope* outer = scope_;
  set_filter(*loop, node);
  if (node.recursive) {
    loop->recurse = [this, &node, outer, depth0](const Value& items) {
      const Nested nested(*this);
      Scope* current = std::exchange(scope_, outer);
      Text inner;
      execute_for(node, items, inner, depth0 + 1);
      scope_ = current;
      return Value(std::move(inner));
    };
  }
  bool completed = false;  // Jinja's else also runs when every round was left by break or continue
  scope_ = enter(outer);
  while (loop->advance()) {
    charge(1);
    scope_->values.clear();
    if (node.symbol >= 0) scope_->values.emplace_back(node.symbol, loop);
    assign(*node.target, loop->current);
    const Flow flow = execute(node.body, out);
    if (flow == Flow::break_loop) break;
    completed = completed || flow == Flow::normal;
  }
  loop->filter = nullptr;
  loop->recurse = nullptr;
  leave(scope_);
  scope_ = outer;
  if (!completed && !node.otherwise.empty()) {
    scope_ = enter(outer);
    execute(node.otherwise, out);
    leave(scope_);
    scope_ = outer;
  }
}

void Interpreter::assign(const Expr& target, Value value) {
  if (target.kind == Expr::Kind::name) return scope_->set(target.symbol, std::move(value));
  if (target.kind == Expr::Kind::attribute) {
    const Value object = evaluate(*target.operands[0]);
    if (object.space() == nullptr)
      raise("cannot set an attribute of '{}', which is no namespace", target.operands[0]->text);
    if (target.text.starts_with("_"))
      raise("a namespace cannot hold '{}': the name begins with an underscore", target.text);
    if (Value* known = object.space()->find(target.text)) {
      *known = std::move(value);
    } else {
      object.space()->entries.emplace_back(target.text, std::move(value));
    }
    return;
  }
  const std::vector<Value> items = iterate(value);
  if (items.size() != target.operands.size()) {
    raise("cannot unpack {} values into {} names", items.size(), target.operands.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(*target.operands[i], items[i]);
}

Interpreter::Flow Interpreter::execute_with(const Stmt& node, Text& out) {
  std::vector<Value> values;
  for (const auto& binding : node.bindings) values.push_back(evaluate(*binding.second));
  Scope* outer = scope_;
  scope_ = enter(outer);
  for (size_t i = 0; i < values.size(); ++i) assign(*node.bindings[i].first, std::move(values[i]));
  const Flow flow = execute(node.body, out);
  leave(scope_);
  scope_ = outer;
  return flow;
}

Value Interpreter::make_macro(const Stmt& node) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) scope->captured = true;
  Scope* definition = scope_;
  auto macro = std::make_shared<Callable>();
  macro->name = "Macro '" + node.name + "'";
  macro->call = [&node, definition](Interpreter& run, const Arguments& arguments) {
    return run.call_macro(node, definition, arguments);
  };
  return std::shared_ptr<const Callable>(std::move(macro));
}

Value Interpreter::call_macro(const Stmt& node, Scope* definition, const Arguments& arguments) {
  const Nested nested(*this);
  const int32_t line = line_;
  Scope* outer = scope_;
  scope_ = enter(definition);
  bind(node.signature, node.name, arguments);
  Text out;
  execute(node.body, out);
  leave(scope_);
  scope_ = outer;
  line_ = line;
  return out;
}

void Interpreter::bind(const Signature& signature, const std::string& name, const Arguments& arguments) {
  const size_t count = signature.parameters.size();
  std::vector<Value> extra;
  std::vector<std::pair<Value, Value>> named;
  std::vector<const Value*> given(count, nullptr);
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count) {
      given[i] = &arguments.positional[i];
    } else {
      extra.push_back(arguments.positional[i]);
    }
  }
  const Value* caller = nullptr;
  for (const auto& [key, value] : arguments.named) {
    const auto found = std::find(signature.names.begin(), signature.names.end(), key);
    if (found != signature.names.end()) {
      given[static_cast<size_t>(found - signature.names.begin())] = &value;
    } else if (key == "caller" && signature.caller) {
      caller = &value;
    } else {
      named.emplace_back(Value::string(key), value);
    }
  }
  if (!extra.empty() && !signature.varargs)
    raise("macro '{}' takes not more than {} argument(s)", name, count);
  if (!named.empty() && !signature.kwargs) {
    raise("macro '{}' takes no keyword argument '{}'", name, named.front().first.text()->bytes());
  }
  const size_t first_default = count - signature.defaults.size();
  for (size_t i = 0; i < count; ++i) {
    Value value = Value::undefined(fmt::format("parameter '{}' was not provided", signature.names[i]));
    if (given[i] != nullptr) {
      value = *given[i];
    } else if (i >= first_default) {
      value = evaluate(*signature.defaults[i - first_default]);
    }
    scope_->set(signature.parameters[i], std::move(value));
  }
  const auto define = [&](bool used, std::string_view key, Value value) {
    if (!used) return;
    scope_->set(program_.symbol(key), std::move(value));
  };
  define(signature.varargs, "varargs", make_list(std::move(extra), ListKind::tuple));
  define(signature.kwargs, "kwargs", make_dict(std::move(named)));
  const bool own =
      std::find(signature.names.begin(), signature.names.end(), "caller") != signature.names.end();
  define(signature.caller && !own, "caller",
         caller != nullptr ? *caller : Value::undefined("No caller defined"));
}

void Interpreter::execute_call_block(const Stmt& node, Text& out) {
  Scope* outer = scope_;
  scope_ = enter(outer);
  const Value caller = make_macro(node);
  print(evaluate_call(*node.value, &caller), out);
  leave(scope_);
  scope_ = outer;
}

}  // namespace fettle::jinja
