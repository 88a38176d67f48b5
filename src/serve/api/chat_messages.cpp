#include "serve/api/chat_messages.h"

#include <algorithm>
#include <array>

#include "base/ordered_json.h"

namespace fettle::serve {
namespace {

constexpr std::array<std::string_view, 5> roles{"system", "user", "assistant", "tool", "developer"};

bool is_empty_list(const OrderedJson& value) {
  return value.is_array() && value.empty();
}

/// An assistant's refusal among the parts of its content is text.
OrderedJson spoken_parts(const OrderedJson& content) {
  if (!content.is_array()) return content;
  OrderedJson parts = OrderedJson::array();
  for (const OrderedJson& part : content) {
    const bool refusal = part.is_object() && part.value("type", "") == "refusal" && part.contains("refusal");
    parts.push_back(refusal ? OrderedJson{{"type", "text"}, {"text", part["refusal"]}} : part);
  }
  return parts;
}

OrderedJson read_assistant(OrderedJson message, const std::string& where) {
  for (const char* key : {"audio", "function_call"}) {
    if (message.contains(key)) fail_unsupported("messages", "{}: '{}' is not supported", where, key);
  }
  if (message.contains("tool_calls") && is_empty_list(message["tool_calls"])) message.erase("tool_calls");
  message.erase("annotations");
  if (message.contains("content"))
    message["content"] = spoken_parts(message["content"]);
  else
    message["content"] = message.value("refusal", "");
  message.erase("refusal");
  return message;
}

OrderedJson read_message(const OrderedJson& given, const std::string& where) {
  if (!given.is_object()) fail_field("messages", "{} must be an object with 'role' and 'content'", where);
  OrderedJson message = OrderedJson::object();
  for (const auto& [key, value] : given.items()) {
    if (!value.is_null()) append_member(message, key, value);
  }
  const bool has_role = message.contains("role") && message["role"].is_string();
  if (!has_role) fail_field("messages", "{} needs 'role', a text", where);
  auto& role = message["role"].get_ref<std::string&>();
  if (std::ranges::find(roles, role) == roles.end()) {
    fail_field("messages", "{}: role '{}' is none of {}{}", where, role.substr(0, 40), fmt::join(roles, ", "),
               role == "function" ? "; a function's result is a message of 'tool'" : "");
  }
  if (role == "developer") role = "system";
  if (role == "assistant") return read_assistant(std::move(message), where);
  if (!message.contains("content")) {
    if (role != "tool") fail_field("messages", "{} needs 'content'", where);
    message["content"] = "";
  }
  return message;
}

}  // namespace

Messages read_messages(BodyFields& fields) {
  const OrderedJson* value = fields.find("messages");
  if (value == nullptr) fail_field("messages", "is missing");
  const OrderedJson list =
      value->is_string() ? OrderedJson::array({{{"role", "user"}, {"content", *value}}}) : *value;
  if (!list.is_array() || list.empty())
    fail_field("messages", "must be a list of at least one message, or text");
  if (list.size() > 4096) fail_field("messages", "has {} messages, 4096 are allowed", list.size());
  Messages messages;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("messages[{}]", i);
    try {
      messages.push_back(message_from_json(read_message(list[i], where), where));
    } catch (const ApiError&) {
      throw;
    } catch (const Error& error) {
      throw ApiError(400, "invalid_value", "messages", error.what());
    }
  }
  return messages;
}

}  // namespace fettle::serve
