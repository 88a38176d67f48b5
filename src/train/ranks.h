#pragma once
// What ranks that train one model have to have in common. Each holds the whole model; the data are read by all, the
// micro-batches of a step are dealt, gradients are added up in the order of the ranks. Alone, none of this does anything.
#include <optional>

#include "parallel/process_group.h"
#include "train/run_state.h"
#include "train/trainer.h"

namespace fettle::train {

/// Throws AgreedError naming the rank and the keys, when the fingerprint of a rank (its data, model and config) is not rank 0's.
void check_same_run(parallel::ProcessGroup& group, const OrderedJson& fingerprint);
/// Rank 0's: it alone looks at OUT/state.
std::optional<RunPosition> share_position(parallel::ProcessGroup& group, const std::optional<RunPosition>& position);
/// The smallest micro-batch, recomputation where one rank needs it, the first shortage. Throws AgreedError when ranks would
/// compute in other ways.
void agree_on_plan(parallel::ProcessGroup& group, TrainPlan& plan);
/// The tokens of a micro-batch of which a mean step has as many for each rank as for any other. Alone: `most_of_a_step`.
int64_t tokens_of_a_rank(const parallel::ProcessGroup& group, int64_t most_of_a_step, int64_t tokens_per_epoch, int64_t steps_per_epoch);

/// Rank 0's tensors on every rank. Tensors lie in the backend's memory here and below; where that is not the host's, they go
/// through it.
void share_state(parallel::ProcessGroup& group, const std::vector<NamedTensor>& tensors, Backend& backend);
/// Each becomes the sum over all ranks.
void sum_gradients(parallel::ProcessGroup& group, const Tensor& gradients, Backend& backend);
/// Throws AgreedError when a rank's tensors have other bits than rank 0's: a state that is saved once would not be every rank's.
void check_same_state(parallel::ProcessGroup& group, const std::vector<NamedTensor>& tensors, int64_t step, Backend& backend);

}  // namespace fettle::train
