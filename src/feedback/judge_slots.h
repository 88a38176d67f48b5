#pragma once
// What the calls of a judge can show.
#include "feedback/judge.h"
#include "feedback/judged_row.h"

namespace fettle::feedback {

/// The names that a template may hold: prompt (also question, instruction), principle, knowledge; answer, or answer_a and answer_b (also
/// output_1, output_2), or texts and count; with a reference, reference (also ref_answer_1, for two turns ref_answer_2); for
/// conversations of two questions question_1, question_2, answer_1, answer_2, or answer_a_1 and so on.
std::vector<std::string> slots_of(JudgeCall::Shows shows, int turns, bool reference);

/// The values for answers `shown`, in that order.
Slots slot_values(const JudgeCall& call, const Judge& judge, const JudgedRow& row, const std::vector<size_t>& shown);

}  // namespace fettle::feedback
