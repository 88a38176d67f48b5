// Negative log-likelihood: pretrain, sft, and weighted-sft, the C-RLFT of OpenChat (Wang et al. 2023, arXiv
// 2309.11235; 3.2-super and later), where each token carries its class's weight and the weights' sum is the
// normaliser.
#include "train/losses/loss.h"

namespace fettle::train {
namespace {

RowLoss weighted_nll(const LossRow& row, double normalizer, const RowGradient& gradient) {
  RowLoss result;
  for (size_t t = 0; t < row.chosen.size(); ++t) {
    const double share = row.weights[t] / normalizer;
    result.loss -= share * row.chosen[t];
    gradient.chosen[t] = static_cast<float>(-share);
  }
  return result;
}

RowLoss nll(const LossRow& row, const StepTotals& step, const LossOptions&, const RowGradient& gradient) {
  return weighted_nll(row, static_cast<double>(step.supervised_tokens), gradient);
}

RowLoss normalized_nll(const LossRow& row, const StepTotals& step, const LossOptions&,
                       const RowGradient& gradient) {
  return weighted_nll(row, step.token_weight, gradient);
}

}  // namespace

extern const Method method_pretrain, method_sft, method_weighted_sft;
const Method method_pretrain{.name = "pretrain", .rows = RowKind::texts, .loss = nll, .gradient_first = true};
const Method method_sft{.name = "sft", .rows = RowKind::sequences, .loss = nll, .gradient_first = true};
const Method method_weighted_sft{
    .name = "weighted-sft", .rows = RowKind::sequences, .loss = normalized_nll, .gradient_first = true};

}  // namespace fettle::train
