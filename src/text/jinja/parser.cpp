#include "text/jinja/parser.h"

#include <algorithm>

#include "base/error.h"

namespace fettle::jinja {

using Kind = Token::Kind;

namespace {
constexpr int kMaxNesting = 160;
}

std::shared_ptr<const Program> parse(std::string_view source, std::string_view where) {
  return Parser(tokenize(source, where), where).run();
}

Parser::Parser(std::vector<Token> tokens, std::string_view where)
    : tokens_(std::move(tokens)), where_(where) {}

Parser::Nested::Nested(Parser& parser) : parser_(parser) {
  if (++parser_.depth_ > kMaxNesting) {
    parser_.error(parser_.token(), fmt::format("nested more than {} deep", kMaxNesting));
  }
}

std::shared_ptr<const Program> Parser::run() {
  program_->body = parse_block({});
  int32_t literal = kFirstLiteral;
  for (Expr& node : program_->expressions) {
    if (node.kind == Expr::Kind::constant && node.constant.is_string())
      node.constant = Text(node.constant.text()->bytes(), literal--);
  }
  for (Stmt& node : program_->statements) {
    if (node.kind == Stmt::Kind::data) node.data = Text(node.data.take_bytes(), literal--);
  }
  return program_;
}

const Token& Parser::take() {
  const Token& taken = tokens_[at_];
  if (taken.kind != Kind::end) ++at_;
  return taken;
}

bool Parser::skip(std::string_view symbol) {
  if (!token().is(symbol)) return false;
  take();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!token().is_name(name)) return false;
  take();
  return true;
}

const Token& Parser::expect(Kind kind, std::string_view what) {
  if (token().kind != kind) error(token(), fmt::format("expected {}, got '{}'", what, token().text));
  return take();
}

void Parser::expect(std::string_view symbol) {
  if (!skip(symbol)) error(token(), fmt::format("expected '{}', got '{}'", symbol, token().text));
}

void Parser::error(const Token& at, const std::string& message) const {
  fail(where_, "line {}, column {}: {}", at.line, at.column, message);
}

Expr& Parser::make(Expr::Kind kind, int32_t line, std::vector<const Expr*> operands) {
  Expr& node = program_->expressions.emplace_back();
  node.kind = kind;
  node.line = line;
  node.operands = std::move(operands);
  return node;
}

Stmt& Parser::make(Stmt::Kind kind, int32_t line) {
  Stmt& node = program_->statements.emplace_back();
  node.kind = kind;
  node.line = line;
  return node;
}

int32_t Parser::symbol(const std::string& name) {
  const auto [entry, added] = symbols_.emplace(name, static_cast<int32_t>(program_->symbols.size()));
  if (added) program_->symbols.push_back(name);
  return entry->second;
}

// Stops at a tag whose name is one of `ends`, with that name as the current token; at the end of the template
// when `ends` is empty.
Block Parser::parse_block(std::initializer_list<std::string_view> ends) {
  const Nested nested(*this);
  const Token& opening = token();
  Block block;
  while (true) {
    const Token& now = token();
    if (now.kind == Kind::data) {
      Stmt& node = make(Stmt::Kind::data, now.line);
      node.data = Text(take().text);
      block.push_back(&node);
    } else if (now.kind == Kind::variable_begin) {
      take();
      Stmt& node = make(Stmt::Kind::print, now.line);
      node.value = parse_tuple();
      expect(Kind::variable_end, "'}}'");
      block.push_back(&node);
    } else if (now.kind == Kind::block_begin) {
      take();
      const bool ends_here =
          token().kind == Kind::name && std::find(ends.begin(), ends.end(), token().text) != ends.end();
      if (ends_here) return block;
      block.push_back(parse_statement());
      expect(Kind::block_end, "'%}'");
    } else if (ends.size() == 0) {
      return block;
    } else {
      error(opening,
            fmt::format("the block that begins here is never closed; add '{{% {} %}}'", *(ends.end() - 1)));
    }
  }
}

Block Parser::parse_body(std::initializer_list<std::string_view> ends) {
  skip(":");
  expect(Kind::block_end, "'%}'");
  return parse_block(ends);
}

const Stmt* Parser::parse_statement() {
  const Token& tag = token();
  if (tag.kind != Kind::name) error(tag, fmt::format("expected the name of a statement, got '{}'", tag.text));
  if (tag.text == "for") return parse_for();
  if (tag.text == "if") return parse_if();
  if (tag.text == "set") return parse_set();
  if (tag.text == "macro") return parse_macro();
  if (tag.text == "call") return parse_call_block();
  if (tag.text == "filter") return parse_filter_block();
  if (tag.text == "with") return parse_with();
  if (tag.text == "generation") return parse_generation();
  if (tag.text == "break" || tag.text == "continue") return parse_loop_control();
  if (tag.text == "print") {
    Stmt& node = make(Stmt::Kind::print, take().line);
    node.value = parse_expression();
    return &node;
  }
  static const std::vector<std::string> known = {"for",    "if",    "set",        "macro", "call",
                                                 "filter", "with",  "generation", "break", "continue",
                                                 "endfor", "endif", "elif",       "else",  "endset"};
  for (std::string_view outside : {"extends", "include", "import", "from", "block", "autoescape"}) {
    if (tag.text == outside) error(tag, fmt::format("'{}' has no meaning in a chat template", tag.text));
  }
  const std::string near = nearest_name(tag.text, known);
  error(tag, fmt::format("unknown or misplaced statement '{}'{}", tag.text,
                         near.empty() || near == tag.text ? "" : fmt::format("; did you mean '{}'?", near)));
}

