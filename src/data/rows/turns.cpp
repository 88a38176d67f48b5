#include "data/rows/turns.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/white_space.h"
#include "data/rows/fields.h"
#include "data/rows/json_text.h"
#include "data/rows/turn_keys.h"

namespace fettle::data {
namespace {

bool has_calls(const Message& message) {
  if (!message.extra.is_object()) return false;
  const auto calls = message.extra.find("tool_calls");
  return calls != message.extra.end() && !calls->empty();
}

bool has_thought(const Message& message) {
  if (!message.extra.is_object()) return false;
  return std::any_of(std::begin(thought_keys), std::end(thought_keys), [&](const char* key) {
    const auto thought = message.extra.find(key);
    return thought != message.extra.end() && thought->is_string() &&
           !is_blank(thought->get_ref<const std::string&>());
  });
}

/// {"name", "arguments"} as a call in OpenAI's form.
OrderedJson call_of_function(OrderedJson function) {
  return {{"type", "function"}, {"function", std::move(function)}};
}

OrderedJson parsed(const OrderedJson& value, std::string_view what, std::string_view where) {
  if (!value.is_string()) return value;
  return parse_ordered_json(value.get_ref<const std::string&>(), fmt::format("{}: '{}'", where, what));
}

/// A list of calls in OpenAI's form, from a list, one call, or the JSON text of either. Arguments that are
/// text stay text; in others, keys with null are left out.
OrderedJson calls_from(const OrderedJson& value, std::string_view key, std::string_view where) {
  OrderedJson calls = parsed(value, key, where);
  if (calls.is_object()) calls = OrderedJson::array({std::move(calls)});
  if (!calls.is_array()) fail(where, "'{}' should be a list of tool calls, found {}", key, describe(value));
  for (auto& call : calls) {
    if (!call.is_object()) fail(where, "'{}' should hold tool calls, found {}", key, describe(call));
    remove_nulls(call, false);
    const bool flat = !call.contains("function");
    if (flat && call.contains("name")) call = call_of_function(std::move(call));
    const auto function = call.find("function");
    if (function == call.end() || !function->is_object() || !function->contains("name"))
      fail(where, "a tool call needs a function with a name, found {}", describe(call));
  }
  return calls;
}

/// Reads one turn key by key.
class TurnReader {
 public:
  TurnReader(const OrderedJson& turn, const std::string& where, const TurnRules& rules)
      : turn_(turn), where_(where), rules_(rules) {}

  Message read() {
    for (const auto& [key, value] : turn_.get_ref<const OrderedJson::object_t&>()) take(key, value);
    if (role_ == nullptr) fail(where_, "a turn needs 'role' (or 'from'), found {}", quoted(keys()));
    message_.role = role();
    if (!calls_.is_null()) extra()["tool_calls"] = std::move(calls_);
    read_content();
    check();
    return std::move(message_);
  }

 private:
  OrderedJson& extra() {
    if (message_.extra.is_null()) message_.extra = OrderedJson::object();
    return message_.extra;
  }

  void take(const std::string& key, const OrderedJson& value) {
    switch (turn_key(key)) {
      case TurnKey::role:
        if (role_ == nullptr && value.is_string()) role_ = &value;
        return;
      case TurnKey::content:
        if (content_ == nullptr || content_->is_null()) {
          content_ = &value;
          content_key_ = key;
        }
        return;
      case TurnKey::weight:
        if (!value.is_null()) message_.weight *= weight_of_flag(value, key, where_);
        return;
      case TurnKey::masked:
        if (!value.is_null() && weight_of_flag(value, key, where_) != 0) message_.weight = 0;
        return;
      case TurnKey::calls:
        if (!value.is_null() && !(value.is_array() && value.empty()) && value != "")
          calls_ = calls_from(value, key, where_);
        return;
      case TurnKey::call:
        if (!value.is_null() && calls_.is_null()) calls_ = calls_from(value, key, where_);
        return;
      case TurnKey::known:
        if (!value.is_null()) extra()[key] = value;
        return;
      case TurnKey::unknown:
        if (value.is_null()) return;
        if (rules_.use != nullptr) rules_.use->message_keys.push_back(key);
        extra()[key] = value;
    }
  }

