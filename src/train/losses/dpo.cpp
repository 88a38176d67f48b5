// Direct preference optimisation (Rafailov et al. 2023), and cDPO, which takes a share of the labels to be
// wrong (Mitchell 2023): L = -(1-ε) log σ(βd) - ε log σ(-βd), d the difference of the two answers' log-ratios
// to the reference.
#include "train/losses/loss.h"
#include "train/losses/math.h"

namespace fettle::train {
namespace {

RowLoss smoothed(const LossRow& row, const StepTotals& step, double beta, double epsilon,
                 const RowGradient& gradient) {
  const double chosen = beta * (sum(row.chosen) - row.reference_chosen);
  const double rejected = beta * (sum(row.rejected) - row.reference_rejected);
  const double x = chosen - rejected;
  const double share = row.weight / static_cast<double>(step.rows);
  const double slope = -(1.0 - epsilon) * sigmoid(-x) + epsilon * sigmoid(x);
  fill(gradient.chosen, share * beta * slope);
  fill(gradient.rejected, -share * beta * slope);
  return {share * (-(1.0 - epsilon) * log_sigmoid(x) - epsilon * log_sigmoid(-x)), chosen, rejected};
}

RowLoss dpo(const LossRow& row, const StepTotals& step, const LossOptions& options,
            const RowGradient& gradient) {
  return smoothed(row, step, options.beta, 0.0, gradient);
}

RowLoss cdpo(const LossRow& row, const StepTotals& step, const LossOptions& options,
             const RowGradient& gradient) {
  return smoothed(row, step, options.beta, options.label_smoothing, gradient);
}

}  // namespace

extern const Method method_dpo, method_cdpo;
const Method method_dpo{.name = "dpo", .rows = RowKind::pairs, .loss = dpo, .beta = 0.1, .reference = true};
const Method method_cdpo{
    .name = "cdpo", .rows = RowKind::pairs, .loss = cdpo, .beta = 0.1, .reference = true};

}  // namespace fettle::train
