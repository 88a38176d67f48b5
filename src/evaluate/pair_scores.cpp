#include "evaluate/pair_scores.h"

#include <cmath>

namespace fettle::evaluate {
namespace {

double win(double a, double b) { return a > b ? 1.0 : a == b ? 0.5 : 0.0; }

OrderedJson to_json(const Share& share) { return {{"value", share.value}, {"standard_error", share.error}}; }

}  // namespace

Share share_of(double hits, int64_t n) {
  if (n == 0) return {};
  const double p = hits / static_cast<double>(n);
  return {p, std::sqrt(p * (1 - p) / static_cast<double>(n))};
}

PairScores compare_pairs(const std::vector<PairLogp>& model, const std::vector<PairLogp>& reference, double beta) {
  FETTLE_CHECK(model.size() == reference.size());
  PairScores scores;
  scores.pairs = static_cast<int64_t>(model.size());
  double rewards = 0, sums = 0, means = 0;
  for (size_t i = 0; i < model.size(); ++i) {
    const PairLogp &m = model[i], &r = reference[i];
    const double chosen = beta * (m.chosen - r.chosen), rejected = beta * (m.rejected - r.rejected);
    rewards += win(chosen, rejected);
    sums += win(m.chosen, m.rejected);
    means += win(m.chosen / static_cast<double>(m.chosen_tokens), m.rejected / static_cast<double>(m.rejected_tokens));
    scores.reward_chosen += chosen / static_cast<double>(model.size());
    scores.reward_rejected += rejected / static_cast<double>(model.size());
  }
  scores.reward_margin = scores.reward_chosen - scores.reward_rejected;
  scores.reward_accuracy = share_of(rewards, scores.pairs);
  scores.logp_accuracy = share_of(sums, scores.pairs);
  scores.mean_logp_accuracy = share_of(means, scores.pairs);
  return scores;
}

OrderedJson to_json(const PairScores& scores) {
  return {{"pairs", scores.pairs},
          {"reward_accuracy", to_json(scores.reward_accuracy)},
          {"logp_accuracy", to_json(scores.logp_accuracy)},
          {"mean_logp_accuracy", to_json(scores.mean_logp_accuracy)},
          {"reward_margin", scores.reward_margin},
          {"reward_chosen", scores.reward_chosen},
          {"reward_rejected", scores.reward_rejected}};
}

}  // namespace fettle::evaluate
