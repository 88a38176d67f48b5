#pragma once
// How well a model tells preferred answers from others, on held-out pairs.
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace fettle::evaluate {

/// Log-probabilities of one pair's answers: sums over their tokens, and how many those are.
struct PairLogp {
  double chosen = 0.0, rejected = 0.0;
  int64_t chosen_tokens = 0, rejected_tokens = 0;
};

/// A share with its standard error, sqrt(p (1-p) / n).
struct Share {
  double value = 0.0, error = 0.0;
};
Share share_of(double hits, int64_t n);

/// Over n pairs; a tie counts one half.
struct PairScores {
  int64_t pairs = 0;
  Share reward_accuracy;    ///< beta (log-ratio to the reference): chosen above rejected; 0.5 for the reference itself
  Share logp_accuracy;      ///< the answer's summed log-probability: chosen above rejected
  Share mean_logp_accuracy;  ///< the same per token, so that length does not decide
  double reward_margin = 0.0, reward_chosen = 0.0, reward_rejected = 0.0;
};
/// `model` and `reference` are of the same pairs in the same order.
PairScores compare_pairs(const std::vector<PairLogp>& model, const std::vector<PairLogp>& reference, double beta);
OrderedJson to_json(const PairScores& scores);

}  // namespace fettle::evaluate
