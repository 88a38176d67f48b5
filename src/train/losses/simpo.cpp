// Simple preference optimisation (Meng et al. 2024): mean log-probabilities as rewards, a target margin γ, no
// reference model: L = -log σ(β(a - b) - γ), with cDPO's label smoothing.
#include "train/losses/loss.h"
#include "train/losses/math.h"

namespace fettle::train {
namespace {

RowLoss simpo(const LossRow& row, const StepTotals& step, const LossOptions& options,
              const RowGradient& gradient) {
  const double chosen = options.beta * mean(row.chosen), rejected = options.beta * mean(row.rejected);
  const double x = chosen - rejected - options.gamma;
  const double epsilon = options.label_smoothing;
  const double share = row.weight / static_cast<double>(step.rows);
  const double slope = share * options.beta * (-(1.0 - epsilon) * sigmoid(-x) + epsilon * sigmoid(x));
  fill(gradient.chosen, slope / static_cast<double>(row.chosen.size()));
  fill(gradient.rejected, -slope / static_cast<double>(row.rejected.size()));
  return {share * (-(1.0 - epsilon) * log_sigmoid(x) - epsilon * log_sigmoid(-x)), chosen, rejected};
}

}  // namespace

extern const Method method_simpo;
const Method method_simpo{.name = "simpo", .rows = RowKind::pairs, .loss = simpo, .beta = 2.0};

}  // namespace fettle::train
