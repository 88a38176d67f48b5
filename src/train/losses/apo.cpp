// Anchored preference optimisation (D'Oosterlinck et al. 2024). zero: chosen up, rejected down, 1 - σ(βc) +
// σ(βr); down: both down and the rejected further, σ(βc) + 1 - σ(β(c-r)), for chosen answers worse than the
// model's own.
#include "train/losses/loss.h"
#include "train/losses/math.h"

namespace fettle::train {
namespace {

double slope(double s) {
  return s * (1.0 - s);
}

RowLoss apo_zero(const LossRow& row, const StepTotals& step, const LossOptions& options,
                 const RowGradient& gradient) {
  const double chosen = options.beta * (sum(row.chosen) - row.reference_chosen);
  const double rejected = options.beta * (sum(row.rejected) - row.reference_rejected);
  const double share = row.weight / static_cast<double>(step.rows);
  const double up = sigmoid(chosen), down = sigmoid(rejected);
  fill(gradient.chosen, -share * options.beta * slope(up));
  fill(gradient.rejected, share * options.beta * slope(down));
  return {share * (1.0 - up + down), chosen, rejected};
}

RowLoss apo_down(const LossRow& row, const StepTotals& step, const LossOptions& options,
                 const RowGradient& gradient) {
  const double chosen = options.beta * (sum(row.chosen) - row.reference_chosen);
  const double rejected = options.beta * (sum(row.rejected) - row.reference_rejected);
  const double share = row.weight / static_cast<double>(step.rows);
  const double down = sigmoid(chosen), apart = sigmoid(chosen - rejected);
  fill(gradient.chosen, share * options.beta * (slope(down) - slope(apart)));
  fill(gradient.rejected, share * options.beta * slope(apart));
  return {share * (down + 1.0 - apart), chosen, rejected};
}

}  // namespace

extern const Method method_apo_zero, method_apo_down;
const Method method_apo_zero{
    .name = "apo_zero", .rows = RowKind::pairs, .loss = apo_zero, .beta = 0.1, .reference = true};
const Method method_apo_down{
    .name = "apo_down", .rows = RowKind::pairs, .loss = apo_down, .beta = 0.1, .reference = true};

}  // namespace fettle::train
