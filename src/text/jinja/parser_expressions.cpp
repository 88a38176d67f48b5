#include <algorithm>

#include "base/error.h"
#include "text/jinja/parser.h"

namespace fettle::jinja {

using Kind = Token::Kind;

const Expr* Parser::parse_tuple(bool conditions, std::string_view end, bool parentheses) {
  const Token& begin = token();
  std::vector<const Expr*> items;
  bool tuple = false;
  while (true) {
    const Token& now = token();
    if (now.kind == Kind::variable_end || now.kind == Kind::block_end || now.is(")") ||
        (!end.empty() && now.is_name(end))) {
      break;
    }
    items.push_back(conditions ? parse_expression() : parse_or());
    if (!skip(",")) break;
    tuple = true;
  }
  if (!tuple && !items.empty()) return items.front();
  if (!tuple && !parentheses) error(begin, fmt::format("expected an expression, got '{}'", token().text));
  return &make(Expr::Kind::tuple, begin.line, std::move(items));
}

const Expr* Parser::parse_expression() {
  const Nested nested(*this);
  const Expr* node = parse_or();
  while (token().is_name("if")) {
    const int32_t line = take().line;
    ++conditional_;
    const Expr* test = parse_or();
    const Expr* otherwise = skip_name("else") ? parse_expression() : nullptr;
    --conditional_;
    node = &make(Expr::Kind::condition, line, {test, node, otherwise});
  }
  return node;
}

const Expr* Parser::parse_or() {
  const Expr* left = parse_and();
  while (token().is_name("or")) {
    const int32_t line = take().line;
    left = &make(Expr::Kind::logical_or, line, {left, parse_and()});
  }
  return left;
}

const Expr* Parser::parse_and() {
  const Expr* left = parse_not();
  while (token().is_name("and")) {
    const int32_t line = take().line;
    left = &make(Expr::Kind::logical_and, line, {left, parse_not()});
  }
  return left;
}

const Expr* Parser::parse_not() {
  const Nested nested(*this);
  if (!token().is_name("not")) return parse_compare();
  const int32_t line = take().line;
  return &make(Expr::Kind::logical_not, line, {parse_not()});
}

const Expr* Parser::parse_compare() {
  const int32_t line = token().line;
  std::vector<const Expr*> operands = {parse_sum()};
  std::vector<Operator> operators;
  static constexpr std::pair<std::string_view, Operator> symbols[] = {
      {"==", Operator::equal},      {"!=", Operator::not_equal}, {"<", Operator::less},
      {"<=", Operator::less_equal}, {">", Operator::greater},    {">=", Operator::greater_equal}};
  while (true) {
    const auto found = std::find_if(std::begin(symbols), std::end(symbols),
                                    [&](const auto& entry) { return token().is(entry.first); });
    if (found != std::end(symbols)) {
      take();
      operators.push_back(found->second);
    } else if (skip_name("in")) {
      operators.push_back(Operator::in);
    } else if (token().is_name("not") && ahead().is_name("in")) {
      take();
      take();
      operators.push_back(Operator::not_in);
    } else {
      break;
    }
    operands.push_back(parse_sum());
  }
  if (operators.empty()) return operands.front();
  Expr& node = make(Expr::Kind::compare, line, std::move(operands));
  node.operators = std::move(operators);
  return &node;
}

const Expr* Parser::parse_sum() {
  const Expr* left = parse_concat();
  while (token().is("+") || token().is("-")) {
    const Token& sign = take();
    Expr& node = make(Expr::Kind::binary, sign.line, {left, parse_concat()});
    node.operators = {sign.is("+") ? Operator::add : Operator::subtract};
    left = &node;
  }
  return left;
}

const Expr* Parser::parse_concat() {
  const int32_t line = token().line;
  std::vector<const Expr*> operands = {parse_product()};
  while (skip("~")) operands.push_back(parse_product());
  return operands.size() == 1 ? operands.front() : &make(Expr::Kind::concat, line, std::move(operands));
}

const Expr* Parser::parse_product() {
  static constexpr std::pair<std::string_view, Operator> symbols[] = {{"*", Operator::multiply},
                                                                      {"/", Operator::divide},
                                                                      {"//", Operator::floor_divide},
                                                                      {"%", Operator::modulo}};
  const Expr* left = parse_power();
  while (true) {
    const auto found = std::find_if(std::begin(symbols), std::end(symbols),
                                    [&](const auto& entry) { return token().is(entry.first); });
    if (found == std::end(symbols)) return left;
    const int32_t line = take().line;
    Expr& node = make(Expr::Kind::binary, line, {left, parse_power()});
    node.operators = {found->second};
    left = &node;
  }
}

// Jinja groups powers from the left, unlike Python.
const Expr* Parser::parse_power() {
  const Expr* left = parse_unary();
  while (token().is("**")) {
    const int32_t line = take().line;
    Expr& node = make(Expr::Kind::binary, line, {left, parse_unary()});
    node.operators = {Operator::power};
    left = &node;
  }
  return left;
}

const Expr* Parser::parse_unary(bool with_filter) {
  const Nested nested(*this);
  const Token& sign = token();
  const Expr* node = nullptr;
  if (sign.is("-") || sign.is("+")) {
    take();
    node = &make(sign.is("-") ? Expr::Kind::negate : Expr::Kind::plus, sign.line, {parse_unary(false)});
  } else {
    node = parse_primary();
  }
  node = parse_postfix(node);
  return with_filter ? parse_filters_and_tests(node) : node;
}

const Expr* Parser::parse_primary() {
  const Token& now = token();
  if (now.kind == Kind::name) return parse_named();
  if (now.is("[")) return parse_list();
  if (now.is("{")) return parse_dict();
  if (now.is("(")) {
    take();
    const Expr* inner = parse_tuple(true, {}, true);
    expect(")");
    return inner;
  }
  Expr& node = make(Expr::Kind::constant, now.line);
  if (now.kind == Kind::string) {
    std::string text;
    while (token().kind == Kind::string) text += take().text;
    node.constant = Value::string(std::move(text));
  } else if (now.kind == Kind::integer) {
    node.constant = take().integer;
  } else if (now.kind == Kind::real) {
    node.constant = take().real;
  } else {
    error(now, fmt::format("unexpected '{}'", now.text));
  }
  return &node;
}

const Expr* Parser::parse_named() {
  const Token& name = take();
  const std::string& text = name.text;
  if (text == "true" || text == "True" || text == "false" || text == "False" || text == "none" ||
      text == "None") {
    Expr& node = make(Expr::Kind::constant, name.line);
    if (text[0] == 'n' || text[0] == 'N') {
      node.constant = None{};
    } else {
      node.constant = text[0] == 't' || text[0] == 'T';
    }
    return &node;
  }
  for (Signature* macro : macros_) {
    macro->varargs = macro->varargs || text == "varargs";
    macro->kwargs = macro->kwargs || text == "kwargs";
    macro->caller = macro->caller || text == "caller";
  }
  Expr& node = make(Expr::Kind::name, name.line);
  node.text = text;
  node.symbol = symbol(text);
  return &node;
}

const Expr* Parser::parse_list() {
  const int32_t line = take().line;
  std::vector<const Expr*> items;
  while (!token().is("]")) {
    if (!items.empty()) expect(",");
    if (token().is("]")) break;
    items.push_back(parse_expression());
  }
  take();
  return &make(Expr::Kind::list, line, std::move(items));
}

const Expr* Parser::parse_dict() {
  const int32_t line = take().line;
  std::vector<const Expr*> items;
  while (!token().is("}")) {
    if (!items.empty()) expect(",");
    if (token().is("}")) break;
    items.push_back(parse_expression());
    expect(":");
    items.push_back(parse_expression());
  }
  take();
  return &make(Expr::Kind::dict, line, std::move(items));
}

const Expr* Parser::parse_postfix(const Expr* node) {
  while (true) {
    if (token().is(".") || token().is("[")) {
      node = parse_subscript(node);
    } else if (token().is("(")) {
      node = parse_call(node);
    } else {
      return node;
    }
  }
}

const Expr* Parser::parse_filters_and_tests(const Expr* node) {
  while (true) {
    if (token().is("|")) {
      node = parse_filter(node);
    } else if (token().is_name("is")) {
      node = parse_test(node);
    } else if (token().is("(")) {
      node = parse_call(node);
    } else {
      return node;
    }
  }
}

const Expr* Parser::parse_subscript(const Expr* node) {
  const Token& opening = take();
  if (opening.is(".")) {
    const Token& name = take();
    if (name.kind == Kind::name) {
      Expr& attribute = make(Expr::Kind::attribute, opening.line, {node});
      attribute.text = name.text;
      return &attribute;
    }
    if (name.kind != Kind::integer)
      error(name, fmt::format("expected a name or number after '.', got '{}'", name.text));
    Expr& index = make(Expr::Kind::constant, name.line);
    index.constant = name.integer;
    return &make(Expr::Kind::item, opening.line, {node, &index});
  }
  std::vector<const Expr*> indices;
  while (!token().is("]")) {
    if (!indices.empty()) expect(",");
    indices.push_back(parse_index());
  }
  take();
  const Expr* index =
      indices.size() == 1 ? indices.front() : &make(Expr::Kind::tuple, opening.line, std::move(indices));
  return &make(Expr::Kind::item, opening.line, {node, index});
}

const Expr* Parser::parse_index() {
  const int32_t line = token().line;
  const Expr* start = nullptr;
  if (!token().is(":")) {
    start = parse_expression();
    if (!token().is(":")) return start;
  }
  take();
  const auto bound = [&]() -> const Expr* {
    return token().is(":") || token().is("]") || token().is(",") ? nullptr : parse_expression();
  };
  const Expr* stop = bound();
  const Expr* step = skip(":") ? bound() : nullptr;
  return &make(Expr::Kind::slice, line, {start, stop, step});
}

const Expr* Parser::parse_call(const Expr* node) {
  Expr& call = make(Expr::Kind::call, token().line, {node});
  call.arguments = parse_arguments();
  return &call;
}

std::unique_ptr<CallArguments> Parser::parse_arguments() {
  const Token& opening = token();
  expect("(");
  auto out = std::make_unique<CallArguments>();
  bool first = true;
  while (!token().is(")")) {
    if (!first) expect(",");
    first = false;
    if (token().is(")")) break;
    const bool open = out->star == nullptr && out->star_star == nullptr;
    if (skip("*")) {
      if (!open) error(opening, "two * arguments in a call");
      out->star = parse_expression();
    } else if (skip("**")) {
      if (out->star_star != nullptr) error(opening, "two ** arguments in a call");
      out->star_star = parse_expression();
    } else if (token().kind == Kind::name && ahead().is("=")) {
      const std::string name = take().text;
      take();
      out->named.emplace_back(name, parse_expression());
    } else {
      if (!open || !out->named.empty()) error(token(), "a positional argument behind a named one");
      out->positional.push_back(parse_expression());
    }
  }
  take();
  return out;
}

std::string Parser::parse_dotted_name() {
  std::string name = expect(Kind::name, "a name").text;
  while (skip(".")) name += "." + expect(Kind::name, "a name").text;
  return name;
}

const Expr* Parser::parse_filter(const Expr* node, bool first_is_bare) {
  while (first_is_bare || skip("|")) {
    first_is_bare = false;
    const Token& at = token();
    Expr& filter = make(Expr::Kind::filter, at.line, {node});
    filter.text = parse_dotted_name();
    filter.filter = find_filter(filter.text);
    if (filter.filter == nullptr && conditional_ == 0) {
      const std::string near = nearest_name(filter.text, filter_names());
      error(at, fmt::format("unknown filter '{}'{}", filter.text,
                            near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
    filter.arguments = token().is("(") ? parse_arguments() : std::make_unique<CallArguments>();
    node = &filter;
  }
  return node;
}

const Expr* Parser::parse_test(const Expr* node) {
  take();
  const bool negated = skip_name("not");
  const Token& at = token();
  Expr& test = make(Expr::Kind::test, at.line, {node});
  test.text = parse_dotted_name();
  test.test = find_test(test.text);
  if (test.test == nullptr && conditional_ == 0) {
    const std::string near = nearest_name(test.text, test_names());
    error(at, fmt::format("unknown test '{}'{}", test.text,
                          near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  const Token& now = token();
  const bool operand = now.kind == Kind::name || now.kind == Kind::string || now.kind == Kind::integer ||
                       now.kind == Kind::real || now.is("[") || now.is("{");
  if (now.is("(")) {
    test.arguments = parse_arguments();
  } else {
    test.arguments = std::make_unique<CallArguments>();
    if (operand && !now.is_name("else") && !now.is_name("or") && !now.is_name("and")) {
      if (now.is_name("is")) error(now, "tests cannot be chained with 'is'");
      test.arguments->positional.push_back(parse_postfix(parse_primary()));
    }
  }
  if (!negated) return &test;
  return &make(Expr::Kind::logical_not, at.line, {&test});
}

}  // namespace fettle::jinja
