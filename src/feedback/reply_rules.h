#pragma once
// What a judge's reply says: the rules of the published parsers, and those of our own judges. A reply that the rules do not read has no
// reading: nothing is guessed.
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "generate/chat_client.h"

namespace fettle::feedback {

/// How a judge is asked to reply.
enum class ReplyForm : uint8_t {
  bracketed_score,   ///< "Rating: [[7.5]]", else "[7.5]" (MT-Bench)
  bracketed_letter,  ///< "[[A]]", "[[B]]", "[[C]]" for a tie (MT-Bench, pairs)
  overall_score,     ///< a critique, then "\nOverall Score: 8" (UltraFeedback)
  rated_texts,       ///< "Rating: 4\nRationale: …" for each text (UltraFeedback)
  typed_texts,       ///< "Type: 1, 3\nRationale: …\nRating: 2\nRationale: …" for each text (UltraFeedback)
  marked_score,      ///< "Score: 4.5" (Humpback)
  two_scores,        ///< "8 7.5" in the first line (Vicuna)
  last_two_scores,   ///< "…: 8\n…: 7" as the last two lines (FairEval)
  ranking,           ///< [{'model': 'model_1', 'rank': 1}, …], a list as Python writes it (AlpacaEval)
  chosen_token,      ///< the first token is one of `tokens`; by its log-probabilities (AlpacaEval 2)
  expected_score,    ///< the first token is a whole number from `low` to `high`: its mean over their probabilities (G-Eval)
  criteria,          ///< a JSON object with a number for each of `names`
};

struct ReplyRules {
  ReplyForm form = ReplyForm::marked_score;
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  /// As the published parser does it, where it is known to go wrong: UltraFeedback's cuts 7.5 to 7 and wants exactly one blank
  /// line between texts, Vicuna's does not read "8, 7", Humpback's (distilabel) takes one digit of the first match, AlpacaEval's
  /// wants nothing around the list.
  bool as_published = false;
  bool one_as_ten = false;                   ///< overall_score: 1 counts as 10, as in UltraFeedback's first release
  std::string marker = "Score:";             ///< marked_score
  std::vector<std::string> tokens = {"m", "M"};  ///< chosen_token: of the first and the second text
  std::vector<std::string> names;            ///< criteria
  std::vector<double> weights;               ///< of the criteria; as many, or none: all alike
};

/// One text as a judge sees it. `score` is none where the judge says "N/A".
struct TextReading {
  std::optional<double> score;
  OrderedJson details = OrderedJson::object();  ///< "Rating", "Rationale", "Type", … as UltraFeedback's rows have them
};

/// A reply that could be read. Forms that compare two texts give `preference`, the others `texts`.
struct ReplyReading {
  std::vector<TextReading> texts;    ///< in the order in which they were shown
  std::optional<double> preference;  ///< 1: the first is better, 2: the second, 1.5: neither; in between with log-probabilities
  std::string critique;              ///< what stands before an overall score
};

/// Reads the reply to a call that showed `texts` texts; none when the rules do not read it. Scores outside [low, high] are not read.
/// chosen_token and expected_score look at the first token's log-probabilities, the others at the text. Thread-safe.
std::optional<ReplyReading> read_verdict(const ReplyRules& rules, const ChatChoice& reply, size_t texts);

/// "bracketed_score" and so on. Throws Error(usage) with `where` and the nearest name for others.
ReplyForm reply_form_from_name(std::string_view name, std::string_view where);
std::string_view reply_form_name(ReplyForm form);
/// The form tells which of two texts is better instead of giving scores.
bool is_comparison(ReplyForm form);

}  // namespace fettle::feedback
