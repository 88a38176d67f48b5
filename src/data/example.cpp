#include "data/example.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/hash.h"
#include "data/binarize.h"
#include "data/fields.h"
#include "data/utf8.h"

namespace fettle::data {
namespace {

/// ShareGPT's names of speakers and those of its descendants.
std::string role_of_speaker(const std::string& from, std::string_view where) {
  static const std::map<std::string, std::string> roles{{"human", "user"},
                                                        {"user", "user"},
                                                        {"gpt", "assistant"},
                                                        {"assistant", "assistant"},
                                                        {"chatgpt", "assistant"},
                                                        {"bing", "assistant"},
                                                        {"bard", "assistant"},
                                                        {"model", "assistant"},
                                                        {"system", "system"},
                                                        {"function_call", "assistant"},
                                                        {"tool", "tool"},
                                                        {"observation", "tool"},
                                                        {"function_response", "tool"}};
  const auto found = roles.find(from);
  if (found != roles.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [name, role] : roles) known.push_back(name);
  const std::string near = nearest_name(from, known);
  fail(where, "'from' is '{}', expected human, gpt, system or tool{}", from,
       near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

Message turn_from(const OrderedJson& turn, const std::string& where) {
  if (!turn.is_object()) fail(where, "should be an object with role and content, found {}", describe(turn));
  if (!turn.contains("from")) return message_from_json(turn, where);
  const Columns none;
  const Fields fields(turn, none, where);
  Message message;
  message.role = role_of_speaker(fields.text("from"), where);
  message.content = fields.text("value");
  if (const auto* weight = fields.find("weight")) {
    if (!weight->is_number()) fail(where, "'weight' should be a number, found {}", describe(*weight));
    message.weight = weight->get<double>();
  }
  return message;
}

Messages turns_from(const OrderedJson& value, const std::string& key, std::string_view where) {
  if (!value.is_array()) fail(where, "key '{}' should be a list of turns, found {}", key, describe(value));
  Messages messages;
  messages.reserve(value.size());
  std::string place = fmt::format("{}: {}[", where, key);
  const size_t prefix = place.size();
  for (size_t i = 0; i < value.size(); ++i) {
    place.resize(prefix);
    place += std::to_string(i);
    place += ']';
    messages.push_back(turn_from(value[i], place));
  }
  return messages;
}

Content content_from(const OrderedJson& value, const std::string& key, std::string_view where) {
  Content content;
  if (value.is_string()) {
    content.text = value.get<std::string>();
  } else if (value.is_array()) {
    content.messages = turns_from(value, key, where);
    content.is_chat = true;
  } else if (value.is_object()) {
    content.messages = {turn_from(value, fmt::format("{}: {}", where, key))};
    content.is_chat = true;
  } else {
    fail(where, "key '{}' should be text or a list of messages, found {}", key, describe(value));
  }
  return content;
}

Content content_of(const Fields& fields, std::string_view role) {
  return content_from(fields.need(role), fields.name(role), fields.where());
}

void make_chat(Content& content, const char* role) {
  if (content.is_chat) return;
  content.is_chat = true;
  if (!content.text.empty()) content.messages = {Message{role, content.text}};
  content.text.clear();
}

/// A conversation's last assistant turn is the completion; turns after it are left out.
void split_last_answer(Messages messages, Example& example, std::string_view where) {
  const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                 [](const Message& m) { return m.role == "assistant"; });
  if (last == messages.rend())
    fail(where, "the conversation has no assistant turn, one was expected as the completion");
  const auto at = last.base() - 1;
  example.completion = {"", {*at}, true};
  example.prompt = {"", Messages(messages.begin(), at), true};
}

bool starts_with(const Messages& whole, const Messages& start) {
  return whole.size() > start.size() && std::equal(start.begin(), start.end(), whole.begin());
}

/// Moves what both answers begin with into the prompt (TRL's rule: turn by turn, or character by character
/// with one shared space left to the answers; at least the last turn or character stays in the shorter
/// answer).
void extract_prompt(Example& example) {
  Content &chosen = example.completion, &rejected = example.rejected;
  if (chosen.is_chat) {
    auto &a = chosen.messages, &b = rejected.messages;
    const size_t most = std::min(a.size(), b.size());
    size_t shared = 0;
    while (shared + 1 < most && a[shared] == b[shared]) ++shared;
    example.prompt = {"", Messages(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shared)), true};
    a.erase(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shared));
    b.erase(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(shared));
    return;
  }
  auto &a = chosen.text, &b = rejected.text;
  const size_t most = std::min(a.size(), b.size());
  size_t shared = static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
  if (shared == most && most > 0) --shared;
  shared = character_boundary(a, shared);
  if (shared > 0 && a[shared - 1] == ' ') --shared;
  example.prompt = {a.substr(0, shared), {}, false};
  a.erase(0, shared);
  b.erase(0, shared);
}

void add_system(const Fields& fields, Example& example) {
  const std::string system = fields.text_or_empty("system");
  if (system.empty()) return;
  make_chat(example.prompt, "user");
  make_chat(example.completion, "assistant");
  if (example.kind == Example::Kind::pair) make_chat(example.rejected, "assistant");
  auto& messages = example.prompt.messages;
  if (messages.empty() || messages.front().role != "system")
    messages.insert(messages.begin(), Message{"system", system});
}

std::string joined_instruction(const Fields& fields) {
  const std::string input = fields.text_or_empty("input");
  return fields.text("instruction") + (input.empty() ? "" : "\n" + input);
}

/// The prompt that Alpaca was trained with (tatsu-lab/stanford_alpaca), for use without a chat template.
std::string alpaca_prompt(const std::string& instruction, const std::string& input) {
  if (input.empty()) {
    return "Below is an instruction that describes a task. Write a response that appropriately completes the "
           "request.\n\n"
           "### Instruction:\n" +
           instruction + "\n\n### Response:";
  }
  return "Below is an instruction that describes a task, paired with an input that provides further context. "
         "Write a response that appropriately completes the request.\n\n"
         "### Instruction:\n" +
         instruction + "\n\n### Input:\n" + input + "\n\n### Response:";
}

void from_alpaca(const Fields& fields, Example& example) {
  example.kind = Example::Kind::completion;
  const std::string instruction = fields.text("instruction"), input = fields.text_or_empty("input");
  example.prompt = {alpaca_prompt(instruction, input), {}, true};
  const std::string output = fields.text("output");
  example.completion = {output, {Message{"assistant", output}}, true};
  auto& messages = example.prompt.messages;
  if (const auto* history = fields.find("history"); history != nullptr && history->is_array()) {
    for (const auto& turn : *history) {
      if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string()) {
        fail(fields.where(), "key '{}' should hold [question, answer] pairs, found {}",
             fields.name("history"), describe(turn));
      }
      messages.push_back({"user", turn[0].get<std::string>()});
      messages.push_back({"assistant", turn[1].get<std::string>()});
    }
  }
  messages.push_back({"user", joined_instruction(fields)});
  add_system(fields, example);
}

