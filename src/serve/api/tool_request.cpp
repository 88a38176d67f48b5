#include "serve/api/tool_request.h"

#include <algorithm>

#include "generate/constrain/json_schema.h"
#include "generate/constrain/pattern.h"

namespace fettle::serve {
namespace {

void read_tool(const OrderedJson& tool, size_t index, ToolFields& tools) {
  const std::string type = tool.is_object() ? tool.value("type", "function") : "";
  if (type == "custom")
    fail_unsupported("tools", "tools[{}]: custom tools are not supported; write a function", index);
  const bool good = type == "function" && tool.contains("function") && tool["function"].is_object() &&
                    tool["function"].contains("name") && tool["function"]["name"].is_string();
  if (!good)
    fail_field("tools", "tools[{}] must be {{\"type\": \"function\", \"function\": {{\"name\", …}}}}", index);
  const OrderedJson& function = tool["function"];
  if (function.contains("parameters") && !function["parameters"].is_object() &&
      !function["parameters"].is_null())
    fail_field("tools", "tools[{}].function.parameters must be a JSON Schema, an object", index);
  if (function.contains("strict") && !function["strict"].is_boolean() && !function["strict"].is_null())
    fail_field("tools", "tools[{}].function.strict must be true or false", index);
  const auto name = function["name"].get<std::string>();
  if (std::ranges::find(tools.names, name) != tools.names.end())
    fail_field("tools", "tools[{}]: there are two tools of the name '{}'", index, name.substr(0, 60));
  tools.names.push_back(name);
}

/// The name of {"function": {"name"}}, which must be one of the tools'.
std::string named_tool(const OrderedJson& choice, const ToolFields& tools) {
  const bool good = choice.is_object() && choice.contains("function") && choice["function"].is_object() &&
                    choice["function"].contains("name") && choice["function"]["name"].is_string();
  if (!good) fail_field("tool_choice", "must be none, auto, required, allowed_tools or a function");
  const auto name = choice["function"]["name"].get<std::string>();
  if (std::ranges::find(tools.names, name) == tools.names.end())
    fail_field("tool_choice", "there is no tool '{}'", name.substr(0, 60));
  return name;
}

void read_allowed(const OrderedJson& choice, ToolFields& tools) {
  // OpenAI's reference nests the fields; its clients of other languages write them flat.
  const OrderedJson& allowed = choice.contains("allowed_tools") ? choice["allowed_tools"] : choice;
  if (!allowed.is_object() || !allowed.contains("tools") || !allowed["tools"].is_array() ||
      allowed["tools"].empty())
    fail_field("tool_choice", "allowed_tools needs 'tools', a list of functions");
  const std::string mode = allowed.value("mode", "auto");
  if (mode != "auto" && mode != "required")
    fail_field("tool_choice", "the mode of allowed_tools must be auto or required");
  std::vector<std::string> names;
  for (const OrderedJson& tool : allowed["tools"]) names.push_back(named_tool(tool, tools));
  tools.names = std::move(names);
  tools.required = mode == "required";
  tools.limited = true;
}

void read_choice(const OrderedJson& choice, ToolFields& tools) {
  if (choice == "auto") return;
  if (choice == "none") {
    tools.none = true;
  } else if (choice == "required") {
    tools.required = true;
  } else if (choice.is_object() && choice.value("type", "function") == "allowed_tools") {
    read_allowed(choice, tools);
  } else {
    tools.names = {named_tool(choice, tools)};
    tools.required = true;
    tools.limited = true;
    tools.several = false;  // OpenAI's named function is called once
  }
}

/// How the template has a call written.
CallGrammar call_shape(ToolFormat format) {
  CallGrammar shape;
  switch (format) {
    case ToolFormat::tagged:
      shape.between = "\n";
      shape.tail = "}\n</tool_call>";
      shape.text = complement(containing("<tool_call>"));
      shape.text_before = true;
      break;
    case ToolFormat::listed:
      shape.begin = "[TOOL_CALLS] [";
      shape.between = ", ";
      shape.tail = "}";
      shape.end = "]";
      shape.text = complement(containing("[TOOL_CALLS]"));
      shape.text_before = true;
      break;
    case ToolFormat::bare:
      shape.tail = "}";
      shape.text = complement(pattern_automaton("^\\s*(\\{|\\[|<\\|python_tag\\|>)"));
      break;
  }
  return shape;
}

std::string call_head(ToolFormat format, const OrderedJson& name) {
  return fmt::format("{}{{\"name\": {}, \"{}\": ", format == ToolFormat::tagged ? "<tool_call>\n" : "",
                     dump_json(name), format == ToolFormat::bare ? "parameters" : "arguments");
}

/// A function without parameters is called with {}.
OrderedJson parameters_of(const OrderedJson& function) {
  OrderedJson schema = function.value("parameters", OrderedJson());
  if (schema.is_null()) schema = OrderedJson::object();
  const bool says_more = std::ranges::any_of(schema.items(), [](const auto& entry) {
    return entry.key() != "type" && entry.key() != "required" && entry.key() != "title" &&
           entry.key() != "description" && entry.key() != "$schema";
  });
  if (!says_more) schema["properties"] = OrderedJson::object();
  if (!schema.contains("type") && schema.contains("properties")) schema["type"] = "object";
  return schema;
}

bool is_strict(const OrderedJson& function) {
  return function.contains("strict") && function["strict"] == true;
}

}  // namespace

ToolFields read_tools(BodyFields& fields, const ModelContext& model) {
  ToolFields tools;
  const OrderedJson* list = fields.find("tools");
  const OrderedJson* choice = fields.find("tool_choice");
  tools.several = fields.boolean("parallel_tool_calls", true);
  if (list == nullptr || (list->is_array() && list->empty())) {
    if (choice != nullptr && *choice != "none" && *choice != "auto") fail_field("tool_choice", "needs tools");
    return tools;
  }
  if (!model.tools) fail_unsupported("tools", "this model's chat template does not render tools");
  if (!list->is_array() || list->size() > 128) fail_field("tools", "must be a list of at most 128 tools");
  for (size_t i = 0; i < list->size(); ++i) read_tool((*list)[i], i, tools);
  tools.list = *list;
  if (choice != nullptr) read_choice(*choice, tools);
  return tools;
}

std::shared_ptr<const TokenConstraint> call_constraint(const ToolFields& tools, const ModelContext& model,
                                                       const OrderedJson* answer, const ThoughtRoom& room) {
  const ToolFormat format = *model.tools;
  CallGrammar calls = call_shape(format);
  bool strict = false;
  for (const OrderedJson& tool : tools.list) {
    const OrderedJson& function = tool["function"];
    if (std::ranges::find(tools.names, function["name"].get<std::string>()) == tools.names.end()) continue;
    strict = strict || is_strict(function);
    // What a model calls of its own will is held to the function's schema where the function is strict.
    const bool free = !tools.required && !is_strict(function);
    OrderedJson schema = parameters_of(function);
    if (free && schema.value("properties", OrderedJson()) != OrderedJson::object())
      schema = {{"type", "object"}};
    calls.functions.push_back(
        {call_head(format, function["name"]), std::move(schema), function["name"].get<std::string>()});
  }
  if (!tools.required && !tools.limited && tools.several && !strict && answer == nullptr) return nullptr;
  calls.several = tools.several && format != ToolFormat::bare;
  if (tools.required || answer != nullptr) calls.text.reset();
  if (!tools.required && answer != nullptr) calls.answer = *answer;
  std::string key =
      fmt::format("calls:{}:{}:{}:", static_cast<int>(format), calls.several, calls.text.has_value());
  for (const auto& function : calls.functions) key += dump_json(OrderedJson{function.head, function.schema});
  if (calls.answer) key += dump_json(*calls.answer);
  return constrain(
      model, "tools", key, [&] { return call_grammar(calls); }, room);
}

void parse_call_arguments(Messages& messages) {
  for (Message& message : messages) {
    if (!message.extra.is_object() || !message.extra.contains("tool_calls")) continue;
    OrderedJson& calls = message.extra["tool_calls"];
    if (!calls.is_array()) fail_field("messages", "tool_calls must be a list");
    for (OrderedJson& call : calls) {
      if (!call.is_object() || !call.contains("function") || !call["function"].is_object())
        fail_field("messages", "an entry of tool_calls needs 'function'");
      OrderedJson& function = call["function"];
      if (!function.contains("arguments") || !function["arguments"].is_string()) continue;
      auto parsed = parse_if_json(function["arguments"].get<std::string>());
      if (parsed) function["arguments"] = std::move(*parsed);
    }
  }
}

}  // namespace fettle::serve
