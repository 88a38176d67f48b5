// Odds-ratio preference optimisation (Hong et al. 2024): the likelihood of prompt and chosen answer, and the
// odds of the chosen answer over the rejected one, from mean log-probabilities a and b. No reference model.
// L = NLL - β log σ(log odds(a) - log odds(b)), log odds(a) = a - log(1 - eᵃ).
#include "train/losses/loss.h"
#include "train/losses/math.h"

namespace fettle::train {
namespace {

/// A short answer that is certain in single precision has mean 0, where the odds are infinite.
double below_zero(double a) {
  return std::min(a, -1e-7);
}
double log_odds(double a) {
  return a - std::log(-std::expm1(a));
}

RowLoss orpo(const LossRow& row, const StepTotals& step, const LossOptions& options,
             const RowGradient& gradient) {
  const double chosen = below_zero(mean(row.chosen)), rejected = below_zero(mean(row.rejected));
  const double x = log_odds(chosen) - log_odds(rejected);
  const double share = row.weight / static_cast<double>(step.rows);
  const double slope = -share * options.beta * sigmoid(-x);
  // d log odds(a)/da = 1/(1 - eᵃ)
  const double chosen_slope = slope / -std::expm1(chosen) / static_cast<double>(row.chosen.size());
  const double rejected_slope = -slope / -std::expm1(rejected) / static_cast<double>(row.rejected.size());
  const double likelihood = row.weight / static_cast<double>(step.chosen_tokens);
  fill(gradient.chosen, chosen_slope - likelihood);
  fill(gradient.rejected, rejected_slope);
  fill(gradient.prompt, -likelihood);
  const double nll = -likelihood * (sum(row.prompt) + sum(row.chosen));
  return {nll - share * options.beta * log_sigmoid(x), options.beta * mean(row.chosen),
          options.beta * mean(row.rejected)};
}

}  // namespace

extern const Method method_orpo;
const Method method_orpo{
    .name = "orpo", .rows = RowKind::pairs, .loss = orpo, .beta = 0.1, .prompt_labels = true};

}  // namespace fettle::train
