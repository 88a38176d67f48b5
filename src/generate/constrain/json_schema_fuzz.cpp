// A JSON Schema or a pattern is refused with an Error, or texts can be drawn that fit it to their end.
#include "generate/constrain/json_schema.h"

namespace {

using namespace fettle;

/// Draws bytes by `choices` until the text may end or they are spent: no text may run into a dead end.
void walk(Grammar grammar, std::string_view choices) {
  GrammarAutomaton automaton(std::move(grammar));
  int32_t state = automaton.start();
  FETTLE_CHECK(state != GrammarAutomaton::dead);
  for (const char choice : choices) {
    std::vector<int32_t> next;
    for (int byte = 0; byte < 256; ++byte) {
      const int32_t to = automaton.next(state, static_cast<uint8_t>(byte));
      if (to != GrammarAutomaton::dead) next.push_back(to);
    }
    FETTLE_CHECK(!next.empty() || automaton.accepts(state));
    if (next.empty()) return;
    state = next[static_cast<uint8_t>(choice) % next.size()];
  }
}

}  // namespace

/// A schema or, behind a first byte '/', a pattern; behind a NUL the choices.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), text.size());
  const std::string_view source = text.substr(0, end), choices = text.substr(end).substr(0, 200);
  try {
    if (source.starts_with('/')) {
      walk(pattern_grammar(source.substr(1)), choices);
    } else {
      parse_json(source, "schema");
      walk(json_schema_grammar(OrderedJson::parse(source)), choices);
    }
  } catch (const Error&) {
  }
  return 0;
}
