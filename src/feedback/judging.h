#pragma once
// Rows judged: every call that fits a row, in the judge's orders and samples, read, and put together to one verdict.
#include <string>
#include <vector>

#include "feedback/judge.h"
#include "feedback/judged_row.h"
#include "feedback/stored_client.h"

namespace fettle::feedback {

/// What one call came to. With several samples or both orders it is their mean.
struct CallVerdict {
  std::string name;
  bool parsed = false;                          ///< every text has been read
  std::vector<std::optional<double>> scores;    ///< of the row's answers; none where the judge says N/A
  std::optional<double> preference;             ///< 1: the first answer, 2: the second, 1.5: neither
  std::vector<OrderedJson> details;             ///< of the row's answers
  std::vector<std::string> critiques;           ///< of the row's answers, where the call writes them
  std::vector<std::string> texts;               ///< the replies, in the order in which they were asked for
  bool conflict = false;                        ///< the two orders prefer different answers
};

struct RowVerdict {
  bool parsed = false;  ///< every call has
  std::vector<CallVerdict> calls;
  std::vector<std::optional<double>> scores;  ///< of the answers: the call named "overall", else the mean over calls
  std::optional<size_t> winner;               ///< of two or more answers; none for a tie
  bool compared = false;                      ///< there was something to win
};

/// Asks about one row. What cannot be read is asked again, then counted as unparsed. Throws what asking throws. Thread-safe.
RowVerdict judge_row(const Judge& judge, StoredClient& client, const JudgedRow& row, uint64_t seed);

/// The row with `verdict` behind it: {"judge", "model", "parsed", "score" | "scores", "winner", "text", "calls"}. UltraFeedback's rows get
/// "annotations", "fine-grained_score", "critique" and "overall_score" in each completion too.
OrderedJson with_verdict(OrderedJson row, const Judge& judge, const std::string& model, const JudgedRow& judged, const RowVerdict& verdict);

}  // namespace fettle::feedback
