// Identity preference optimisation (Azar et al. 2023) on log-ratios per token, as the published
// implementations compute it since the correction of its length bias: L = ((c/n_c - r/n_r) - 1/(2β))².
#include "train/losses/loss.h"
#include "train/losses/math.h"

namespace fettle::train {
namespace {

RowLoss ipo(const LossRow& row, const StepTotals& step, const LossOptions& options,
            const RowGradient& gradient) {
  const double chosen_tokens = static_cast<double>(row.chosen.size());
  const double rejected_tokens = static_cast<double>(row.rejected.size());
  const double chosen = sum(row.chosen) - row.reference_chosen;
  const double rejected = sum(row.rejected) - row.reference_rejected;
  const double distance = chosen / chosen_tokens - rejected / rejected_tokens - 1.0 / (2.0 * options.beta);
  const double share = row.weight / static_cast<double>(step.rows);
  fill(gradient.chosen, share * 2.0 * distance / chosen_tokens);
  fill(gradient.rejected, -share * 2.0 * distance / rejected_tokens);
  return {share * distance * distance, options.beta * chosen, options.beta * rejected};
}

}  // namespace

extern const Method method_ipo;
const Method method_ipo{.name = "ipo", .rows = RowKind::pairs, .loss = ipo, .beta = 0.1, .reference = true};

}  // namespace fettle::train
