#pragma once
// JSON, free or after a JSON Schema (draft 4 to 2020-12, OpenAPI's `nullable`), as a grammar.
//
// Every text of the grammar is an instance, but not every instance is a text of it: properties come in the
// schema's order; without `additionalProperties` (and `items` beside `prefixItems`) only what is listed is
// written; a keyword of one type without `type` means that type; numbers with bounds have no exponent.
// docs/serve.md has the list of keywords. What it does not know is refused by name: Error "schema
// #/properties/a: …".
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "generate/constrain/grammar.h"

namespace fettle {

/// Instances of `schema` ({"type": "object"}: any JSON object, nested up to 12 levels), perhaps behind one
/// space: a tokenizer whose words begin with a space writes one in front.
Grammar json_schema_grammar(const OrderedJson& schema);

/// Strings that fit a regular expression (pattern.h) from their first to their last character.
Grammar pattern_grammar(std::string_view pattern);
/// One of these texts.
Grammar choice_grammar(const std::vector<std::string>& texts);

/// The texts of `answer`, behind a thought: any text up to `close`, and what newlines follow. `opened`: the prompt has opened
/// it. Else the text may begin with `open` and a thought, or at once.
Grammar behind_thought(Grammar answer, std::string_view open, std::string_view close, bool opened);

/// An answer that calls functions: `begin`, calls with `between` between them, `end`. A call is its `head`,
/// an instance of its `schema`, `tail`.
struct CallGrammar {
  struct Function {
    std::string head;
    OrderedJson schema;
    std::string name;  ///< for errors
  };
  std::vector<Function> functions;
  std::string begin, between, tail, end;
  bool several = false;  ///< else one call
  /// Neither: a call must come. Else the answer may be one of these texts, or an instance of this schema,
  /// instead.
  std::optional<CharacterAutomaton> text;
  std::optional<OrderedJson> answer;
  bool text_before = false;  ///< such a text may also stand in front of the calls
};
/// Throws Error naming the function whose schema is not supported.
Grammar call_grammar(const CallGrammar& calls);

}  // namespace fettle
