#include "serve/api/messages_request.h"

#include <algorithm>

#include "base/ordered_json.h"
#include "serve/api/translated_fields.h"

namespace fettle::serve {
namespace {

void translate_tools(BodyFields& fields, OrderedJson& chat) {
  const OrderedJson* tools = fields.find("tools");
  if (tools == nullptr) return;
  if (!tools->is_array()) fail_field("tools", "must be a list");
  for (size_t i = 0; i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    BodyFields tool((*tools)[i], path + ".");
    const std::string type = tool.text("type", "custom");
    if (type != "custom") {
      fail_unsupported(path, "a tool of type '{}' is not offered here; there are tools of the client's own",
                       type.substr(0, 40));
    }
    OrderedJson function{{"name", tool.required_text("name")}};
    if (const OrderedJson* description = tool.find("description")) function["description"] = *description;
    const OrderedJson* schema = tool.find("input_schema");
    if (schema == nullptr) fail_field(path + ".input_schema", "is missing");
    function["parameters"] = *schema;
    if (tool.boolean("strict", false)) function["strict"] = true;
    tool.only("defer_loading", false);
    tool.ignore({"cache_control", "eager_input_streaming", "input_examples", "allowed_callers"});
    tool.finish();
    chat["tools"].push_back({{"type", "function"}, {"function", std::move(function)}});
  }
}

void translate_tool_choice(BodyFields& fields, OrderedJson& chat) {
  const OrderedJson* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  BodyFields inner(*choice, "tool_choice.");
  inner.required_text("type");
  const std::string type = inner.choice("type", "", {"auto", "any", "tool", "none"});
  if (type == "tool") {
    chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", inner.required_text("name")}}}};
  } else {
    chat["tool_choice"] = type == "any" ? "required" : type;
  }
  if (inner.boolean("disable_parallel_tool_use", false)) chat["parallel_tool_calls"] = false;
  inner.finish();
}

void translate_thinking(BodyFields& fields, OrderedJson& chat, const ModelContext& model) {
  const OrderedJson* thinking = fields.find("thinking");
  if (thinking == nullptr) return;
  BodyFields inner(*thinking, "thinking.");
  inner.required_text("type");
  const std::string type = inner.choice("type", "", {"enabled", "disabled", "adaptive"});
  inner.integer("budget_tokens", 0, 0, int64_t{1} << 40);
  inner.choice("display", "", {"summarized"});  // thoughts are shown whole
  inner.finish();
  set_thinking(chat, type != "disabled", model);
}

/// {"type": "json_schema", "schema"} under output_config, or under the name that the beta had for it.
void translate_format(BodyFields& fields, OrderedJson& chat) {
  const OrderedJson* format = fields.find("output_format");
  std::string path = "output_format";
  if (const OrderedJson* config = fields.find("output_config")) {
    BodyFields inner(*config, "output_config.");
    inner.choice("effort", "", {"low", "medium", "high", "xhigh", "max"});
    if (const OrderedJson* value = inner.find("format")) {
      format = value;
      path = "output_config.format";
    }
    inner.finish();
  }
  if (format == nullptr) return;
  BodyFields inner(*format, path + ".");
  inner.choice("type", "json_schema", {});
  const OrderedJson* schema = inner.find("schema");
  if (schema == nullptr) fail_field(path + ".schema", "is missing");
  inner.ignore({"name"});
  inner.finish();
  chat["response_format"] = {{"type", "json_schema"},
                             {"json_schema", {{"name", "answer"}, {"schema", *schema}}}};
}

/// Fields about a service's own ways of running a model.
void read_rest(BodyFields& fields, OrderedJson& chat) {
  if (const OrderedJson* metadata = fields.find("metadata")) {
    BodyFields inner(*metadata, "metadata.");
    const std::string user = inner.text("user_id", "");
    inner.finish();
    if (!user.empty()) chat["user"] = user;
  }
  fields.choice("service_tier", "auto", {"standard_only"});
  fields.only("speed", "standard");
  fields.ignore({"cache_control"});
  if (const OrderedJson* management = fields.find("context_management")) {
    BodyFields inner(*management, "context_management.");
    const OrderedJson* edits = inner.find("edits");
    inner.finish();
    // Agents ask to keep all thoughts, which is what happens anyway.
    for (const OrderedJson& edit : edits != nullptr ? *edits : OrderedJson::array()) {
      if (!edit.is_object() || !edit.contains("keep") || edit["keep"] != "all")
        fail_unsupported("context_management", "nothing is removed from a conversation here");
    }
  }
  for (const char* name : {"container", "mcp_servers", "inference_geo", "diagnostics"}) {
    if (fields.find(name) != nullptr)
      fail_unsupported(name, "needs a service that has such things; this server has none");
  }
}

OrderedJson translate(BodyFields& fields, const ModelContext& model) {
  OrderedJson chat{{"messages", messages_from_blocks(fields)}};
  if (chat["messages"].back()["role"] == "assistant") {
    const OrderedJson& last = chat["messages"].back();
    if (last.contains("tool_calls") || last.contains("reasoning_content"))
      fail_field("messages", "a last message of the assistant is gone on with, so it must be text alone");
    chat["continue_final_message"] = true;
    chat["add_generation_prompt"] = false;
  }
  translate_tools(fields, chat);
  translate_tool_choice(fields, chat);
  translate_thinking(fields, chat, model);
  translate_format(fields, chat);
  read_rest(fields, chat);
  constexpr std::pair<const char*, const char*> names[] = {{"model", "model"},
                                                           {"stop_sequences", "stop"},
                                                           {"temperature", "temperature"},
                                                           {"top_p", "top_p"},
                                                           {"top_k", "top_k"},
                                                           {"stream", "stream"},
                                                           // Beyond Anthropic's, as for /v1/chat/completions.
                                                           {"seed", "seed"},
                                                           {"min_p", "min_p"},
                                                           {"chat_template_kwargs", "chat_template_kwargs"},
                                                           {"timeout", "timeout"}};
  for (const auto& [name, chat_name] : names) {
    const OrderedJson* value = fields.find(name);
    if (value == nullptr) continue;
    if (chat.contains(chat_name) && value->is_object()) {
      OrderedJson both = *value;
      for (const auto& [key, own] : chat[chat_name].items()) {
        if (!both.contains(key)) append_member(both, key, own);
      }
      chat[chat_name] = std::move(both);
    } else {
      chat[chat_name] = *value;
    }
  }
  fields.finish();
  return chat;
}

CompletionCall decode(const OrderedJson& body, const ModelContext& model, bool counts) {
  try {
    BodyFields fields(body);
    if (!counts && fields.find("max_tokens") == nullptr) fail_field("max_tokens", "is missing");
    const int64_t most = fields.integer("max_tokens", INT64_MAX, 1, INT64_MAX);
    if (const OrderedJson* stop = fields.find("stop_sequences"); stop != nullptr && !stop->is_array())
      fail_field("stop_sequences", "must be a list of texts");
    CompletionCall call =
        decode_translated(translate(fields, model), model,
                          {{"stop", "stop_sequences"}, {"response_format", "output_config.format"}});
    // Agents ask for more than a small context has; the answer may fill what the prompt leaves of it.
    GenerationRequest& request = call.requests.front();
    request.max_tokens = std::min(most, model.context - static_cast<int64_t>(request.prompt.size()));
    return call;
  } catch (const nlohmann::json::exception& error) {
    throw ApiError(400, "invalid_value", "", fmt::format("the request's body: {}", error.what()));
  }
}

}  // namespace

CompletionCall decode_messages(const OrderedJson& body, const ModelContext& model) {
  return decode(body, model, false);
}

int64_t count_messages_tokens(const OrderedJson& body, const ModelContext& model) {
  ModelContext boundless = model;
  boundless.context = int64_t{1} << 42;
  OrderedJson counted = body;
  counted.erase("max_tokens");
  counted.erase("stream");
  return static_cast<int64_t>(decode(counted, boundless, true).requests.front().prompt.size());
}

}  // namespace fettle::serve