void from_pair(const Fields& fields, Example& example) {
  example.kind = Example::Kind::pair;
  example.completion = content_of(fields, "chosen");
  example.rejected = content_of(fields, "rejected");
  std::string key;
  const auto* prompt = fields.first_of({"prompt", "conversations", "messages"}, &key);
  const bool answers_are_chats = example.completion.is_chat || example.rejected.is_chat;
  if (answers_are_chats) {
    make_chat(example.completion, "assistant");
    make_chat(example.rejected, "assistant");
  }
  if (prompt != nullptr) {
    example.prompt = content_from(*prompt, key, fields.where());
  } else if (fields.has("instruction")) {
    example.prompt.text = joined_instruction(fields);
  } else {
    extract_prompt(example);
  }
  auto &chosen = example.completion.messages, &rejected = example.rejected.messages;
  const auto has_whole_conversation = [](const Messages& m) {
    return m.size() > 1 && m.front().role != "assistant";
  };
  if (answers_are_chats && !example.prompt.is_chat && has_whole_conversation(chosen) &&
      has_whole_conversation(rejected)) {
    extract_prompt(example);  // the text in "prompt" only repeats the conversation's question
  } else if (example.prompt.is_chat && starts_with(chosen, example.prompt.messages) &&
             starts_with(rejected, example.prompt.messages)) {
    const auto count = static_cast<std::ptrdiff_t>(example.prompt.messages.size());
    chosen.erase(chosen.begin(), chosen.begin() + count);
    rejected.erase(rejected.begin(), rejected.begin() + count);
  }
  if (answers_are_chats || example.prompt.is_chat) {
    make_chat(example.prompt, "user");
    make_chat(example.completion, "assistant");
    make_chat(example.rejected, "assistant");
  }
  add_system(fields, example);
}

void from_completion(const Fields& fields, Example& example) {
  example.kind = Example::Kind::completion;
  example.prompt = content_of(fields, "prompt");
  example.completion = content_of(fields, "completion");
  if (example.prompt.is_chat || example.completion.is_chat) {
    make_chat(example.prompt, "user");
    make_chat(example.completion, "assistant");
  }
  add_system(fields, example);
}

bool label_of(const Fields& fields) {
  std::string key;
  const auto* label = fields.first_of({"label", "kto_tag"}, &key);
  if (label == nullptr) fields.need("label");
  if (label->is_boolean()) return label->get<bool>();
  if (*label == 1 || *label == "true") return true;
  if (*label == 0 || *label == "false") return false;
  fail(fields.where(), "key '{}' should be true or false, found {}", key, describe(*label));
}

