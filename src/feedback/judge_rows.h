#pragma once
// `fettle judge`: rows in, rows with verdicts out, for hours or days, many calls under way at once.
#include <map>
#include <string>
#include <vector>

#include "feedback/agreement.h"
#include "feedback/judging.h"

namespace fettle::feedback {

struct JudgeRows {
  std::vector<std::string> inputs;
  fs::path output, rejected;  ///< "-": standard output; `rejected` may be empty
  uint64_t seed = 0;          ///< of the order in which answers are shown
  int concurrency = 64;       ///< rows under way at once
  std::string label;          ///< the field that holds a person's verdict: a winner's name, "tie", or a score; empty: none
};

struct JudgeReport {
  int64_t in = 0, out = 0;
  std::map<std::string, int64_t> reasons;  ///< why rows were not judged; in = out + their sum
  std::string first_reason;                ///< what was wrong with the first of them
  int64_t unparsed = 0;                    ///< rows with a reply that could not be read
  int64_t ties = 0, conflicts = 0;
  std::map<std::string, int64_t> wins;     ///< by the answer's name
  double score_sum = 0.0;
  int64_t scored = 0;
  Agreement agreement;
  OrderedJson costs;

  OrderedJson to_json() const;
  std::string to_text() const;
};

/// Streams the rows in their order. A row that is of no use, or that the model does not answer, is rejected with its reason. Throws
/// Error(io) for what is no row's fault: no connection, a key that is refused, the budget; what was answered is in the store then.
JudgeReport judge_rows(const JudgeRows& files, const Judge& judge, StoredClient& client, const Costs& costs);

}  // namespace fettle::feedback
