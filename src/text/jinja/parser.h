#pragma once
// Tokens -> Program.
#include <string_view>
#include <unordered_map>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace fettle::jinja {

/// Throws Error naming `where`, line and column: a syntax error, an unknown statement, filter or test. (A
/// filter inside an `if` is only looked up when it runs, as in Jinja2: templates ask for what their engine
/// may lack.)
std::shared_ptr<const Program> parse(std::string_view source, std::string_view where);

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::string_view where);
  std::shared_ptr<const Program> run();

 private:
  // Statements: jinja_parser.cpp
  Block parse_block(std::initializer_list<std::string_view> ends);
  Block parse_body(std::initializer_list<std::string_view> ends);
  const Stmt* parse_statement();
  const Stmt* parse_for();
  const Stmt* parse_if();
  const Stmt* parse_set();
  const Stmt* parse_macro();
  const Stmt* parse_call_block();
  const Stmt* parse_filter_block();
  const Stmt* parse_with();
  const Stmt* parse_generation();
  const Stmt* parse_loop_control();
  void parse_signature(Signature& signature);
  Block parse_macro_body(Signature& signature, std::string_view end);
  const Expr* parse_target(bool namespaces, std::string_view end);
  const Expr* parse_target_part(bool namespaces);

  // Expressions: jinja_parser_expressions.cpp
  const Expr* parse_tuple(bool conditions = true, std::string_view end = {}, bool parentheses = false);
  const Expr* parse_expression();
  const Expr* parse_or();
  const Expr* parse_and();
  const Expr* parse_not();
  const Expr* parse_compare();
  const Expr* parse_sum();
  const Expr* parse_concat();
  const Expr* parse_product();
  const Expr* parse_power();
  const Expr* parse_unary(bool with_filter = true);
  const Expr* parse_primary();
  const Expr* parse_named();
  const Expr* parse_list();
  const Expr* parse_dict();
  const Expr* parse_postfix(const Expr* node);
  const Expr* parse_filters_and_tests(const Expr* node);
  const Expr* parse_subscript(const Expr* node);
  const Expr* parse_index();
  const Expr* parse_call(const Expr* node);
  const Expr* parse_filter(const Expr* node, bool first_is_bare = false);
  const Expr* parse_test(const Expr* node);
  std::unique_ptr<CallArguments> parse_arguments();
  std::string parse_dotted_name();

  const Token& token() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take();
  bool skip(std::string_view symbol);
  bool skip_name(std::string_view name);
  const Token& expect(Token::Kind kind, std::string_view what);
  void expect(std::string_view symbol);
  [[noreturn]] void error(const Token& at, const std::string& message) const;
  Expr& make(Expr::Kind kind, int32_t line, std::vector<const Expr*> operands = {});
  Stmt& make(Stmt::Kind kind, int32_t line);
  int32_t symbol(const std::string& name);

  /// Counts nesting, for the parser recurses.
  struct Nested {
    explicit Nested(Parser& parser);
    ~Nested() { --parser_.depth_; }
    Parser& parser_;
  };

  std::vector<Token> tokens_;
  std::string_view where_;
  size_t at_ = 0;
  std::shared_ptr<Program> program_ = std::make_shared<Program>();
  std::unordered_map<std::string, int32_t> symbols_;
  int depth_ = 0, conditional_ = 0, loops_ = 0;
  std::vector<Signature*> macros_;  ///< that are open
};

}  // namespace fettle::jinja
