#include "generate/constrain/json_schema.h"

#include "generate/constrain/grammar_work.h"
#include "generate/constrain/pattern.h"
#include "generate/constrain/schema_grammar.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

Grammar terminal_grammar(TextTerminal text) {
  Grammar grammar;
  const int32_t start = grammar.add_rule();
  grammar.add_alternative(start, {grammar.add_terminal(std::move(text))});
  return grammar;
}

}  // namespace

Grammar json_schema_grammar(const OrderedJson& schema) {
  const GrammarWork work;
  Grammar grammar;
  const int32_t start = grammar.add_rule();
  JsonRules json(grammar);
  const int32_t instance = SchemaGrammar(json, schema).whole();
  grammar.add_alternative(start, {Grammar::reference(instance)});
  grammar.add_alternative(start, {Grammar::byte(' ', ' '), Grammar::reference(instance)});
  grammar.remove_endless();
  return grammar;
}

Grammar pattern_grammar(std::string_view pattern) {
  const GrammarWork work;
  TextTerminal text(whole_pattern_automaton(pattern), TextTerminal::Form::plain);
  if (text.empty())
    throw Error(fmt::format("no text fits the pattern '{}'",
                            pattern.substr(0, unicode::valid_prefix(pattern.substr(0, 80)))));
  return terminal_grammar(std::move(text));
}

Grammar choice_grammar(const std::vector<std::string>& texts) {
  const GrammarWork work;
  return terminal_grammar({texts_automaton(texts), TextTerminal::Form::plain});
}

Grammar behind_thought(Grammar answer, std::string_view open, std::string_view close, bool opened) {
  const int32_t start = 0, rest = answer.move_start();
  const Grammar::Symbol thought = answer.add_terminal({complement(containing(close)), TextTerminal::Form::plain});
  const Grammar::Symbol gap = answer.add_terminal({whole_pattern_automaton("\n{0,3}"), TextTerminal::Form::plain});
  const Grammar::Sequence thinking = JsonRules::join({{thought}, Grammar::literal(close), {gap, Grammar::reference(rest)}});
  if (opened) {
    answer.add_alternative(start, thinking);
  } else {
    answer.add_alternative(start, JsonRules::join({Grammar::literal(open), thinking}));
    answer.add_alternative(start, {Grammar::reference(rest)});
  }
  return answer;
}

Grammar call_grammar(const CallGrammar& calls) {
  const GrammarWork work;
  Grammar grammar;
  const int32_t start = grammar.add_rule(), call = grammar.add_rule(), more = grammar.add_rule();
  JsonRules json(grammar);
  for (const CallGrammar::Function& function : calls.functions) {
    int32_t arguments = -1;
    try {
      arguments = SchemaGrammar(json, function.schema).whole();
    } catch (const Error& error) {
      fail(fmt::format("the parameters of '{}'", function.name.substr(0, 64)), "{}", error.what());
    }
    grammar.add_alternative(call, JsonRules::join({Grammar::literal(function.head),
                                                   {Grammar::reference(arguments)},
                                                   Grammar::literal(calls.tail)}));
  }
  const Grammar::Sequence end = Grammar::literal(calls.end);
  grammar.add_alternative(more, end);
  if (calls.several)
    grammar.add_alternative(more, JsonRules::join({Grammar::literal(calls.between),
                                                   {Grammar::reference(call), Grammar::reference(more)}}));
  const Grammar::Sequence all =
      JsonRules::join({Grammar::literal(calls.begin), {Grammar::reference(call), Grammar::reference(more)}});
  grammar.add_alternative(start, all);
  if (calls.answer)
    grammar.add_alternative(start, {Grammar::reference(SchemaGrammar(json, *calls.answer).whole())});
  if (calls.text) {
    const Grammar::Symbol text = grammar.add_terminal({*calls.text, TextTerminal::Form::plain});
    grammar.add_alternative(start, {text});
    if (calls.text_before) grammar.add_alternative(start, JsonRules::join({{text}, all}));
  }
  grammar.remove_endless();
  return grammar;
}

}  // namespace fettle
