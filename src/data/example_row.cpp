#include <algorithm>
#include <utility>

#include "data/example.h"

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

std::string speaker(const Message& message) {
  if (message.role == "user") return "human";
  if (message.role == "assistant") return "gpt";
  return message.role;
}

OrderedJson sharegpt_turns(const Messages& messages) {
  OrderedJson turns = OrderedJson::array();
  for (const auto& message : messages) {
    turns.push_back({{"from", speaker(message)}, {"value", message.content}});
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
      row["conversations"] = sharegpt_turns(conversation_of(example, "sharegpt"));
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
      row["text"] = example.prompt.text + example.completion.text;
      break;
    case Format::ultrafeedback:
    case Format::automatic:
      fail_usage("rows cannot be written as '{}'", format_name(format));
  }
  if (example.weight != 1.0) row["weight"] = example.weight;
  if (!example.class_label.empty()) row["class"] = example.class_label;
  if (example.variables.is_object()) {
    OrderedJson further = example.variables;
    if (further.contains("tools")) row["tools"] = further["tools"];
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
