#pragma once
// Runs a Program: one Interpreter per run, one thread.
#include <list>
#include <optional>

#include "text/jinja/ast.h"

namespace fettle::jinja {

/// Names of one block. Jinja's rule: a `set` inside a for, macro, call, with or block set is gone after it.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<int32_t, Value>> values;
  bool captured = false;  ///< a macro refers to it, so it lives until the run ends

  const Value* find(int32_t symbol) const;  ///< here or in a parent
  void set(int32_t symbol, Value value);
};

/// What the names of a program stand for when a run begins: at first the functions (range, namespace, …). A name
/// that the program never mentions is left out.
class Bindings {
 public:
  explicit Bindings(const Program& program);
  void set(std::string_view name, Value value) { set(program_->symbol(name), std::move(value)); }
  void set(int32_t symbol, Value value);

 private:
  friend class Interpreter;
  const Program* program_;
  Scope scope_;
};

class Interpreter {
 public:
  /// `steps` bounds the work: about one per node visited and per 64 bytes written. `now` is what strftime_now
  /// reads.
  Interpreter(const Program& program, int64_t steps, std::optional<int64_t> now);

  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// The rendered text, for which `size` bytes are set aside at first. Throws Error naming `where` and the line.
  Text run(Bindings bindings, size_t size, std::string_view where);

  // For filters, tests, methods and functions; all throw Failure.
  void charge(int64_t steps);
  void charge_text(size_t bytes);  ///< for a text of that size that is about to be made; refuses a huge one
  Value call(const Value& callee, const Arguments& arguments);
  Value get_attribute(const Value& object, std::string_view name);
  Value get_item(const Value& object, const Value& key);
  /// "a.b.0" as make_attrgetter of Jinja follows it; an integer key is an index.
  Value get_path(const Value& object, const Value& path);
  Namespace* new_namespace() { return &namespaces_.emplace_back(); }
  std::optional<int64_t> now() const { return now_; }
  /// A loop that was handed values, itself perhaps among them: the end of the run parts them.
  void remember(const Value& loop) { loops_.push_back(loop); }

 private:
  enum class Flow : uint8_t { normal, break_loop, continue_loop };
  /// Counts how deep calls and expressions stand in each other, for they use the machine's stack.
  struct Nested {
    explicit Nested(Interpreter& run);
    ~Nested() { --run_.depth_; }
    Interpreter& run_;
  };

  // Statements: jinja_interpreter.cpp
  Flow execute(const Block& block, Text& out);
  Flow execute(const Stmt& node, Text& out);
  Flow execute_if(const Stmt& node, Text& out);
  void execute_for(const Stmt& node, const Value& iterable, Text& out, int64_t depth0 = 0);
  void set_filter(Loop& loop, const Stmt& node);
  Text capture(const Block& block);
  void print_expression(const Expr& node, Text& out);
  void print(const Value& value, Text& out);
  void assign(const Expr& target, Value value);
  Flow execute_with(const Stmt& node, Text& out);
  void execute_call_block(const Stmt& node, Text& out);
  Value make_macro(const Stmt& node);
  Value call_macro(const Stmt& node, Scope* definition, const Arguments& arguments);
  void bind(const Signature& signature, const std::string& name, const Arguments& arguments);

  // Expressions: jinja_evaluate.cpp
  Value evaluate(const Expr& node);
  /// Where the value already stands (a variable, a constant, an entry of one), or `made`, into which it is put: a
  /// copy would count references, and not for long. Stays valid until a statement is executed.
  const Value& evaluate_in_place(const Expr& node, Value& made);
  const Value& name_in_place(const Expr& node, Value& made);
  Value evaluate_items(const Expr& node);
  Value evaluate_dict(const Expr& node);
  const Value& item_in_place(const Expr& node, Value& made);
  const Value& attribute_in_place(const Expr& node, Value& made);
  Value evaluate_slice(const Value& object, const Expr& slice);
  Value evaluate_call(const Expr& node, const Value* caller = nullptr);
  Value evaluate_filter(const Expr& node, const Value& subject);
  Value filter_block(const Expr& node, const Value& text);
  Value evaluate_binary(const Expr& node);
  /// The last of spine_ is done with: its operator, and what stands on its right, evaluated in place.
  std::pair<Operator, const Value&> next_operand(Value& made);
  Value evaluate_concat(const Expr& node);
  Value evaluate_compare(const Expr& node);
  Arguments evaluate_arguments(const CallArguments& node);
  Value loop_attribute(Loop& loop, std::string_view name, bool& found);

  Scope* enter(Scope* parent);
  void leave(Scope* scope);

  const Program& program_;
  int64_t steps_;
  std::optional<int64_t> now_;
  int32_t line_ = 1;
  int depth_ = 0;
  std::list<Namespace> namespaces_;
  std::list<Scope> scopes_;
  std::vector<const Expr*> spine_;  ///< of the sums that are being evaluated
  std::vector<Value> loops_;
  std::vector<Scope*> free_scopes_;
  Scope* scope_ = nullptr;
};

using Method = Value (*)(Interpreter&, const Value& self, const Arguments&);
/// Null when values of this kind have no such method.
Method find_method(const Value& self, std::string_view name);
/// Python has it but the sandbox of chat templates refuses it (list.append, dict.pop).
bool is_refused_method(const Value& self, std::string_view name);
/// range, dict, namespace, raise_exception, strftime_now.
const std::vector<std::pair<std::string, Value>>& global_functions();

Value binary(Interpreter& run, Operator op, const Value& left, const Value& right);
bool contains(Interpreter& run, const Value& container, const Value& item);
Value negate(const Value& value);

/// `format % values` of Python.
Text percent_format(Interpreter& run, const Text& format, const Value& values);
/// str.format.
Text brace_format(Interpreter& run, const Text& format, const Arguments& arguments);
/// json.dumps as transformers' tojson filter calls it. Throws Failure for what JSON cannot hold.
struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};
Text to_json(Interpreter& run, const Value& value, const JsonStyle& style);

}  // namespace fettle::jinja
