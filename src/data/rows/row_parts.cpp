#include "data/rows/row_parts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/white_space.h"
#include "data/rows/json_text.h"

namespace fettle::data {
namespace {

std::string joined_instruction(const Fields& fields) {
  const std::string instruction = fields.text("instruction"), input = fields.text_or_empty("input");
  if (input.empty()) return instruction;
  return instruction.empty() ? input : instruction + "\n" + input;
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

/// Tools as a list, or as the JSON text of one; OpenAI's older `functions` become tools.
void read_tools(const Fields& fields, Example& example) {
  std::string key;
  const auto* value = fields.first_of({"tools"}, &key);
  const bool functions = value == nullptr;
  if (functions) value = fields.first_of({"functions"}, &key);
  if (value == nullptr || *value == "") return;
  OrderedJson tools = value->is_string() ? parse_ordered_json(value->get_ref<const std::string&>(),
                                                              fmt::format("{}: {}", fields.where(), key))
                                         : *value;
  if (!tools.is_array())
    fail(fields.where(), "key '{}' should be a list of tools, found {}", key, describe(*value));
  if (tools.empty()) return;
  remove_nulls(tools, true);
  if (functions) {
    for (auto& tool : tools) tool = {{"type", "function"}, {"function", std::move(tool)}};
  }
  example.variables["tools"] = std::move(tools);
}

void read_template_variables(const Fields& fields, Example& example) {
  const auto* value = fields.find("chat_template_kwargs");
  if (value == nullptr || *value == "") return;
  OrderedJson more = value->is_string()
                         ? parse_ordered_json(value->get_ref<const std::string&>(),
                                              fmt::format("{}: chat_template_kwargs", fields.where()))
                         : *value;
  if (!more.is_object())
    fail(fields.where(), "key '{}' should be an object, found {}", fields.name("chat_template_kwargs"),
         describe(*value));
  remove_nulls(more, false);
  for (const auto& [key, variable] : more.items()) example.variables[key] = variable;
}

}  // namespace

void add_system(const Fields& fields, Example& example) {
  std::string key;
  const auto* value = fields.first_of(system_keys(), &key);
  if (value == nullptr) return;
  if (!value->is_string()) fail(fields.where(), "key '{}' should be text, found {}", key, describe(*value));
  std::string system = value->get<std::string>();
  if (example.kind == Example::Kind::conversation && system.starts_with("SYSTEM:"))
    system.erase(0, system.find_first_not_of(' ', 7));
  if (is_blank(system)) return;
  auto& messages =
      example.kind == Example::Kind::conversation ? example.completion.messages : example.prompt.messages;
  if (example.kind != Example::Kind::conversation) {
    make_chat(example.prompt, "user");
    make_alike(example);
  }
  if (messages.empty() || messages.front().role != "system")
    messages.insert(messages.begin(), Message{"system", system});
}

/// Earlier [question, answer] pairs, before the prompt.
void add_history(const Fields& fields, const TurnRules& rules, Example& example) {
  const auto* history = fields.find("history");
  if (history == nullptr || !history->is_array() || history->empty()) return;
  Messages turns = turns_from(*history, fields.name("history"), fields.where(), rules);
  make_chat(example.prompt, "user");
  make_alike(example);
  auto& messages = example.prompt.messages;
  messages.insert(messages.begin(), std::make_move_iterator(turns.begin()),
                  std::make_move_iterator(turns.end()));
}

void put_alpaca_prompt(const Fields& fields, const TurnRules& rules, Example& example) {
  example.kind = Example::Kind::completion;
  example.prompt = {alpaca_prompt(fields.text("instruction"), fields.text_or_empty("input")),
                    {Message{"user", joined_instruction(fields)}},
                    true};
  add_history(fields, rules, example);
  add_system(fields, example);
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
  read_tools(fields, example);
  read_template_variables(fields, example);
}

void make_chat(Content& content, const char* role) {
  if (content.is_chat) return;
  content.is_chat = true;
  if (!content.text.empty()) content.messages = {Message{role, content.text}};
  content.text.clear();
}

const OrderedJson* find_turns(const Fields& fields, std::string* key) {
  for (const char* role : turn_keys()) {
    const auto* turns = fields.find(role);
    if (turns == nullptr || !turns->is_array()) continue;
    if (key != nullptr) *key = fields.name(role);
    return turns;
  }
  return nullptr;
}

void check_answer(const Content& answer, std::string_view key, std::string_view where) {
  const bool empty = answer.is_chat ? answer.messages.empty() : is_blank(answer.text);
  if (empty)
    throw RowError(fmt::format("empty answer ('{}')", key), where, fmt::format("key '{}' is empty", key));
  if (answer.is_chat && answer.messages.back().role == "assistant" &&
      answer.messages.back().extra.is_null() && answer.messages.back().weight != 0 &&
      is_blank(answer.messages.back().content))
    throw RowError(fmt::format("empty answer ('{}')", key), where,
                   fmt::format("the answer under '{}' is empty", key));
}

Content prompt_of(const Fields& fields, const TurnRules& rules) {
  std::string key;
  const auto* value = fields.first_of(prompt_keys(), &key);
  if (value == nullptr) return {};
  Content prompt = content_from(*value, key, fields.where(), rules);
  if (prompt.is_chat) return prompt;
  if (key == fields.name("instruction")) prompt.text = joined_instruction(fields);
  const auto* context = fields.find("context");
  if (context != nullptr && context->is_string() && !is_blank(context->get_ref<const std::string&>()))
    prompt.text += "\n\n" + context->get<std::string>();
  return prompt;
}

}  // namespace fettle::data