  std::string role() {
    const auto& speaker = role_->get_ref<const std::string&>();
    const auto role = role_of_speaker(speaker);
    if (!role.empty()) return std::string(role);
    const std::string near =
        nearest_name(speaker, {"human", "user", "gpt", "assistant", "system", "tool", "developer"});
    throw RowError("unknown role", where_,
                   fmt::format("'{}' is no role that is known: user (human), assistant (gpt), system, tool{}",
                               speaker, near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
  }

  void read_content() {
    if (content_ == nullptr || content_->is_null()) return;
    if (role_->get_ref<const std::string&>() == "function_call" && calls_.is_null()) {
      extra()["tool_calls"] = calls_from(*content_, content_key_, where_);
      return;
    }
    has_content_ = true;
    if (content_->is_string()) {
      message_.content = content_->get_ref<const std::string&>();
    } else if (content_->is_array()) {
      OrderedJson parts = *content_;
      for (auto& part : parts) {
        if (part.is_string()) part = {{"type", "text"}, {"text", part}};
        if (part.is_object()) remove_nulls(part, false);
        if (part.is_object() && part.size() == 1 && part.contains("text"))
          part = {{"type", "text"}, {"text", part["text"]}};
      }
      OrderedJson whole{{"role", message_.role}, {"content", std::move(parts)}};
      if (message_.extra.is_object()) whole.update(message_.extra);
      const double weight = message_.weight;
      message_ = message_from_json(whole, where_);
      message_.weight = weight;
    } else {
      fail(where_, "'{}' should be text, found {}", content_key_, describe(*content_));
    }
  }

  /// A turn without text is an error, unless calls or thoughts stand in its place.
  void check() {
    if (has_calls(message_) || has_thought(message_)) return;
    const bool answer = message_.role == "assistant";
    if (has_content_ && (!answer || !is_blank(message_.content) || message_.weight == 0)) {
      if (!answer && message_.role != "system" && message_.role != "tool" && is_blank(message_.content) &&
          rules_.use != nullptr)
        rules_.use->remarks.emplace_back("a turn of the user without text");
      return;
    }
    if (answer && rules_.empty_answers) return;
    const std::string key = content_key_.empty() ? "content" : content_key_;
    std::string why;
    if (content_ == nullptr) {
      const std::string near = nearest_name("content", keys());
      why = fmt::format("the turn has neither text nor tool calls, only {}{}", quoted(keys()),
                        near.empty() ? "" : fmt::format("; did you mean 'content' by '{}'?", near));
    } else {
      why = fmt::format("'{}' is {}, and the turn has no tool calls", key,
                        content_->is_null() ? "null" : "empty");
    }
    throw RowError(fmt::format("{} ('{}')", answer ? "empty answer" : "turn without text", key), where_, why);
  }

  std::vector<std::string> keys() const {
    std::vector<std::string> all;
    for (const auto& [key, value] : turn_.items()) all.push_back(key);
    return all;
  }

  const OrderedJson& turn_;
  const std::string& where_;
  const TurnRules& rules_;
  Message message_;
  const OrderedJson *role_ = nullptr, *content_ = nullptr;
  std::string content_key_;
  OrderedJson calls_ = nullptr;
  bool has_content_ = false;
};

Message message_of(const char* role, const OrderedJson& text, const std::string& where,
                   const TurnRules& rules) {
  return TurnReader(OrderedJson{{"role", role}, {"content", text}}, where, rules).read();
}

/// {"input": "…", "output": "…"} and the like: up to three turns.
bool add_exchange(const OrderedJson& value, const std::string& where, const TurnRules& rules,
                  Messages& messages) {
  const auto& object = value.get_ref<const OrderedJson::object_t&>();
  const bool has_role = std::any_of(object.begin(), object.end(), [](const auto& field) {
    return turn_key(field.first) == TurnKey::role && field.second.is_string();
  });
  if (has_role) return false;
  std::array<std::pair<const std::string*, const OrderedJson*>, 3> turns{};
  for (const auto& [key, text] : object) {
    const int place = exchange_place(key);
    if (text.is_null()) continue;
    if (place < 0) {
      if (rules.use != nullptr) rules.use->message_keys.push_back(key);
      continue;
    }
    if (!text.is_string()) fail(where, "'{}' should be text, found {}", key, describe(text));
    if (turns[static_cast<size_t>(place)].second == nullptr)
      turns[static_cast<size_t>(place)] = {&key, &text};
  }
  if (turns[1].second == nullptr && turns[2].second == nullptr) return false;
  constexpr std::array<const char*, 3> roles{"system", "user", "assistant"};
  for (size_t i = 0; i < turns.size(); ++i) {
    const auto [key, text] = turns[i];
    if (text == nullptr || (i == 0 && *text == "")) continue;
    if (i == 2 && !rules.empty_answers && is_blank(text->get_ref<const std::string&>()))
      throw RowError(fmt::format("empty answer ('{}')", *key), where, fmt::format("'{}' is empty", *key));
    messages.push_back(message_of(roles[i], *text, where, rules));
  }
  return true;
}

void add_turn(const OrderedJson& value, const std::string& where, const TurnRules& rules,
              Messages& messages) {
  if (value.is_string()) {  // a plain list of texts: the user begins
    messages.push_back(message_of(messages.size() % 2 == 0 ? "user" : "assistant", value, where, rules));
  } else if (value.is_array() && value.size() == 2 && value[0].is_string() &&
             value[1].is_string()) {  // [question, answer]
    messages.push_back(message_of("user", value[0], where, rules));
    messages.push_back(message_of("assistant", value[1], where, rules));
  } else if (!value.is_object()) {
    fail(where, "should be an object with role and content, found {}", describe(value));
  } else if (!add_exchange(value, where, rules, messages)) {
    messages.push_back(TurnReader(value, where, rules).read());
  }
}

}  // namespace

void remove_nulls(OrderedJson& value, bool schema) {
  if (value.is_array()) {
    for (auto& item : value) remove_nulls(item, schema);
    return;
  }
  if (!value.is_object()) return;
  const auto goes = [&](const auto& field) {
    return field.second.is_null() && !(schema && (field.first == "default" || field.first == "const"));
  };
  auto& object = value.get_ref<OrderedJson::object_t&>();
  if (std::any_of(object.begin(), object.end(), goes)) {
    OrderedJson::object_t kept;
    for (auto& field : object) {
      if (!goes(field)) kept.emplace_back(field.first, std::move(field.second));
    }
    value = OrderedJson(std::move(kept));
  }
  for (auto& [key, field] : value.get_ref<OrderedJson::object_t&>()) remove_nulls(field, schema);
}

Messages turns_from(const OrderedJson& value, std::string_view key, std::string_view where,
                    const TurnRules& rules) {
  if (!value.is_array()) fail(where, "key '{}' should be a list of turns, found {}", key, describe(value));
  Messages messages;
  messages.reserve(value.size());
  std::string place = fmt::format("{}: {}[", where, key);
  const size_t prefix = place.size();
  for (size_t i = 0; i < value.size(); ++i) {
    place.resize(prefix);
    place += std::to_string(i);
    place += ']';
    add_turn(value[i], place, rules, messages);
  }
  return messages;
}

Content content_from(const OrderedJson& value, std::string_view key, std::string_view where,
                     const TurnRules& rules) {
  Content content;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    content.text = text;
    content.is_chat = is_transcript(text);
    if (content.is_chat) {
      content.messages = turns_of_transcript(text);
      for (const auto& message : content.messages) {
        if (message.role == "assistant" && is_blank(message.content) && !rules.empty_answers)
          throw RowError(fmt::format("empty answer ('{}')", key), where,
                         fmt::format("an answer in the text under '{}' is empty", key));
      }
      if (rules.use != nullptr)
        rules.use->remarks.emplace_back("a text with the marks of speakers, read as turns");
    }
    return content;
  }
  content.is_chat = true;
  if (value.is_array()) {
    content.messages = turns_from(value, key, where, rules);
  } else if (value.is_object()) {
    add_turn(value, fmt::format("{}: {}", where, key), rules, content.messages);
  } else {
    fail(where, "key '{}' should be text or a list of messages, found {}", key, describe(value));
  }
  return content;
}

}  // namespace fettle::data
