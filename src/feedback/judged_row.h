#pragma once
// A row as a judge sees it: a question, the answers to it, and what else is known.
#include <string>
#include <vector>

#include "base/json.h"
#include "data/rows/example.h"

namespace fettle::feedback {

struct JudgedAnswer {
  std::string name;                ///< "chosen", a model's name, or its number
  std::vector<std::string> turns;  ///< to each of the questions; never empty
};

struct JudgedRow {
  std::string id;
  std::string prompt;                   ///< the last question; of a longer conversation all that stands before the answer, by speaker
  std::vector<std::string> questions;   ///< the user's turns
  std::vector<JudgedAnswer> answers;
  std::vector<std::string> references;  ///< answers that are known to be right, one a question
  std::string principle, knowledge;
};

/// A row with `completions` (UltraFeedback's, or texts), a pair, a conversation, or a prompt with its completion; `reference` (a text, or
/// one for each question), `principle` and `knowledge` are taken where they stand. UltraFeedback's `correct_answers` are knowledge. Throws Error with
/// `where` for a row without an answer.
JudgedRow judged_row(const OrderedJson& row, const std::string& where);

}  // namespace fettle::feedback
