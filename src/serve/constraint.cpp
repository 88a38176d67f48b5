#include "serve/constraint.h"

#include "generate/constrain/json_schema.h"

namespace fettle::serve {

std::shared_ptr<const TokenConstraint> constrain(const ModelContext& model, std::string_view field,
                                                 const std::string& key,
                                                 const std::function<Grammar()>& make) {
  if (model.grammars == nullptr) fail_unsupported(field, "this model cannot be constrained");
  try {
    return model.grammars->make(key, make);
  } catch (const Error& error) {
    fail_field(field, "{}", error.what());
  }
}

std::shared_ptr<const TokenConstraint> constrain_to_schema(const ModelContext& model, std::string_view field,
                                                           const OrderedJson& schema) {
  return constrain(model, field, "schema:" + dump_json(schema), [&] { return json_schema_grammar(schema); });
}

std::shared_ptr<const TokenConstraint> constrain_to_object(const ModelContext& model,
                                                           std::string_view field) {
  return constrain(model, field, "object", json_object_grammar);
}

std::shared_ptr<const TokenConstraint> read_response_format(Fields& fields, const ModelContext& model) {
  const OrderedJson* format = fields.find("response_format");
  if (format == nullptr) return nullptr;
  const std::string type = format->is_object() ? format->value("type", "") : "";
  if (type == "text") return nullptr;
  if (type == "json_object") return constrain_to_object(model, "response_format");
  if (type != "json_schema") fail_field("response_format", "type must be text, json_object or json_schema");
  const OrderedJson wrapper = format->value("json_schema", OrderedJson());
  if (!wrapper.is_object() || !wrapper.contains("schema"))
    fail_field("response_format", "json_schema needs 'schema'");
  return constrain_to_schema(model, "response_format", wrapper["schema"]);
}

}  // namespace fettle::serve
