// Kahneman-Tversky optimisation (Ethayarajh et al. 2024) of single judged answers: w_d (1 - σ(β(c - KL))) for
// a desirable one, w_u (1 - σ(β(KL - r))) for an undesirable one. KL is a constant of the step: no gradient
// flows through it.
#include "train/losses/loss.h"
#include "train/losses/math.h"

namespace fettle::train {
namespace {

RowLoss kto(const LossRow& row, const StepTotals& step, const LossOptions& options,
            const RowGradient& gradient) {
  const double ratio = sum(row.chosen) - row.reference_chosen;
  const double sign = row.desirable ? 1.0 : -1.0;
  const double side = row.desirable ? options.desirable_weight : options.undesirable_weight;
  const double share = side * row.weight / static_cast<double>(step.rows);
  const double s = sigmoid(sign * options.beta * (ratio - step.kl));
  fill(gradient.chosen, -share * sign * options.beta * s * (1.0 - s));
  RowLoss result{share * (1.0 - s)};
  (row.desirable ? result.reward_chosen : result.reward_rejected) = options.beta * ratio;
  return result;
}

}  // namespace

extern const Method method_kto;
const Method method_kto{.name = "kto",
                        .rows = RowKind::judged,
                        .loss = kto,
                        .beta = 0.1,
                        .reference = true,
                        .mismatched_kl = true};

}  // namespace fettle::train
