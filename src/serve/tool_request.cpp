#include "serve/tool_request.h"

#include <algorithm>

#include "generate/constrain/json_schema.h"
#include "serve/constraint.h"

namespace fettle::serve {

ToolFields read_tools(Fields& fields, const ModelContext& model) {
  ToolFields tools;
  const OrderedJson* list = fields.find("tools");
  const OrderedJson* choice = fields.find("tool_choice");
  fields.only("parallel_tool_calls", true);
  if (list == nullptr || (list->is_array() && list->empty())) {
    if (choice != nullptr && *choice != "none" && *choice != "auto") fail_field("tool_choice", "needs tools");
    return tools;
  }
  if (!model.tools) fail_unsupported("tools", "this model's chat template does not render tools");
  if (!list->is_array() || list->size() > 128) fail_field("tools", "must be a list of at most 128 tools");
  for (const OrderedJson& tool : *list) {
    const bool good = tool.is_object() && tool.value("type", "function") == "function" &&
                      tool.contains("function") && tool["function"].is_object() &&
                      tool["function"].contains("name") && tool["function"]["name"].is_string();
    if (!good)
      fail_field("tools", "a tool must be {{\"type\": \"function\", \"function\": {{\"name\", …}}}}");
    tools.names.push_back(tool["function"]["name"].get<std::string>());
  }
  tools.list = *list;
  if (choice == nullptr || *choice == "auto") return tools;
  if (*choice == "none") {
    tools.none = true;
  } else if (*choice == "required") {
    tools.required = true;
  } else if (choice->is_object() && choice->contains("function") && (*choice)["function"].is_object() &&
             (*choice)["function"].value("name", "") != "") {
    tools.required = true;
    tools.only = (*choice)["function"]["name"].get<std::string>();
    if (std::ranges::find(tools.names, tools.only) == tools.names.end())
      fail_field("tool_choice", "there is no tool '{}'", tools.only.substr(0, 60));
  } else {
    fail_field("tool_choice", "must be none, auto, required or a function");
  }
  return tools;
}

std::shared_ptr<const TokenConstraint> call_constraint(const ToolFields& tools, const ModelContext& model) {
  if (*model.tools == ToolFormat::listed)
    fail_unsupported("tool_choice", "a call cannot be enforced in this model's format; use auto");
  std::vector<SchemaChoice> choices;
  std::string key = "call:" + tools.only;
  const bool tagged = *model.tools == ToolFormat::tagged;
  for (const OrderedJson& tool : tools.list) {
    const OrderedJson& function = tool["function"];
    if (!tools.only.empty() && function["name"] != tools.only) continue;
    const std::string head = fmt::format("{}{{\"name\": {}, \"{}\": ", tagged ? "<tool_call>\n" : "",
                                         dump_json(function["name"]), tagged ? "arguments" : "parameters");
    const OrderedJson schema =
        function.contains("parameters") ? function["parameters"] : OrderedJson{{"type", "object"}};
    choices.push_back({head, schema});
    key += head + dump_json(schema);
  }
  return constrain(model, "tools", key,
                   [&] { return wrapped_schema_grammar(choices, tagged ? "}\n</tool_call>" : "}"); });
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
      // Arguments that are no JSON stay the text that they are.
      if (auto parsed = parse_if_json(function["arguments"].get_ref<const std::string&>()))
        function["arguments"] = std::move(*parsed);
    }
  }
}

}  // namespace fettle::serve
