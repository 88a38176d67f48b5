#include "text/chat/message.h"

#include "base/ordered_json.h"

namespace fettle {
namespace {

template <typename AnyJson>
std::string joined_parts(const AnyJson& parts, std::string_view where) {
  std::string out;
  for (const auto& part : parts) {
    const bool typed = part.is_object() && part.contains("type") && part["type"].is_string();
    if (typed && part["type"] != "text") {
      fail(where, "'content' has a part of type '{}'; this program reads text alone, parts of type 'text'",
           part["type"].template get<std::string>());
    }
    if (!typed || !part.contains("text") || !part["text"].is_string()) {
      fail(where, "a part of 'content' must be {{\"type\": \"text\", \"text\": …}}, found {}",
           dump_json(part).substr(0, 60));
    }
    out += part["text"].template get_ref<const std::string&>();
  }
  return out;
}

template <typename AnyJson>
Message from_any_json(const AnyJson& value, std::string_view where) {
  if (!value.is_object())
    fail(where, "a message must be an object with 'role' and 'content', found {}",
         dump_json(value).substr(0, 60));
  const auto role = value.find("role");
  if (role == value.end() || !role->is_string()) fail(where, "a message needs 'role', a string");
  Message message;
  message.role = role->template get<std::string>();
  message.extra = OrderedJson::object();
  for (const auto& [key, field] : value.items()) {
    if (key == "role") continue;
    if (key == "weight") {
      if (!field.is_number() || !(field.template get<double>() >= 0))
        fail(where, "'weight' of a message must be a number of at least 0");
      message.weight = field.template get<double>();
    } else if (key == "content" && field.is_string()) {
      message.content = field.template get<std::string>();
    } else if (key == "content" && field.is_array()) {
      message.content = joined_parts(field, where);
      append_member(message.extra, key, field);
    } else if (key == "content" && !field.is_null()) {
      fail(where, "'content' of a message must be text, found {}", dump_json(field).substr(0, 60));
    } else {
      append_member(message.extra, key, field);
    }
  }
  if (!value.contains("content") && message.extra.empty()) fail(where, "a message needs 'content', a string");
  if (message.extra.empty()) message.extra = nullptr;
  return message;
}

}  // namespace

Message message_from_json(const Json& value, std::string_view where) {
  return from_any_json(value, where);
}
Message message_from_json(const OrderedJson& value, std::string_view where) {
  return from_any_json(value, where);
}

Json message_to_json(const Message& message) {
  Json out = {{"role", message.role}, {"content", message.content}};
  if (message.weight != 1.0) out["weight"] = message.weight;
  if (message.extra.is_object()) {
    for (const auto& [key, field] : message.extra.items()) out[key] = field;
  }
  return out;
}

}  // namespace fettle
