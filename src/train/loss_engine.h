#pragma once
// Rows through the decoder: gradients of one optimiser step, losses of held-out rows, sums of
// log-probabilities.
#include <functional>
#include <optional>
#include <unordered_map>

#include "model/decoder.h"
#include "parallel/process_group.h"
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
  /// Micro-batches are dealt among `group`, whose ranks call the same members with the same rows: what accumulate() and
  /// evaluate() give is of all, the gradients are this rank's part.
  LossEngine(Decoder& decoder, const Method& method, const LossOptions& options, int64_t capacity,
         float router_weight = 0.0F, parallel::ProcessGroup& group = parallel::alone());

  /// Adds the step's gradient to the parameters' gradients. The normalisers are those of `indices`, however
  /// they are packed. nullopt when should_stop() said so between two micro-batches. Throws Error naming
  /// `step` and the rows of the micro-batch when a loss is not finite.
  std::optional<PassResult> accumulate(const TrainRows& rows, std::span<const int64_t> indices,
                                       const ReferenceSums& reference, int64_t step,
                                       const std::function<bool()>& should_stop);
  /// The loss of all rows as one step, no gradient.
  PassResult evaluate(const TrainRows& rows, const ReferenceSums& reference);

  /// Sums of log-probabilities of the answers of `indices`, written to reference.chosen and rejected: all by this rank.
  void score_rows(const TrainRows& rows, std::span<const int64_t> indices, ReferenceSums& reference);
  std::vector<double> score_pairings(const TrainRows& rows, std::span<const Pairing> pairings) { return score_pairings(rows, pairings, parallel::alone()); }

 private:
  struct Tally;
  void losses(const TrainRows& rows, const MicroBatch& micro, const StepTotals& totals,
              const ReferenceSums& reference, Tally& tally);
  /// Runs `work`, which adds to `tally`, and puts what all ranks added into it, in their order; false where one's work gave false.
  bool by_ranks(Tally& tally, const std::function<bool()>& work);
  /// 0 for pairings that other ranks of `group` score.
  std::vector<double> score_pairings(const TrainRows& rows, std::span<const Pairing> pairings, parallel::ProcessGroup& group);
  double estimate_kl(const TrainRows& rows, std::span<const int64_t> indices, const ReferenceSums& reference);

  Decoder& decoder_;
  const Method& method_;
  LossOptions options_;
  int64_t capacity_;
  float router_weight_;
  parallel::ProcessGroup& group_;
  std::vector<float> logp_, dlogp_, weights_;
};

}  // namespace fettle::train
