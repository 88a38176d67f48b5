#include "feedback/judge_slots.h"

namespace fettle::feedback {
namespace {

constexpr const char* letters[] = {"a", "b"};

std::string of_turn(const JudgedAnswer& answer, size_t turn) { return turn < answer.turns.size() ? answer.turns[turn] : ""; }

/// All texts as UltraFeedback lists them.
std::string listed(const JudgedRow& row, const std::vector<size_t>& shown) {
  std::string text;
  for (size_t i = 0; i < shown.size(); ++i)
    text += fmt::format("{}<text {}> {}", i > 0 ? "\n" : "", i + 1, row.answers[shown[i]].turns.back());
  return text;
}

}  // namespace

std::vector<std::string> slots_of(JudgeCall::Shows shows, int turns, bool reference) {
  std::vector<std::string> names{"prompt", "question", "instruction", "principle", "knowledge"};
  const auto add = [&](std::string name) { names.push_back(std::move(name)); };
  if (shows == JudgeCall::Shows::all) {
    add("texts");
    add("count");
  } else if (shows == JudgeCall::Shows::one) {
    add("answer");
  } else {
    for (const char* name : {"answer_a", "answer_b", "output_1", "output_2"}) add(name);
  }
  for (int turn = 1; turns == 2 && turn <= 2; ++turn) {
    add(fmt::format("question_{}", turn));
    if (shows == JudgeCall::Shows::one) add(fmt::format("answer_{}", turn));
    if (shows == JudgeCall::Shows::two)
      for (const char* letter : letters) add(fmt::format("answer_{}_{}", letter, turn));
  }
  if (reference) {
    add("reference");
    add("ref_answer_1");
    if (turns == 2) add("ref_answer_2");
  }
  return names;
}

Slots slot_values(const JudgeCall& call, const Judge& judge, const JudgedRow& row, const std::vector<size_t>& shown) {
  Slots slots;
  for (const char* name : {"prompt", "question", "instruction"}) slots[name] = row.prompt;
  slots["principle"] = row.principle;
  slots["knowledge"] = row.knowledge.empty() ? judge.knowledge_without : row.knowledge;
  slots["count"] = std::to_string(shown.size());
  if (call.shows == JudgeCall::Shows::all) slots["texts"] = listed(row, shown);
  if (call.shows == JudgeCall::Shows::one) slots["answer"] = row.answers[shown[0]].turns.back();
  if (call.shows == JudgeCall::Shows::two) {
    slots["answer_a"] = slots["output_1"] = row.answers[shown[0]].turns.back();
    slots["answer_b"] = slots["output_2"] = row.answers[shown[1]].turns.back();
  }
  for (size_t turn = 0; turn < 2 && turn < row.questions.size(); ++turn) {
    slots[fmt::format("question_{}", turn + 1)] = row.questions[turn];
    if (call.shows == JudgeCall::Shows::one) slots[fmt::format("answer_{}", turn + 1)] = of_turn(row.answers[shown[0]], turn);
    for (size_t i = 0; call.shows == JudgeCall::Shows::two && i < 2; ++i)
      slots[fmt::format("answer_{}_{}", letters[i], turn + 1)] = of_turn(row.answers[shown[i]], turn);
  }
  for (size_t turn = 0; turn < row.references.size(); ++turn) slots[fmt::format("ref_answer_{}", turn + 1)] = row.references[turn];
  if (!row.references.empty()) slots["reference"] = row.references.front();
  return slots;
}

}  // namespace fettle::feedback
