#include "serve/api/responses_request.h"

#include <algorithm>

#include "serve/api/translated_fields.h"

namespace fettle::serve {
namespace {

/// A float as the shortest number that means it.
Json number_of(float value) {
  return std::stod(fmt::format("{}", value));
}

Json sorted(const OrderedJson& value) {
  return Json::parse(dump_json(value));
}

/// The conversation with what earlier answers and references stand for.
OrderedJson read_items(BodyFields& fields, const StoredResponses& stored, const std::string& previous) {
  OrderedJson items = OrderedJson::array();
  if (!previous.empty()) {
    auto earlier = stored.conversation(previous);
    if (!earlier) {
      throw ApiError(404, "previous_response_not_found", "previous_response_id",
                     fmt::format("Previous response with id '{}' not found.", previous.substr(0, 80)));
    }
    items = std::move(*earlier);
  }
  const OrderedJson* input = fields.find("input");
  if (input == nullptr) fail_field("input", "is missing");
  if (input->is_string()) {
    items.push_back({{"type", "message"}, {"role", "user"}, {"content", *input}});
    return items;
  }
  if (!input->is_array() || (input->empty() && items.empty()))
    fail_field("input", "must be text or a list of at least one item");
  for (size_t i = 0; i < input->size(); ++i) {
    const OrderedJson& item = (*input)[i];
    const bool names_id = item.is_object() && item.contains("id") && item["id"].is_string();
    const bool reference = item.is_object() && item.contains("type") ? item["type"] == "item_reference"
                                                                     : names_id && item.size() == 1;
    if (!reference) {
      items.push_back(item);
      continue;
    }
    auto found = names_id ? stored.item(item["id"].get<std::string>()) : std::nullopt;
    if (!found) {
      throw ApiError(404, "item_not_found", "input",
                     fmt::format("input[{}]: there is no stored item of that id; send the item itself", i));
    }
    items.push_back(std::move(*found));
  }
  return items;
}

/// Tools stand flat here, and inside "function" in a chat request.
void translate_tools(BodyFields& fields, OrderedJson& chat, Json& settings) {
  settings["tools"] = Json::array();
  const OrderedJson* tools = fields.find("tools");
  if (tools == nullptr) return;
  if (!tools->is_array()) fail_field("tools", "must be a list");
  for (size_t i = 0; i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    BodyFields tool((*tools)[i], path + ".");
    const std::string type = tool.required_text("type");
    if (type != "function") {
      fail_unsupported(path,
                       "a tool of type '{}' is not offered here; there are functions of the client's own",
                       type.substr(0, 40));
    }
    OrderedJson function{{"name", tool.required_text("name")}};
    Json shown{{"type", "function"},
               {"name", function["name"].get<std::string>()},
               {"description", nullptr},
               {"parameters", nullptr},
               {"strict", nullptr}};
    for (const char* key : {"description", "parameters", "strict"}) {
      const OrderedJson* value = tool.find(key);
      if (value == nullptr) continue;
      shown[key] = sorted(*value);
      // Templates show a function as it is written; what has no effect on the answer stays out of the prompt.
      if (*value != OrderedJson(false)) function[key] = *value;
    }
    tool.only("defer_loading", false);
    tool.ignore({"allowed_callers", "output_schema"});
    tool.finish();
    chat["tools"].push_back({{"type", "function"}, {"function", std::move(function)}});
    settings["tools"].push_back(std::move(shown));
  }
}

OrderedJson named_function(const OrderedJson& choice, const std::string& path) {
  BodyFields function(choice, path + ".");
  if (function.required_text("type") != "function")
    fail_unsupported(path, "there are functions alone, no '{}'",
                     choice["type"].get<std::string>().substr(0, 40));
  OrderedJson named{{"type", "function"}, {"function", {{"name", function.required_text("name")}}}};
  function.finish();
  return named;
}

void translate_tool_choice(BodyFields& fields, OrderedJson& chat, Json& settings) {
  settings["tool_choice"] = "auto";
  const OrderedJson* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  settings["tool_choice"] = sorted(*choice);
  if (!choice->is_object()) {
    chat["tool_choice"] = *choice;
  } else if (choice->contains("type") && (*choice)["type"] == "allowed_tools") {
    BodyFields allowed(*choice, "tool_choice.");
    allowed.required_text("type");
    OrderedJson inner{{"mode", allowed.required_text("mode")}, {"tools", OrderedJson::array()}};
    const OrderedJson* tools = allowed.find("tools");
    if (tools == nullptr || !tools->is_array()) fail_field("tool_choice.tools", "must be a list");
    for (size_t i = 0; i < tools->size(); ++i)
      inner["tools"].push_back(named_function((*tools)[i], fmt::format("tool_choice.tools[{}]", i)));
    allowed.finish();
    chat["tool_choice"] = {{"type", "allowed_tools"}, {"allowed_tools", std::move(inner)}};
  } else {
    chat["tool_choice"] = named_function(*choice, "tool_choice");
  }
}

/// text.format
void translate_format(BodyFields& fields, OrderedJson& chat, Json& settings) {
  settings["text"] = {{"format", {{"type", "text"}}}};
  const OrderedJson* text = fields.find("text");
  if (text == nullptr) return;
  BodyFields inner(*text, "text.");
  const std::string verbosity = inner.choice("verbosity", "", {"low", "medium", "high"});
  if (!verbosity.empty()) settings["text"]["verbosity"] = verbosity;
  const OrderedJson* format = inner.find("format");
  inner.finish();
  if (format == nullptr) return;
  BodyFields wanted(*format, "text.format.");
  const std::string type = wanted.choice("type", "text", {"json_object", "json_schema"});
  if (type != "json_schema") {
    wanted.finish();
    chat["response_format"] = {{"type", type}};
    settings["text"]["format"] = {{"type", type}};
    return;
  }
  OrderedJson schema{{"name", wanted.text("name", "answer")}};
  if (const OrderedJson* value = wanted.find("schema")) schema["schema"] = *value;
  const bool strict = wanted.boolean("strict", true);
  const std::string description = wanted.text("description", "");
  wanted.finish();
  settings["text"]["format"] = {{"type", "json_schema"},
                                {"name", schema["name"].get<std::string>()},
                                {"description", description.empty() ? Json() : Json(description)},
                                {"schema", schema.contains("schema") ? sorted(schema["schema"]) : Json()},
                                {"strict", strict}};
  chat["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(schema)}};
}

void translate_reasoning(BodyFields& fields, OrderedJson& chat, Json& settings, const ModelContext& model) {
  settings["reasoning"] = {{"effort", nullptr}, {"summary", nullptr}};
  const OrderedJson* reasoning = fields.find("reasoning");
  if (reasoning == nullptr) return;
  BodyFields inner(*reasoning, "reasoning.");
  const std::string effort =
      inner.choice("effort", "", {"none", "minimal", "low", "medium", "high", "xhigh"});
  // Thoughts are handed out whole, so that there is nothing to sum up.
  const std::string summary = inner.choice("summary", "", {"auto", "concise", "detailed"});
  inner.choice("generate_summary", "", {"auto", "concise", "detailed"});
  inner.finish();
  if (!summary.empty()) settings["reasoning"]["summary"] = summary;
  if (effort.empty()) return;
  settings["reasoning"]["effort"] = effort;
  set_thinking(chat, effort != "none" && effort != "minimal", model);
}

void translate_logprobs(BodyFields& fields, OrderedJson& chat, Json& settings) {
  bool logprobs = false;
  if (const OrderedJson* include = fields.find("include")) {
    if (!include->is_array()) fail_field("include", "must be a list of names");
    for (const OrderedJson& name : *include) {
      if (name == "message.output_text.logprobs") {
        logprobs = true;
      } else if (name != "reasoning.encrypted_content") {  // thoughts are never encrypted
        fail_unsupported("include", "{} is nothing that this server has", dump_json(name).substr(0, 60));
      }
    }
  }
  const int64_t top = fields.integer("top_logprobs", 0, 0, 20);
  settings["top_logprobs"] = top;
  if (!logprobs && top == 0) return;
  chat["logprobs"] = true;
  chat["top_logprobs"] = top;
}

/// Fields that keep their meaning, under the chat request's name for them.
void copy_fields(BodyFields& fields, OrderedJson& chat) {
  constexpr std::pair<const char*, const char*> names[] = {{"model", "model"},
                                                           {"temperature", "temperature"},
                                                           {"top_p", "top_p"},
                                                           {"max_output_tokens", "max_completion_tokens"},
                                                           {"parallel_tool_calls", "parallel_tool_calls"},
                                                           {"presence_penalty", "presence_penalty"},
                                                           {"frequency_penalty", "frequency_penalty"},
                                                           {"user", "user"},
                                                           {"stream", "stream"},
                                                           // Beyond OpenAI's, as for /v1/chat/completions.
                                                           {"seed", "seed"},
                                                           {"stop", "stop"},
                                                           {"top_k", "top_k"},
                                                           {"min_p", "min_p"},
                                                           {"repetition_penalty", "repetition_penalty"},
                                                           {"logit_bias", "logit_bias"},
                                                           {"chat_template_kwargs", "chat_template_kwargs"},
                                                           {"timeout", "timeout"}};
  for (const auto& [name, chat_name] : names) {
    if (const OrderedJson* value = fields.find(name)) chat[chat_name] = *value;
  }
}

/// Fields that the answer repeats and that change nothing here, and those that a local server does not do.
void read_rest(BodyFields& fields, Json& settings) {
  const auto text_or_null = [&](const char* name) {
    const std::string text = fields.text(name, "");
    return text.empty() ? Json() : Json(text);
  };
  settings["safety_identifier"] = text_or_null("safety_identifier");
  settings["prompt_cache_key"] = text_or_null("prompt_cache_key");
  const std::string tier = fields.choice("service_tier", "auto", {"default", "flex", "priority", "scale"});
  settings["service_tier"] = tier == "auto" ? "default" : tier;
  const int64_t calls = fields.integer("max_tool_calls", 0, 0, INT32_MAX);
  settings["max_tool_calls"] = calls > 0 ? Json(calls) : Json();
  settings["metadata"] = Json::object();
  if (const OrderedJson* metadata = fields.find("metadata")) {
    if (!metadata->is_object() || metadata->size() > 16)
      fail_field("metadata", "must be an object of at most 16 texts");
    for (const auto& [key, value] : metadata->items()) {
      if (!value.is_string() || value.get_ref<const std::string&>().size() > 512 || key.size() > 64)
        fail_field("metadata", "keys may have 64 bytes, and values are texts of at most 512");
      settings["metadata"][key] = value.get<std::string>();
    }
  }
  fields.ignore({"prompt_cache_retention", "prompt_cache_options"});
  if (const OrderedJson* options = fields.find("stream_options")) {
    BodyFields inner(*options, "stream_options.");
    inner.boolean("include_obfuscation", false);
    inner.finish();
  }
  fields.only("background", false);
  fields.only("truncation", "disabled");
  settings["background"] = false;
  settings["truncation"] = "disabled";
  for (const char* name :
       {"prompt", "conversation", "context_management", "moderation", "background_options"}) {
    if (fields.find(name) != nullptr)
      fail_unsupported(name, "needs a service that keeps such things; this server has none");
  }
}

ResponsesCall read_responses(const OrderedJson& body, const ModelContext& model,
                             const StoredResponses& stored) {
  BodyFields fields(body);
  ResponsesCall responses;
  Json& settings = responses.settings;
  OrderedJson chat{{"messages", OrderedJson::array()}};
  copy_fields(fields, chat);
  const std::string instructions = fields.text("instructions", "");
  const std::string previous = fields.text("previous_response_id", "");
  responses.items = read_items(fields, stored, previous);
  if (!instructions.empty()) chat["messages"].push_back({{"role", "system"}, {"content", instructions}});
  for (OrderedJson& message : messages_from_items(responses.items, "input"))
    chat["messages"].push_back(std::move(message));
  translate_tools(fields, chat, settings);
  translate_tool_choice(fields, chat, settings);
  translate_format(fields, chat, settings);
  translate_reasoning(fields, chat, settings, model);
  translate_logprobs(fields, chat, settings);
  read_rest(fields, settings);
  responses.store = fields.boolean("store", true);
  fields.finish();
  responses.call = decode_translated(chat, model,
                                     {{"messages", "input"},
                                      {"response_format", "text.format"},
                                      {"max_completion_tokens", "max_output_tokens"},
                                      {"max_tokens", "max_output_tokens"}});
  const SamplingOptions& sampling = responses.call.requests.front().sampling;
  settings["instructions"] = instructions.empty() ? Json() : Json(instructions);
  settings["previous_response_id"] = previous.empty() ? Json() : Json(previous);
  settings["store"] = responses.store;
  settings["user"] = responses.call.user.empty() ? Json() : Json(responses.call.user);
  settings["temperature"] = number_of(sampling.temperature);
  settings["top_p"] = number_of(sampling.top_p);
  settings["presence_penalty"] = number_of(sampling.presence_penalty);
  settings["frequency_penalty"] = number_of(sampling.frequency_penalty);
  settings["parallel_tool_calls"] = fields.boolean("parallel_tool_calls", true);
  const int64_t most = fields.integer("max_output_tokens", 0, 0, INT64_MAX);
  settings["max_output_tokens"] = most > 0 ? Json(most) : Json();
  return responses;
}

}  // namespace

ResponsesCall decode_responses(const OrderedJson& body, const ModelContext& model,
                               const StoredResponses& stored) {
  try {
    return read_responses(body, model, stored);
  } catch (const nlohmann::json::exception& error) {
    throw ApiError(400, "invalid_value", "", fmt::format("the request's body: {}", error.what()));
  }
}

}  // namespace fettle::serve
