#pragma once
// JSON, free or after a JSON Schema, as a grammar (response_format, tool arguments).
#include "base/json.h"
#include "generate/constrain/grammar.h"

namespace fettle {

/// Any JSON object, nested up to 12 levels.
Grammar json_object_grammar();

/// Instances of `schema`. Understood: type (a name or a list), properties, required, additionalProperties,
/// items, minItems, maxItems, minLength, maxLength, minimum: 0, enum, const, anyOf, oneOf (read as anyOf),
/// allOf of one, $ref within the schema; annotations are skipped. Properties come in the schema's order, and
/// only those it lists. Throws Error naming any other keyword.
Grammar json_schema_grammar(const OrderedJson& schema);

/// `before`, an instance of one of `schemas` each behind its own `head`, `after`: for calls of tools.
struct SchemaChoice {
  std::string head;
  OrderedJson schema;
};
Grammar wrapped_schema_grammar(const std::vector<SchemaChoice>& choices, std::string_view after);

}  // namespace fettle
