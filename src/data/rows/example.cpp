#include "data/rows/example.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/white_space.h"
#include "data/rows/binarize.h"
#include "data/rows/labels.h"
#include "data/rows/row_parts.h"

namespace fettle::data {
namespace {

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

void read_alpaca(const Fields& fields, const TurnRules& rules, Example& example) {
  put_alpaca_prompt(fields, rules, example);
  const std::string output = fields.text("output");
  example.completion = {output, {Message{"assistant", output}}, true};
  check_answer(example.completion, fields.name("output"), fields.where());
}

void read_completion(const Fields& fields, const TurnRules& rules, Example& example) {
  example.kind = Example::Kind::completion;
  std::string key;
  fields.need_one_of(prompt_keys());
  example.prompt = prompt_of(fields, rules);
  example.completion = content_from(fields.need_one_of(completion_keys(), &key), key, fields.where(), rules);
  check_answer(example.completion, key, fields.where());
  make_alike(example);
  add_history(fields, rules, example);
  add_system(fields, example);
}

bool label_in(const Fields& fields) {
  std::string key;
  const auto& label = fields.need_one_of(label_keys(), &key);
  if (const auto least = fields.label_threshold()) {
    if (label.is_number()) return label.get<double>() >= *least;
    fail(fields.where(), "key '{}' should be a number to compare with {}, found {}", key, *least, describe(label));
  }
  if (const auto wanted = label_of(label)) return *wanted;
  throw RowError(fmt::format("unknown label ('{}')", key), fields.where(),
                 fmt::format("key '{}' should be true or false (or 1 and -1, yes and no, up and down, …), found {}", key, describe(label)));
}

void read_judged(const Fields& fields, const TurnRules& rules, Example& example) {
  const bool desirable = label_in(fields);
  std::string key;
  const auto* turns = find_turns(fields, &key);
  if (turns != nullptr && (fields.first_of(completion_keys()) == nullptr || fields.first_of(prompt_keys()) == nullptr)) {
    split_last_answer(turns_from(*turns, key, fields.where(), rules), example, fields.where());
    example.kind = Example::Kind::judged;
    add_system(fields, example);
  } else if (fields.has("output") && fields.has("instruction")) {
    read_alpaca(fields, rules, example);
  } else {
    read_completion(fields, rules, example);
  }
  example.kind = Example::Kind::judged;
  example.desirable = desirable;
}

void put_conversation(Messages messages, std::string_view key, const Fields& fields, Example& example) {
  if (messages.empty()) throw RowError(fmt::format("no turns ('{}')", key), fields.where(), fmt::format("the conversation under '{}' has no turns", key));
  example.kind = Example::Kind::conversation;
  example.completion = {"", std::move(messages), true};
  add_system(fields, example);
}

void read_conversation(const Fields& fields, Format format, const TurnRules& rules, Example& example) {
  std::string key = fields.name("messages");
  const auto* turns = format == Format::messages ? &fields.need("messages") : find_turns(fields, &key);
  if (turns == nullptr) turns = &fields.need("conversations");
  put_conversation(turns_from(*turns, key, fields.where(), rules), key, fields, example);
}

/// {"instruction", "instances": [{"input", "output"}]} with one instance.
void read_instances(const Fields& fields, const TurnRules& rules, Example& example) {
  const auto& instances = fields.need("instances");
  if (!instances.is_array() || instances.size() != 1 || !instances[0].is_object()) {
    fail(fields.where(), "key '{}' should hold one instance, found {}; write a row for each of several", fields.name("instances"),
         instances.is_array() ? std::to_string(instances.size()) : describe(instances));
  }
  OrderedJson row{{"instruction", fields.need("instruction")}};
  for (const char* key : {"input", "output"}) {
    if (instances[0].contains(key)) row[key] = instances[0][key];
  }
  const Columns none;
  read_alpaca(Fields(row, none, fields.where()), rules, example);
}

/// A text with marks of speakers; as `text` it can be learnt without a template too.
void read_transcript(const Fields& fields, const TurnRules& rules, Example& example) {
  const char* role = fields.has("chat") ? "chat" : "text";
  const std::string text = fields.text(role);
  const Content content = content_from(OrderedJson(text), fields.name(role), fields.where(), rules);
  if (!content.is_chat) fail(fields.where(), "key '{}' should begin with the mark of a speaker (as 'USER:' or 'Human:') and hold an answer", fields.name(role));
  put_conversation(content.messages, fields.name(role), fields, example);
  example.completion.text = text;
}

void read_text(const Fields& fields, Example& example) {
  example.kind = Example::Kind::text;
  example.completion.text = fields.text("text");
  if (is_blank(example.completion.text))
    throw RowError(fmt::format("empty text ('{}')", fields.name("text")), fields.where(), fmt::format("key '{}' is empty", fields.name("text")));
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
  for (const auto& [role, column] : columns) {
    const auto known = row_keys();
    if (std::find(known.begin(), known.end(), role) != known.end()) continue;
    const std::string near = nearest_name(role, {known.begin(), known.end()});
    fail_usage("columns: '{}' is no key of a data format{}", role,
               near.empty() ? "" : fmt::format(", did you mean '{}'?", near));
  }
}

void check_object(const OrderedJson& row, std::string_view where) {
  if (!row.is_object()) fail(where, "should be a JSON object, found {}", describe(row));
}

Format detected(const Fields& fields) {
  const auto refusal = refusal_of(fields.row_keys());
  if (!refusal.empty()) throw RowError("no known format", fields.where(), fmt::format("the row with the keys {} {}", quoted(fields.keys()), refusal));
  const auto format = format_of(fields.row_keys());
  if (!format) throw RowError("no known format", fields.where(), nearest_format(fields.row_keys(), fields.keys()));
  if (*format == Format::text && is_transcript(fields.text("text"))) return Format::transcript;
  return *format;
}

void read_as(Format format, const Fields& fields, const TurnRules& rules, Example& example) {
  switch (format) {
    case Format::messages:
    case Format::sharegpt:
      return read_conversation(fields, format, rules, example);
    case Format::alpaca:
      return read_alpaca(fields, rules, example);
    case Format::completion:
      return read_completion(fields, rules, example);
    case Format::pair:
      read_pair(fields, rules, example);
      add_history(fields, rules, example);
      return add_system(fields, example);
    case Format::judged:
      return read_judged(fields, rules, example);
    case Format::ultrafeedback:
      return;  // binarize_row makes the whole example
    case Format::votes:
      read_votes(fields, rules, example);
      return add_system(fields, example);
    case Format::ranked:
      read_ranked(fields, rules, example);
      return add_system(fields, example);
    case Format::summaries:
      return read_summaries(fields, example);
    case Format::instances:
      return read_instances(fields, rules, example);
    case Format::transcript:
      return read_transcript(fields, rules, example);
    case Format::text:
    case Format::automatic:
      return read_text(fields, example);
  }
}

void put_id(const Fields& fields, Example& example) {
  if (const auto* id = fields.find("id")) example.id = id->is_string() ? id->get<std::string>() : dump_json(*id);
  if (example.id.empty()) example.id = content_id(example);
}

/// A conversation without the answer that ends it.
void keep_prompt(Example& example, std::string_view where) {
  if (example.kind == Example::Kind::conversation || example.kind == Example::Kind::text) {
    example.prompt = std::move(example.completion);
    if (example.prompt.is_chat) example.prompt.text.clear();
  }
  example.kind = Example::Kind::completion;
  example.completion = {};
  example.rejected = {};
  auto& messages = example.prompt.messages;
  while (!messages.empty() && messages.back().role == "assistant") messages.pop_back();
  if (example.prompt.is_chat && messages.empty()) throw RowError("no message to answer", where, "has no message to answer");
}

}  // namespace

std::string reason_of(const Error& error) {
  const auto* row = dynamic_cast<const RowError*>(&error);
  return row != nullptr ? row->reason() : "does not fit its format";
}

Format detect_format(const OrderedJson& row, const Columns& columns, std::string_view where) {
  check_object(row, where);
  return detected(Fields(row, columns, where));
}

Example example_from_row(const OrderedJson& row, Format format, const Columns& columns, std::string_view where, RowUse* use) {
  check_columns(columns);
  check_object(row, where);
  const Fields fields(row, columns, where, use);
  if (format == Format::automatic) format = detected(fields);
  if (use != nullptr) use->format = format;
  Example example;
  read_as(format, fields, {.use = use}, example);
  if (format == Format::ultrafeedback) {
    fields.first_of({"instruction"});
    fields.first_of({"completions"});
    example = binarize_row(row, columns, where);
  }
  read_common(fields, example);
  put_id(fields, example);
  return example;
}

Example prompt_from_row(const OrderedJson& row, Format format, const Columns& columns, std::string_view where, RowUse* use) {
  check_columns(columns);
  check_object(row, where);
  const Fields fields(row, columns, where, use);
  if (format == Format::automatic) format = format_of(fields.row_keys()).value_or(Format::automatic);
  const TurnRules rules{.use = use, .empty_answers = true};
  Example example;
  const bool turns = format == Format::messages || format == Format::sharegpt || (format == Format::judged && find_turns(fields, nullptr) != nullptr);
  if (turns) {
    read_conversation(fields, format == Format::judged ? Format::sharegpt : format, rules, example);
  } else if (format == Format::alpaca || (format == Format::automatic && fields.has("instruction") && !fields.has("prompt") && !fields.has("context"))) {
    put_alpaca_prompt(fields, rules, example);
  } else if (fields.first_of(prompt_keys()) != nullptr &&
             (format == Format::automatic || format == Format::completion || format == Format::judged || format == Format::ultrafeedback)) {
    example.kind = Example::Kind::completion;
    example.prompt = prompt_of(fields, rules);
    add_history(fields, rules, example);
    add_system(fields, example);
  } else {
    example = example_from_row(row, format, columns, where, use);
  }
  if (use != nullptr) use->format = format;
  keep_prompt(example, where);
  read_common(fields, example);
  put_id(fields, example);
  return example;
}

}  // namespace fettle::data