const Stmt* Parser::parse_for() {
  Stmt& node = make(Stmt::Kind::for_loop, take().line);
  node.target = parse_target(false, "in");
  if (!skip_name("in")) error(token(), fmt::format("expected 'in', got '{}'", token().text));
  node.value = parse_tuple(false, "recursive");
  if (skip_name("if")) node.condition = parse_expression();
  node.recursive = skip_name("recursive");
  node.symbol = symbol("loop");
  ++loops_;
  node.body = parse_body({"endfor", "else"});
  --loops_;
  if (take().text == "else") {
    node.otherwise = parse_body({"endfor"});
    take();
  }
  return &node;
}

const Stmt* Parser::parse_if() {
  Stmt& node = make(Stmt::Kind::if_else, take().line);
  ++conditional_;
  while (true) {
    const Expr* test = parse_tuple(false);
    node.branches.emplace_back(test, parse_body({"elif", "else", "endif"}));
    const Token& end = take();
    if (end.text == "elif") continue;
    if (end.text == "else") {
      node.otherwise = parse_body({"endif"});
      take();
    }
    break;
  }
  --conditional_;
  return &node;
}

const Stmt* Parser::parse_set() {
  const int32_t line = take().line;
  const Expr* target = parse_target(true, {});
  if (skip("=")) {
    Stmt& node = make(Stmt::Kind::set, line);
    node.target = target;
    node.value = parse_tuple();
    return &node;
  }
  Stmt& node = make(Stmt::Kind::set_block, line);
  node.target = target;
  node.value = token().is("|") ? parse_filter(nullptr) : nullptr;
  node.body = parse_body({"endset"});
  take();
  return &node;
}

Block Parser::parse_macro_body(Signature& signature, std::string_view end) {
  const int outer_loops = std::exchange(loops_, 0);
  macros_.push_back(&signature);
  Block body = parse_body({end});
  take();
  macros_.pop_back();
  loops_ = outer_loops;
  return body;
}

const Stmt* Parser::parse_macro() {
  Stmt& node = make(Stmt::Kind::macro, take().line);
  node.name = expect(Kind::name, "the macro's name").text;
  node.symbol = symbol(node.name);
  parse_signature(node.signature);
  node.body = parse_macro_body(node.signature, "endmacro");
  return &node;
}

const Stmt* Parser::parse_call_block() {
  Stmt& node = make(Stmt::Kind::call_block, take().line);
  if (token().is("(")) parse_signature(node.signature);
  const Token& at = token();
  node.value = parse_expression();
  if (node.value->kind != Expr::Kind::call) error(at, "expected a call of a macro");
  node.name = "caller";
  node.body = parse_macro_body(node.signature, "endcall");
  return &node;
}

void Parser::parse_signature(Signature& signature) {
  expect("(");
  while (!token().is(")")) {
    if (!signature.parameters.empty()) expect(",");
    const Token& name = expect(Kind::name, "a parameter's name");
    signature.names.push_back(name.text);
    signature.parameters.push_back(symbol(name.text));
    if (skip("=")) {
      signature.defaults.push_back(parse_expression());
    } else if (!signature.defaults.empty()) {
      error(name, fmt::format("the parameter '{}' needs a default, as one before it has one", name.text));
    }
  }
  take();
}

const Stmt* Parser::parse_filter_block() {
  Stmt& node = make(Stmt::Kind::filter_block, take().line);
  node.value = parse_filter(nullptr, true);
  node.body = parse_body({"endfilter"});
  take();
  return &node;
}

const Stmt* Parser::parse_with() {
  Stmt& node = make(Stmt::Kind::with, take().line);
  while (token().kind != Kind::block_end) {
    if (!node.bindings.empty()) expect(",");
    const Expr* target = parse_target(false, {});
    expect("=");
    node.bindings.emplace_back(target, parse_expression());
  }
  node.body = parse_body({"endwith"});
  take();
  return &node;
}

const Stmt* Parser::parse_generation() {
  Stmt& node = make(Stmt::Kind::generation, take().line);
  node.body = parse_body({"endgeneration"});
  take();
  return &node;
}

const Stmt* Parser::parse_loop_control() {
  const Token& tag = take();
  if (loops_ == 0) error(tag, fmt::format("'{}' outside a for", tag.text));
  return &make(tag.text == "break" ? Stmt::Kind::break_loop : Stmt::Kind::continue_loop, tag.line);
}

const Expr* Parser::parse_target_part(bool namespaces) {
  const Nested nested(*this);
  if (skip("(")) {
    const Expr* inner = parse_target(namespaces, {});
    expect(")");
    return inner;
  }
  const Token& name = expect(Kind::name, "a name to assign to");
  for (std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name.text == constant) error(name, fmt::format("cannot assign to '{}'", name.text));
  }
  Expr& node = make(Expr::Kind::name, name.line);
  node.symbol = symbol(name.text);
  node.text = name.text;
  if (!namespaces || !skip(".")) return &node;
  Expr& attribute = make(Expr::Kind::attribute, name.line, {&node});
  attribute.text = expect(Kind::name, "an attribute's name").text;
  return &attribute;
}

const Expr* Parser::parse_target(bool namespaces, std::string_view end) {
  std::vector<const Expr*> parts;
  const int32_t line = token().line;
  bool tuple = false;
  do {
    if (tuple && (token().is("=") || token().is(")") || (!end.empty() && token().is_name(end)))) break;
    parts.push_back(parse_target_part(namespaces));
    tuple = tuple || token().is(",");
  } while (skip(","));
  return tuple ? &make(Expr::Kind::tuple, line, std::move(parts)) : parts.front();
}

}  // namespace fettle::jinja
