#pragma once
// Log-probabilities under the reference model: the model as training starts. With a fresh adapter that is the
// base, with a given one the base and that adapter; no second model is ever in memory. Computed once before
// the first step and kept on disk.
#include "train/loss_engine.h"
#include "train/setup.h"

namespace fettle::train {

/// Every mismatched pair that kto's steps will ask for, without doubles, in the order of their first use.
std::vector<Pairing> mismatched_pairs(const TrainConfig& config, int64_t rows, int64_t steps);

/// Sums for all rows of `rows` and all `pairings`, from the cache (fettle's cache folder, under the hash of
/// the model's files, the config of the arithmetic and the rows) or computed, in which case the decoder must
/// hold the initial weights. Ranks share the rows, and rank 0's cache counts. A killed computation goes on where it was. should_stop: as in TrainCallbacks;
/// throws Error(interrupted).
ReferenceSums reference_sums(const TrainModel& model, LossEngine& engine, const TrainRows& rows,
                             const std::vector<Pairing>& pairings, const std::function<bool()>& should_stop,
                             bool progress, parallel::ProcessGroup& group = parallel::alone());

}  // namespace fettle::train
