#pragma once
// Preference pairs out of scored completions (UltraFeedback), by the published rules.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/python_random.h"
#include "data/rows/example.h"

namespace fettle::data {

/// How a prompt's completions become one chosen and one rejected answer. Chosen is the best score, the first
/// of equals.
enum class BinarizeRule {
  corrected,  ///< overall_score after the repair below, TruthfulQA dropped; rejected drawn by hash of the
              ///< row's content
  zephyr,  ///< overall_score as given; rejected drawn by Python's random, seeded once, as the data set's last
           ///< revision
  zephyr_beta,  ///< the revision Zephyr-7B-β was trained on: seeded anew for every row, so it rejects answer
                ///< 0, else answer 2
  argilla_mean,  ///< mean of the aspect ratings; rejected drawn by hash among those rated strictly lower
};
std::string_view binarize_rule_name(BinarizeRule rule);

struct BinarizeOptions {
  BinarizeRule rule = BinarizeRule::corrected;
  uint64_t seed = 42;
  double min_margin = 0;  ///< pairs whose scores differ by less are dropped
};

/// Counts in and out, per reason dropped, and what the pairs look like.
struct BinarizeReport {
  int64_t rows = 0, pairs = 0;
  std::map<std::string, int64_t> dropped;
  int64_t ties = 0;            ///< pairs kept with equal scores
  int64_t repaired_tens = 0;   ///< scores of 10 that were a 1
  int64_t ambiguous_tens = 0;  ///< scores of 10 whose ratings say neither: those completions are not used
  double mean_margin = 0;
};
Json to_json(const BinarizeReport& report);

struct ScoredPair {
  Example example;  ///< Kind::pair, a user and an assistant turn
  double chosen_score = 0, rejected_score = 0;
  std::string chosen_model, rejected_model;
};

/// Rows in order: the Zephyr rules draw from one sequence. Not thread-safe.
class Binarizer {
 public:
  explicit Binarizer(BinarizeOptions options);
  /// nullopt with `reason` when the row gives no pair. Throws Error on a row that is no UltraFeedback row.
  std::optional<ScoredPair> add(const OrderedJson& row, const Columns& columns, std::string_view where,
                                std::string& reason);
  const BinarizeReport& report() const { return report_; }

 private:
  struct Scored;
  std::optional<double> score(const OrderedJson& completion);
  size_t draw_rejected(const std::vector<Scored>& all, size_t chosen, std::string_view content);

  BinarizeOptions options_;
  PythonRandom random_;
  BinarizeReport report_;
  double margins_ = 0;
};

/// One row by the corrected rule; throws Error with the reason when it gives no pair. Thread-safe.
Example binarize_row(const OrderedJson& row, const Columns& columns, std::string_view where);

}  // namespace fettle::data
