#include "data/rows/row_key.h"

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/input_fault.h"
#include "data/rows/example.h"

namespace fettle::data {
namespace {

template <size_t count>
bool is_one_of(std::string_view key, const std::array<std::string_view, count>& names) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

/// By its length first: every key of every turn is looked at.
bool is_plain(std::string_view key) {
  switch (key.size()) {
    case 4:
      return key == "role" || key == "from";
    case 5:
      return key == "value";
    case 7:
      return key == "content";
    default:
      return false;
  }
}

/// A turn with something beside its text.
bool has_fields(simdjson::dom::element turns) {
  simdjson::dom::array list;
  if (turns.get(list) != simdjson::SUCCESS) return false;
  for (const auto item : list) {
    simdjson::dom::object turn;
    if (item.get(turn) != simdjson::SUCCESS) continue;
    for (const auto field : turn) {
      if (!is_plain(field.key)) return true;
    }
  }
  return false;
}

bool says_more_than_texts(simdjson::dom::object row) {
  constexpr std::array<std::string_view, 9> beside{"tools", "functions", "chat_template_kwargs",
                                                   "label", "kto_tag",   "condition",
                                                   "class", "history",   "weight"};
  constexpr std::array<std::string_view, 7> turns{"messages",   "conversations", "items",   "prompt",
                                                  "completion", "chosen",        "rejected"};
  for (const auto field : row) {
    if (field.value.is_null()) continue;
    if (is_one_of(field.key, beside) || (is_one_of(field.key, turns) && has_fields(field.value))) return true;
  }
  return false;
}

/// Without the ids of calls.
OrderedJson without_ids(OrderedJson extra) {
  extra.erase("tool_call_id");
  const auto calls = extra.find("tool_calls");
  if (calls == extra.end() || !calls->is_array()) return extra;
  for (auto& call : *calls) {
    if (call.is_object()) call.erase("id");
  }
  return extra;
}

void add_turns(const Messages& messages, std::string& in_turns, std::string& beside) {
  for (const auto& message : messages) {
    beside += message.weight == 0 ? '0' : '1';
    if (!message.extra.is_object()) continue;
    const OrderedJson extra = without_ids(message.extra);
    if (!extra.empty()) in_turns += dump_json(extra) + '\n';
  }
  beside += '\n';
}

/// Empty lists and texts stand for nothing.
void add_variables(const OrderedJson& variables, std::string& beside) {
  if (!variables.is_object()) return;
  for (const auto& [name, value] : variables.items()) {
    const bool nothing = value.is_null() || value.empty() || value == "";
    if (!nothing) beside += name + '=' + dump_json(value) + '\n';
  }
}

}  // namespace

bool is_text(const TextPart& part) {
  constexpr std::array<std::string_view, 3> others{"thought", "tool_calls", "tools"};
  return !is_one_of(part.role, others);
}

RowKey row_key(const Row& row, const RowView& view) {
  RowKey made;
  const auto& texts = view.texts();
  const bool texts_alone = std::all_of(texts.begin(), texts.end(), is_text);
  if (texts_alone && (texts.empty() || !says_more_than_texts(view.object()))) {
    made.key = text_key(texts);
    return made;
  }
  std::vector<TextPart> alone;
  std::copy_if(texts.begin(), texts.end(), std::back_inserter(alone), is_text);
  made.key = text_key(alone);
  made.key.texts = std::max<int64_t>(made.key.texts, 1);
  std::string beside;
  try {
    const Example example = example_from_row(view.value(), Format::automatic, {}, row.where());
    for (const auto* content : {&example.prompt, &example.completion, &example.rejected})
      add_turns(content->messages, made.in_turns, beside);
    if (beside.find('0') == std::string::npos)
      beside.clear();  // every turn is learnt, as in rows that say nothing of it
    add_variables(example.variables, beside);
    beside += example.class_label;
    if (example.weight == 0) beside += "\nweight 0";
    if (example.kind == Example::Kind::judged) beside += example.desirable ? "\nliked" : "\ndisliked";
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    beside = row.text;  // training refuses it; only its copy says the same
  }
  if (beside.empty() && made.in_turns.empty()) return made;
  if (!beside.empty()) made.beside = hash64(beside) | 1;
  made.key.high ^= hash64(made.in_turns, 1) ^ made.beside;
  made.key.low ^= hash64(made.in_turns, 2) + made.beside;
  return made;
}

}  // namespace fettle::data
