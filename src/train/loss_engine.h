#pragma once
// Rows through the decoder: gradients of one optimiser step, losses of held-out rows, sums of
// log-probabilities.
#include <functional>
#include <optional>
#include <unordered_map>

#include "model/decoder.h"
#include "train/micro_batch.h"
#include "train/trainer.h"

namespace fettle::train {

/// Sums of log-probabilities under the reference model, by row; and of mismatched pairs, by pair_key.
struct ReferenceSums {
  std::vector<double> chosen, rejected;
  std::unordered_map<uint64_t, double> mismatched;
};
uint64_t pair_key(const Pairing& pairing);

struct PassResult {
  double loss = 0.0;
  int64_t tokens = 0, supervised_tokens = 0;
  std::optional<double> router_loss;  ///< of a step in a model with experts
  std::optional<StepMetrics::Preference> preference;
  double accuracy_error = 0.0;
};

/// Not thread-safe. Keeps a reference to the decoder, which must have room for batches of `capacity` tokens.
class LossEngine {
 public:
  /// router_weight: of the routers' load-balancing loss in a step. It is taken of each micro-batch, by its share of
  /// the step's tokens.
  LossEngine(Decoder& decoder, const Method& method, const LossOptions& options, int64_t capacity,
         float router_weight = 0.0F);

  /// Adds the step's gradient to the parameters' gradients. The normalisers are those of `indices`, however
  /// they are packed. nullopt when should_stop() said so between two micro-batches. Throws Error naming
  /// `step` and the rows of the micro-batch when a loss is not finite.
  std::optional<PassResult> accumulate(const TrainRows& rows, std::span<const int64_t> indices,
                                       const ReferenceSums& reference, int64_t step,
                                       const std::function<bool()>& should_stop);
  /// The loss of all rows as one step, no gradient.
  PassResult evaluate(const TrainRows& rows, const ReferenceSums& reference);

  /// Sums of log-probabilities of the answers of `indices`, written to reference.chosen and rejected.
  void score_rows(const TrainRows& rows, std::span<const int64_t> indices, ReferenceSums& reference);
  std::vector<double> score_pairings(const TrainRows& rows, std::span<const Pairing> pairings);

 private:
  struct Tally;
  void losses(const TrainRows& rows, const MicroBatch& micro, const StepTotals& totals,
              const ReferenceSums& reference, Tally& tally);
  double estimate_kl(const TrainRows& rows, std::span<const int64_t> indices, const ReferenceSums& reference);

  Decoder& decoder_;
  const Method& method_;
  LossOptions options_;
  int64_t capacity_;
  float router_weight_;
  std::vector<float> logp_, dlogp_, weights_;
};

}  // namespace fettle::train
