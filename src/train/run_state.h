#pragma once
// OUT/ as a place where a run can be killed and gone on with: a lock, saved states, and what a state belongs
// to.
#include <optional>

#include "base/json.h"
#include "base/open_file.h"
#include "checkpoint/state.h"
#include "train/optimizer.h"
#include "train/setup.h"

namespace fettle::train {

/// Held by the one process that trains into a folder; given back when destroyed or when the process dies.
class FolderLock {
 public:
  /// Makes the folder. Throws Error when another process holds it.
  explicit FolderLock(const fs::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  /// Throws Error when the folder was removed or replaced since: what was written into it may be gone.
  void check() const;

 private:
  fs::path folder_;
  Descriptor descriptor_;
};

/// What may be gone on with, and from where: everything a state says beside its tensors.
struct RunPosition {
  int64_t step = 0;         ///< optimiser steps done
  OrderedJson fingerprint;  ///< config, data and model that the numbers depend on
  OrderedJson
      arithmetic;  ///< what was chosen for this machine: micro_tokens, recompute, product, backend, threads
  std::optional<double> best;  ///< value of keep_best so far
  int64_t best_step = -1;
};

/// What a state holds: the trained parameters and what the optimiser keeps of them.
std::vector<NamedTensor> tensors_of(TrainModel& model, const Optimizer& optimizer);

/// The states under OUT/state/, one folder per saved step.
class RunStates {
 public:
  RunStates(fs::path out, int64_t keep);

  /// The newest state that is whole; damaged ones are passed over with a warning.
  std::optional<RunPosition> newest() const;
  /// Puts the tensors of the state of `step` into place.
  void restore(int64_t step, TrainModel& model, Optimizer& optimizer) const;
  /// Removes what a killed run left: states that were being written or removed. Nobody else may be writing there.
  void remove_broken() const;
  /// Saves, then removes all but the `keep` newest.
  void save(const RunPosition& position, TrainModel& model, const Optimizer& optimizer) const;

 private:
  fs::path folder(int64_t step) const;
  std::vector<int64_t> steps() const;  ///< newest first

  fs::path root_;
  int64_t keep_;
};

/// Throws Error naming the keys that differ, when a saved run has another fingerprint.
void check_fingerprint(const OrderedJson& saved, const OrderedJson& now, const fs::path& out);

}  // namespace fettle::train
