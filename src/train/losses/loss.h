#pragma once
// A training method as a function of log-probabilities alone: no tensor, no model. A row's log-probabilities
// (and cached reference log-probabilities) go in; its share of the optimiser step's loss and the gradient
// with respect to each log-probability come out. Because every normaliser is that of the whole optimiser
// step, the sum over rows does not depend on how they are grouped.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::train {

/// What a row of the method's data is.
enum class RowKind : uint8_t {
  texts,      ///< {"text"}: all tokens
  sequences,  ///< conversations or prompt and completion, with a loss weight per token
  pairs,      ///< a chosen and a rejected answer to one prompt
  judged,     ///< one answer, desirable or not
};

struct LossOptions {
  double beta = 0.1;
  double gamma = 0.5;            ///< simpo: the target margin
  double label_smoothing = 0.0;  ///< cdpo, simpo: the share of labels taken to be wrong
  double desirable_weight = 1.0, undesirable_weight = 1.0;  ///< kto
};

/// Sums over the whole optimiser step, known before its first forward pass.
struct StepTotals {
  int64_t rows = 0;
  int64_t supervised_tokens = 0;
  double token_weight = 0.0;  ///< Σ of the weights of supervised tokens
  int64_t chosen_tokens = 0;  ///< orpo: labels in prompts and chosen answers
  double kl = 0.0;            ///< kto: estimated from mismatched prompts and answers, not negative
};

/// One row. Spans hold natural-log probabilities of tokens in their order; those that a method has no use for
/// are empty.
struct LossRow {
  std::span<const float> chosen;    ///< the (chosen) answer, or the supervised tokens of a sequence
  std::span<const float> rejected;  ///< pairs
  std::span<const float> prompt;    ///< where the method asks for it
  std::span<const float> weights;   ///< texts, sequences: the weight of each token of `chosen`
  double reference_chosen = 0.0, reference_rejected = 0.0;  ///< sums under the reference model
  bool desirable = true;                                    ///< judged
  double weight = 1.0;                                      ///< of the row
};

/// Where d(loss of the step)/d(logp) goes: as long as the spans of the row, overwritten.
struct RowGradient {
  std::span<float> chosen, rejected, prompt;
};

struct RowLoss {
  double loss = 0.0;  ///< the row's share: shares add up to the loss of the step
  double reward_chosen = 0.0, reward_rejected = 0.0;  ///< for metrics; judged rows fill the one that they are
};

struct Method {
  std::string_view name;
  RowKind rows;
  RowLoss (*loss)(const LossRow&, const StepTotals&, const LossOptions&, const RowGradient&);
  double beta = 0.0;           ///< default; 0: the method has none
  bool reference = false;      ///< asks for reference log-probabilities
  bool prompt_labels = false;  ///< asks for log-probabilities of the prompt
  bool mismatched_kl = false;  ///< asks for StepTotals::kl
  bool gradient_first =
      false;  ///< the gradient does not depend on the log-probabilities: one pass over the head is enough

  bool preference() const { return rows == RowKind::pairs || rows == RowKind::judged; }
};

const std::vector<const Method*>& methods();
/// Throws Error(usage) with the nearest name.
const Method& method_from_name(std::string_view name);

}  // namespace fettle::train
