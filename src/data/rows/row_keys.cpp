#include "data/rows/row_keys.h"

#include <algorithm>

#include "data/rows/key_set.h"
#include "data/rows/name_table.h"

namespace fettle::data {
namespace {

constexpr const char* prompts[] = {"prompt", "instruction", "question", "query", "problem",
                                   "user",   "human",       "inputs",   "input", "message_1"};
constexpr const char* completions[] = {"completion", "output",   "response",  "generated_solution",
                                       "solution",   "answer",   "assistant", "targets",
                                       "target",     "message_2"};
constexpr const char* chosens[] = {
    "chosen", "chosen_response", "preferred_output", "preferred_response", "preferred",
    "win",    "winner_response", "response_j",       "accepted_response"};
constexpr const char* rejecteds[] = {"rejected",
                                     "rejected_response",
                                     "rejected_responses",
                                     "non_preferred_output",
                                     "non_preferred_response",
                                     "dispreferred_response",
                                     "dispreferred",
                                     "lose",
                                     "loser_response",
                                     "response_k",
                                     "rejected_messages"};
constexpr const char* turns[] = {"messages", "conversations", "items",      "conversation", "dialog",
                                 "dialogue", "contents",      "trajectory", "data"};
constexpr const char* systems[] = {"system", "system_prompt", "system_message"};
constexpr const char* labels[] = {"label", "kto_tag"};
constexpr const char* answer_lists[] = {"answers",     "responses",  "completions",
                                        "generations", "candidates", "outputs"};
constexpr const char* verdicts[] = {"better_response_id",
                                    "winner_model_a",
                                    "winner_model_b",
                                    "winner_tie",
                                    "winner",
                                    "preference",
                                    "overall_preference",
                                    "preference_strength",
                                    "labels",
                                    "choice",
                                    "score_0",
                                    "score_1",
                                    "score_a",
                                    "score_b"};
constexpr AnswerKeys compared[] = {{"response_0", "response_1"},
                                   {"answer_0", "answer_1"},
                                   {"response_1", "response_2"},
                                   {"response1", "response2"},
                                   {"answer_1", "answer_2"},
                                   {"output_1", "output_2"},
                                   {"response_a", "response_b"},
                                   {"answer_a", "answer_b"},
                                   {"output_a", "output_b"},
                                   {"completion_a", "completion_b"},
                                   {"conversation_a", "conversation_b"},
                                   {"human_ref_a", "human_ref_b"}};
constexpr const char* others[] = {"id",          "text",        "chat",      "instances",
                                  "context",     "history",     "weight",    "class",
                                  "condition",   "tools",       "functions", "chat_template_kwargs",
                                  "source",      "message_id",  "parent_id", "message_tree_id",
                                  "summaries",   "info",        "scores",    "ratings",
                                  "rewards",     "ranks",       "ranking",   "rankings",
                                  "helpfulness", "correctness", "rank",      "score"};

struct Table {
  std::vector<std::string_view> names;
  NameTable<int> numbers;

  void add(std::string_view name) {
    if (numbers.add(name, static_cast<int>(names.size()))) names.push_back(name);
  }
  void add(KeyNames keys) {
    for (const char* key : keys) add(key);
  }
  Table() {
    for (const KeyNames keys :
         {KeyNames(prompts), KeyNames(completions), KeyNames(chosens), KeyNames(rejecteds), KeyNames(turns),
          KeyNames(systems), KeyNames(labels), KeyNames(answer_lists), KeyNames(verdicts), KeyNames(others)})
      add(keys);
    for (const auto& [first, second] : compared) {
      add(first);
      add(second);
    }
  }
};

const Table& table() {
  static const Table made;
  return made;
}

}  // namespace

int row_key_index(std::string_view key) {
  const auto* found = table().numbers.find(key);
  return found == nullptr ? -1 : found->second;
}

std::span<const std::string_view> row_keys() {
  return table().names;
}

void RowKeys::set(int index, Value value) {
  const auto at = static_cast<size_t>(index);
  for (auto* bits : {&null, &text, &list, &object, &other}) bits->reset(at);
  (value == Value::null     ? null
   : value == Value::text   ? text
   : value == Value::list   ? list
   : value == Value::object ? object
                            : other)
      .set(at);
}

bool RowKeys::present(int index) const {
  return values_of(*this)[static_cast<size_t>(index)];
}

KeySet::KeySet(KeyNames names) {
  for (const char* name : names) {
    numbers_.push_back(row_key_index(name));
    set_.set(static_cast<size_t>(numbers_.back()));
  }
}

int KeySet::first_in(const KeyBits& keys) const {
  if ((keys & set_).none()) return -1;
  return *std::find_if(numbers_.begin(), numbers_.end(),
                       [&](int number) { return keys[static_cast<size_t>(number)]; });
}

KeyNames prompt_keys() {
  return prompts;
}
KeyNames completion_keys() {
  return completions;
}
KeyNames chosen_keys() {
  return chosens;
}
KeyNames rejected_keys() {
  return rejecteds;
}
KeyNames turn_keys() {
  return turns;
}
KeyNames system_keys() {
  return systems;
}
KeyNames label_keys() {
  return labels;
}
KeyNames answer_list_keys() {
  return answer_lists;
}
std::span<const AnswerKeys> compared_keys() {
  return compared;
}
KeyNames verdict_keys() {
  return verdicts;
}

}  // namespace fettle::data