void from_judged(const Fields& fields, Example& example) {
  const bool desirable = label_of(fields);
  std::string key;
  if (fields.has("completion")) {
    from_completion(fields, example);
  } else if (const auto* turns = fields.first_of({"messages", "conversations"}, &key)) {
    split_last_answer(turns_from(*turns, key, fields.where()), example, fields.where());
    add_system(fields, example);
  } else {
    fields.need("completion");
  }
  example.kind = Example::Kind::judged;
  example.desirable = desirable;
}

void from_conversation(const Fields& fields, Format format, Example& example) {
  example.kind = Example::Kind::conversation;
  std::string key;
  const auto* turns = format == Format::messages
                          ? &fields.need("messages")
                          : fields.first_of({"conversations", "items", "conversation"}, &key);
  if (turns == nullptr) turns = &fields.need("conversations");
  auto messages = turns_from(*turns, key.empty() ? fields.name("messages") : key, fields.where());
  if (messages.empty()) fail(fields.where(), "the conversation has no turns");
  const std::string system = fields.text_or_empty("system");
  if (!system.empty() && messages.front().role != "system")
    messages.insert(messages.begin(), Message{"system", system});
  example.completion = {"", std::move(messages), true};
}

void read_common(const Fields& fields, Example& example) {
  if (const auto* weight = fields.find("weight")) {
    if (!weight->is_number() || !std::isfinite(weight->get<double>()) || weight->get<double>() < 0) {
      fail(fields.where(), "key '{}' should be a number >= 0, found {}", fields.name("weight"),
           describe(*weight));
    }
    example.weight = weight->get<double>();
  }
  if (const auto* label = fields.first_of({"class", "condition"})) {
    example.class_label = label->is_string() ? label->get<std::string>() : dump_json(*label);
  }
  if (const auto* tools = fields.find("tools")) {
    const bool text = tools->is_string() && !tools->get<std::string>().empty();
    if (text)
      example.variables["tools"] =
          OrderedJson(parse_json(tools->get<std::string>(), fmt::format("{}: tools", fields.where())));
    if (!tools->is_string()) example.variables["tools"] = *tools;
  }
  if (const auto* more = fields.find("chat_template_kwargs"); more != nullptr && more->is_object()) {
    for (const auto& [key, value] : more->items()) example.variables[key] = value;
  }
}

void hash_content(Hasher& hasher, const Content& content) {
  hasher.add(content.text).add(std::to_string(content.messages.size()));
  for (const auto& message : content.messages) {
    hasher.add(message.role)
        .add(message.content)
        .add(message.extra.is_null() ? "" : dump_json(message.extra));
  }
}

std::string content_id(const Example& example) {
  Hasher hasher;
  hasher.add(std::to_string(static_cast<int>(example.kind))).add(example.desirable ? "1" : "0");
  for (const auto* content : {&example.prompt, &example.completion, &example.rejected})
    hash_content(hasher, *content);
  return hasher.hex().substr(0, 16);
}

void check_columns(const Columns& columns) {
  static const std::vector<std::string> roles{"id",
                                              "messages",
                                              "conversations",
                                              "items",
                                              "conversation",
                                              "instruction",
                                              "input",
                                              "output",
                                              "history",
                                              "system",
                                              "prompt",
                                              "completion",
                                              "chosen",
                                              "rejected",
                                              "label",
                                              "kto_tag",
                                              "completions",
                                              "text",
                                              "weight",
                                              "class",
                                              "condition",
                                              "tools",
                                              "chat_template_kwargs"};
  for (const auto& [role, column] : columns) {
    if (std::find(roles.begin(), roles.end(), role) != roles.end()) continue;
    const std::string near = nearest_name(role, roles);
    fail_usage("columns: '{}' is no key of a data format{}", role,
               near.empty() ? "" : fmt::format(", did you mean '{}'?", near));
  }
}

}  // namespace

Example example_from_row(const OrderedJson& row, Format format, const Columns& columns,
                         std::string_view where) {
  check_columns(columns);
  if (!row.is_object()) fail(where, "should be a JSON object, found {}", describe(row));
  if (format == Format::automatic) format = detect_format(row, columns, where);
  const Fields fields(row, columns, where);
  Example example;
  switch (format) {
    case Format::messages:
    case Format::sharegpt:
      from_conversation(fields, format, example);
      break;
    case Format::alpaca:
      from_alpaca(fields, example);
      break;
    case Format::completion:
      from_completion(fields, example);
      break;
    case Format::pair:
      from_pair(fields, example);
      break;
    case Format::judged:
      from_judged(fields, example);
      break;
    case Format::ultrafeedback:
      example = binarize_row(row, columns, where);
      break;
    case Format::text:
    case Format::automatic:
      example.kind = Example::Kind::text;
      example.completion.text = fields.text("text");
  }
  read_common(fields, example);
  if (const auto* id = fields.find("id"))
    example.id = id->is_string() ? id->get<std::string>() : dump_json(*id);
  if (example.id.empty()) example.id = content_id(example);
  return example;
}

}  // namespace fettle::data
