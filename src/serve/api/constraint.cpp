#include "serve/api/constraint.h"

#include "generate/constrain/json_schema.h"

namespace fettle::serve {
namespace {

/// {"type": "text" | "json_object" | "json_schema"}, with the schema under json_schema.schema or beside the
/// type.
void read_response_format(const OrderedJson& format, AnswerFormat& out) {
  if (!format.is_object()) fail_field("response_format", "must be an object, got {}", format.type_name());
  BodyFields fields(format);
  const std::string type = fields.text("type", "");
  if (type != "text" && type != "json_object" && type != "json_schema")
    fail_field("response_format", "type must be text, json_object or json_schema, got '{}'",
               type.substr(0, 40));
  const OrderedJson* schema = fields.find("schema");
  const OrderedJson* wrapper = fields.find("json_schema");
  for (const auto& [key, value] : format.items()) {
    if (key != "type" && key != "schema" && key != "json_schema" && !value.is_null())
      fail_unsupported("response_format", "'{}' is not supported inside", key.substr(0, 60));
  }
  if (type == "text") {
    if (schema != nullptr || wrapper != nullptr)
      fail_field("response_format", "has a schema, but its type is text");
    return;
  }
  if (wrapper != nullptr) {
    if (type == "json_object" || schema != nullptr)
      fail_field("response_format", "has a schema in two places, or json_schema beside json_object");
    if (!wrapper->is_object()) fail_field("response_format", "json_schema must be an object");
    for (const auto& [key, value] : wrapper->items()) {
      if (key != "name" && key != "description" && key != "strict" && key != "schema" && !value.is_null())
        fail_unsupported("response_format", "'json_schema.{}' is not supported", key.substr(0, 60));
    }
    BodyFields inner(*wrapper);
    inner.text("name", "");
    inner.text("description", "");
    inner.boolean("strict", true);
    schema = inner.find("schema");
  }
  if (type == "json_schema" && schema == nullptr) fail_field("response_format", "json_schema needs 'schema'");
  out.field = "response_format";
  out.schema = schema != nullptr ? *schema : OrderedJson{{"type", "object"}};
}

/// A schema as an object, or as JSON text.
OrderedJson read_schema(const OrderedJson& value, const std::string& field) {
  if (!value.is_string()) return value;
  auto parsed = parse_if_json(value.get<std::string>());
  if (!parsed) fail_field(field, "must be a JSON Schema");
  return std::move(*parsed);
}

/// One of vLLM's ways to say it: json, regex, choice, json_object.
void read_guide(const std::string& kind, const OrderedJson& value, const std::string& field,
                AnswerFormat& out) {
  if (!out.field.empty()) fail_field(field, "and {} cannot both be given", out.field);
  if (kind == "json") {
    out.schema = read_schema(value, field);
  } else if (kind == "json_object") {
    if (value == false) return;
    if (value != true) fail_field(field, "must be true or false");
    out.schema = OrderedJson{{"type", "object"}};
  } else if (kind == "regex") {
    if (!value.is_string()) fail_field(field, "must be text");
    out.pattern = value.get<std::string>();
  } else if (kind == "choice") {
    if (!value.is_array() || value.empty()) fail_field(field, "must be a list of texts");
    for (const OrderedJson& text : value) {
      if (!text.is_string()) fail_field(field, "must be a list of texts");
      out.choices.push_back(text.get<std::string>());
    }
  } else {
    fail_unsupported(field, "is not supported; there are json, regex, choice and json_object");
  }
  out.field = field;
}

}  // namespace

std::shared_ptr<const TokenConstraint> constrain(const ModelContext& model, std::string_view field,
                                                 const std::string& key, const std::function<Grammar()>& make,
                                                 const ThoughtRoom& room) {
  if (model.grammars == nullptr) fail_unsupported(field, "this model cannot be constrained");
  try {
    const std::string name(field);
    if (room.place == ThoughtRoom::Place::none) return model.grammars->make(key, make, name);
    const bool opened = room.place == ThoughtRoom::Place::opened;
    return model.grammars->make(
        fmt::format("thought:{}:{}:{}", opened, room.close, key), [&] { return behind_thought(make(), room.open, room.close, opened); }, name);
  } catch (const Error& error) {
    fail_field(field, "{}", error.what());
  }
}

std::shared_ptr<const TokenConstraint> constrain_to_schema(const ModelContext& model, std::string_view field,
                                                           const OrderedJson& schema, const ThoughtRoom& room) {
  return constrain(
      model, field, "schema:" + dump_json(schema), [&] { return json_schema_grammar(schema); }, room);
}

ThoughtRoom thought_room(const ModelContext& model, const std::vector<int32_t>& prompt, bool goes_on) {
  ThoughtRoom room;
  if (!model.thoughts) return room;
  constexpr size_t enough = 24;  // tokens of a mark, letter by letter, and the blanks behind it
  const size_t begin = prompt.size() - std::min(enough, prompt.size());
  const std::string tail =
      model.tokenizer->decode(std::vector<int32_t>(prompt.begin() + static_cast<std::ptrdiff_t>(begin), prompt.end()), false);
  room.open = model.thoughts->open;
  room.close = model.thoughts->close;
  if (opens_thought(*model.thoughts, tail))
    room.place = ThoughtRoom::Place::opened;
  else if (!goes_on && !closes_thought(*model.thoughts, tail))
    room.place = ThoughtRoom::Place::possible;
  return room;
}

AnswerFormat read_answer_format(BodyFields& fields) {
  AnswerFormat out;
  if (const OrderedJson* format = fields.find("response_format")) read_response_format(*format, out);
  for (const char* kind : {"json", "regex", "choice", "json_object", "grammar"}) {
    const std::string field = std::string("guided_") + kind;
    if (const OrderedJson* value = fields.find(field.c_str())) read_guide(kind, *value, field, out);
  }
  const OrderedJson* outputs = fields.find("structured_outputs");
  if (outputs == nullptr) return out;
  if (!outputs->is_object()) fail_field("structured_outputs", "must be an object");
  for (const auto& [kind, value] : outputs->items()) {
    if (!value.is_null()) read_guide(kind, value, "structured_outputs." + kind.substr(0, 60), out);
  }
  return out;
}

std::shared_ptr<const TokenConstraint> constrain_to_format(const ModelContext& model,
                                                           const AnswerFormat& format, const ThoughtRoom& room) {
  if (format.schema) return constrain_to_schema(model, format.field, *format.schema, room);
  if (format.pattern)
    return constrain(
        model, format.field, "regex:" + *format.pattern, [&] { return pattern_grammar(*format.pattern); }, room);
  if (format.choices.empty()) return nullptr;
  return constrain(
      model, format.field, "choice:" + dump_json(OrderedJson(format.choices)), [&] { return choice_grammar(format.choices); }, room);
}

}  // namespace fettle::serve
