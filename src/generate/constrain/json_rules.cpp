#include "generate/constrain/json_rules.h"

#include "generate/constrain/pattern.h"

namespace fettle {

JsonRules::JsonRules(Grammar& grammar) : grammar_(grammar) {
  objects_.fill(-1);
  values_.fill(-1);
}

Grammar::Sequence JsonRules::join(std::initializer_list<Grammar::Sequence> parts) {
  Grammar::Sequence out;
  for (const Grammar::Sequence& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

int32_t JsonRules::once(int32_t& kept, const std::function<int32_t()>& make) {
  if (kept < 0) kept = make();
  return kept;
}

int32_t JsonRules::space() {
  return once(space_, [&] {
    const Grammar::Symbol spaces =
        grammar_.add_terminal({whole_pattern_automaton("( |\n {0,24})?"), TextTerminal::Form::plain});
    return grammar_.add_rule({{spaces}});
  });
}

int32_t JsonRules::quoted(TextTerminal terminal) {
  const Grammar::Symbol inside = grammar_.add_terminal(std::move(terminal));
  return grammar_.add_rule({join({Grammar::literal("\""), {inside}, Grammar::literal("\"")})});
}

int32_t JsonRules::string() {
  return once(string_, [&] { return quoted({any_text(), TextTerminal::Form::json}); });
}

int32_t JsonRules::number(bool integer) {
  return once(numbers_[integer ? 1 : 0], [&] {
    const char* pattern =
        integer ? "-?(0|[1-9][0-9]{0,15})" : "-?(0|[1-9][0-9]{0,15})([.][0-9]{1,16})?([eE][+-]?[0-9]{1,2})?";
    return grammar_.add_rule(
        {{grammar_.add_terminal({whole_pattern_automaton(pattern), TextTerminal::Form::plain})}});
  });
}

int32_t JsonRules::word(std::string_view text) {
  const auto at = words_.try_emplace(std::string(text), -1).first;
  return once(at->second, [&] { return grammar_.add_rule({Grammar::literal(text)}); });
}

int32_t JsonRules::enclosed(char open, int32_t inside, char close) {
  return grammar_.add_rule(
      {join({Grammar::literal({&open, 1}), {ref(space()), ref(inside)}, Grammar::literal({&close, 1})})});
}

/// Any number of items between commas.
int32_t JsonRules::listed(char open, const Grammar::Sequence& item, char close) {
  const int32_t more = grammar_.add_rule();
  grammar_.add_alternative(more, {ref(space())});
  grammar_.add_alternative(more, join({Grammar::literal(","), {ref(space())}, item, {ref(more)}}));
  return enclosed(open, grammar_.add_rule({{}, join({item, {ref(more)}})}), close);
}

int32_t JsonRules::object(int depth) {
  return once(objects_[static_cast<size_t>(depth)], [&] {
    return listed('{', {ref(string()), Grammar::byte(':', ':'), ref(space()), ref(value(depth - 1))}, '}');
  });
}

int32_t JsonRules::value(int depth) {
  return once(values_[static_cast<size_t>(depth)], [&] {
    std::vector<Grammar::Sequence> alternatives{{ref(string())},
                                                {ref(number(false))},
                                                {ref(word("true"))},
                                                {ref(word("false"))},
                                                {ref(word("null"))}};
    if (depth > 0) {
      alternatives.push_back({ref(object(depth))});
      alternatives.push_back({ref(listed('[', {ref(value(depth - 1))}, ']'))});
    }
    return grammar_.add_rule(std::move(alternatives));
  });
}

}  // namespace fettle
