#include <algorithm>
#include <utility>

#include "data/rows/example.h"

namespace fettle::data {
namespace {

OrderedJson turn_to_json(const Message& message) {
  OrderedJson turn{{"role", message.role}, {"content", message.content}};
  if (message.weight != 1.0) turn["weight"] = message.weight;
  if (message.extra.is_object()) turn.update(message.extra);
  return turn;
}

OrderedJson turns_to_json(const Messages& messages) {
  OrderedJson turns = OrderedJson::array();
  for (const auto& message : messages) turns.push_back(turn_to_json(message));
  return turns;
}

OrderedJson content_to_json(const Content& content) {
  return content.is_chat ? turns_to_json(content.messages) : OrderedJson(content.text);
}

Messages chat_of(const Content& content, const char* role) {
  if (content.is_chat) return content.messages;
  return content.text.empty() ? Messages{} : Messages{Message{role, content.text}};
}

Messages conversation_of(const Example& example, std::string_view format) {
  if (example.kind == Example::Kind::text) {
    fail(example.id, "is plain text, which the format '{}' cannot hold", format);
  }
  Messages messages = chat_of(example.prompt, "user");
  const auto answer = chat_of(example.completion, "assistant");
  messages.insert(messages.end(), answer.begin(), answer.end());
  return messages;
}

/// Throws Error for a field of a turn beside its text that is not among `held`: the format has no place for it.
void check_fields(const Example& example, const Message& message, std::initializer_list<std::string_view> held, std::string_view format) {
  if (!message.extra.is_object()) return;
  for (const auto& [key, value] : message.extra.items()) {
    const bool nothing = value.is_null() || value == "" || (value.is_array() && value.empty());
    if (nothing || std::find(held.begin(), held.end(), key) != held.end()) continue;
    fail(example.id, "a turn of '{}' has '{}', which the format '{}' cannot hold; 'messages' can", message.role, key, format);
  }
}

/// ShareGPT's own way since LLaMA-Factory: one call as {"name", "arguments"}, several as their list.
std::string calls_as_text(const Example& example, const OrderedJson& calls) {
  OrderedJson list = OrderedJson::array();
  for (const auto& call : calls) {
    const OrderedJson& function = call.is_object() && call.contains("function") ? call["function"] : call;
    if (!function.is_object() || !function.contains("name"))
      fail(example.id, "a tool call has no name, which the format 'sharegpt' needs");
    OrderedJson arguments = function.value("arguments", OrderedJson::object());
    if (arguments.is_string()) arguments = OrderedJson(parse_json(arguments.get<std::string>(), example.id + ": arguments"));
    list.push_back({{"name", function["name"]}, {"arguments", std::move(arguments)}});
  }
  return dump_json(list.size() == 1 ? list[0] : list);
}

OrderedJson sharegpt_turn(const Example& example, const Message& message) {
  constexpr const char* format = "sharegpt";
  // A result follows its call, so that ids say nothing more.
  check_fields(example, message, {"tool_calls", "tool_call_id"}, format);
  const bool calls = message.extra.is_object() && message.extra.contains("tool_calls") && !message.extra["tool_calls"].empty();
  if (!calls) {
    const std::string from = message.role == "user" ? "human" : message.role == "assistant" ? "gpt" : message.role == "tool" ? "observation" : message.role;
    return {{"from", from}, {"value", message.content}};
  }
  if (!message.content.empty()) fail(example.id, "a turn has text beside its tool calls, which the format '{}' cannot hold; 'messages' can", format);
  return {{"from", "function_call"}, {"value", calls_as_text(example, message.extra["tool_calls"])}};
}

OrderedJson sharegpt_turns(const Example& example, const Messages& messages) {
  OrderedJson turns = OrderedJson::array();
  for (const auto& message : messages) {
    turns.push_back(sharegpt_turn(example, message));
    if (message.weight != 1.0) turns.back()["weight"] = message.weight;
  }
  return turns;
}

void put_alpaca(const Example& example, OrderedJson& row) {
  Messages messages = conversation_of(example, "alpaca");
  std::string system;
  if (!messages.empty() && messages.front().role == "system") {
    system = messages.front().content;
    messages.erase(messages.begin());
  }
  bool alternates = messages.size() >= 2 && messages.size() % 2 == 0;
  for (size_t i = 0; i < messages.size(); ++i)
    alternates &= messages[i].role == (i % 2 == 0 ? "user" : "assistant");
  for (const auto& message : messages) {
    check_fields(example, message, {}, "alpaca");
    if (message.weight != 1.0)
      fail(example.id, "a turn of '{}' has the weight {}, which the format 'alpaca' cannot hold; 'messages' can", message.role, message.weight);
  }
  if (!alternates)
    fail(example.id, "does not alternate between user and assistant, which the format 'alpaca' needs");
  row["instruction"] = messages[messages.size() - 2].content;
  row["input"] = "";
  row["output"] = messages.back().content;
  if (!system.empty()) row["system"] = system;
  if (messages.size() == 2) return;
  row["history"] = OrderedJson::array();
  for (size_t i = 0; i + 2 < messages.size(); i += 2) {
    row["history"].push_back(OrderedJson::array({messages[i].content, messages[i + 1].content}));
  }
}

/// A conversation as its prompt and its last answer; others as they are.
Example with_prompt(const Example& example, std::string_view format) {
  if (example.kind == Example::Kind::text)
    fail(example.id, "is plain text, which the format '{}' cannot hold", format);
  if (example.kind != Example::Kind::conversation) return example;
  Example split = example;
  auto& messages = split.completion.messages;
  while (!messages.empty() && messages.back().role != "assistant") messages.pop_back();
  if (messages.empty()) fail(example.id, "has no assistant turn, which the format '{}' needs", format);
  split.prompt = {"", Messages(messages.begin(), messages.end() - 1), true};
  messages.erase(messages.begin(), messages.end() - 1);
  return split;
}

}  // namespace

OrderedJson example_to_row(const Example& example, Format format) {
  OrderedJson row{{"id", example.id}};
  switch (format) {
    case Format::messages:
      row["messages"] = turns_to_json(conversation_of(example, "messages"));
      break;
    case Format::sharegpt:
      row["conversations"] = sharegpt_turns(example, conversation_of(example, "sharegpt"));
      break;
    case Format::alpaca:
      put_alpaca(example, row);
      break;
    case Format::completion:
    case Format::judged: {
      const Example split = with_prompt(example, format_name(format));
      row["prompt"] = content_to_json(split.prompt);
      row["completion"] = content_to_json(split.completion);
      if (format == Format::judged) row["label"] = example.desirable;
      break;
    }
    case Format::pair:
      if (example.kind != Example::Kind::pair)
        fail(example.id, "has no rejected answer, which the format 'pair' needs");
      row["prompt"] = content_to_json(example.prompt);
      row["chosen"] = content_to_json(example.completion);
      row["rejected"] = content_to_json(example.rejected);
      break;
    case Format::text:
      if (example.completion.is_chat)
        fail(example.id, "is a conversation; plain text of it needs a chat template");
      if (example.variables.is_object() && !example.variables.empty())
        fail(example.id, "has '{}', which the format 'text' cannot hold", example.variables.begin().key());
      row["text"] = example.prompt.text + example.completion.text;
      break;
    case Format::ultrafeedback:
    case Format::votes:
    case Format::ranked:
    case Format::summaries:
    case Format::instances:
    case Format::transcript:
    case Format::automatic:
      fail_usage("rows cannot be written as '{}'", format_name(format));
  }
  if (example.weight != 1.0) row["weight"] = example.weight;
  if (!example.class_label.empty()) row["class"] = example.class_label;
  if (example.variables.is_object()) {
    OrderedJson further = example.variables;
    // ShareGPT's own column holds text.
    if (further.contains("tools"))
      row["tools"] = format == Format::sharegpt ? OrderedJson(dump_json(further["tools"])) : further["tools"];
    further.erase("tools");
    if (!further.empty()) row["chat_template_kwargs"] = further;
  }
  return row;
}

std::optional<Example> as_supervised(const Example& example) {
  if (example.kind == Example::Kind::judged && !example.desirable) return std::nullopt;
  Example supervised = example;
  if (example.kind == Example::Kind::pair || example.kind == Example::Kind::judged) {
    supervised.kind = Example::Kind::completion;
    supervised.rejected = {};
  }
  return supervised;
}

std::vector<Example> as_judged(const Example& example) {
  if (example.kind == Example::Kind::text) return {};
  Example desirable = with_prompt(example, "judged");
  desirable.kind = Example::Kind::judged;
  desirable.rejected = {};
  if (example.kind != Example::Kind::pair) return {desirable};
  Example undesirable = desirable;
  undesirable.completion = example.rejected;
  undesirable.desirable = false;
  undesirable.id += "-rejected";
  return {std::move(desirable), std::move(undesirable)};
}

}  // namespace fettle::data
