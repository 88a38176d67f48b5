#pragma once
// Training from start to finish: config in, model folder out. docs/training.md is the user's page.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "parallel/process_group.h"
#include "train/config.h"

namespace fettle::train {

/// One row of OUT/metrics.jsonl. Everything but seconds, tokens_per_second and peak_memory_bytes is a
/// function of config, data and machine alone: a resumed run writes the same.
struct StepMetrics {
  int64_t step = 0;  ///< from 1
  double loss = 0.0;
  int64_t tokens = 0;  ///< that the decoder ran over (a shared prompt counts once)
  int64_t supervised_tokens = 0;
  double seconds = 0.0, tokens_per_second = 0.0;
  double learning_rate = 0.0;  ///< used in this step
  double grad_norm = 0.0;      ///< before clipping
  int64_t peak_memory_bytes = 0;
  std::optional<double> router_loss;  ///< of a model with experts, unweighted; `loss` has its share in it
  /// Preference methods: means over the step's rows; rewards are the method's own (beta * log-ratio for DPO's
  /// relatives).
  struct Preference {
    /// Of a class that no row of the step belongs to (judged rows), its figures and the margin are NaN here and absent in
    /// metrics.jsonl.
    double reward_chosen = 0.0, reward_rejected = 0.0, reward_margin = 0.0, reward_accuracy = 0.0;
    double logp_chosen = 0.0, logp_rejected = 0.0;  ///< sums over a row's tokens
    std::optional<double> kl;                       ///< kto
  };
  std::optional<Preference> preference;
};

/// One row of OUT/eval.jsonl: the held-out rows after `step` optimiser steps (0: before the first).
struct EvalMetrics {
  int64_t step = 0;
  int64_t rows = 0;
  double loss = 0.0;
  std::optional<StepMetrics::Preference> preference;
  double reward_accuracy_error = 0.0;  ///< standard error of the accuracy, for preference methods
};

/// What a run will do and need, known before its first step.
struct TrainPlan {
  MemoryPlan memory;
  int64_t rows_beyond_context = 0;  ///< rows with positions that the model was not made for
  int64_t available_bytes = 0;
  std::string shortage;  ///< why the plan does not fit memory_limit or what is available; empty when it does
  std::string backend;
  Product product = Product::f32;
  DType activations = DType::f32;
  Recompute recompute = Recompute::none;
  int64_t micro_tokens = 0;
  int ranks = 1;
  int64_t parameters = 0, trainable_parameters = 0;
  int64_t rows = 0, eval_rows = 0, steps = 0, steps_per_epoch = 0;
  int64_t tokens_per_epoch = 0;
  int64_t token_bytes = 0, other_token_bytes = 0;  ///< on disk: of these rows, and of others in the same cache
  std::string token_folder;                        ///< of the training rows
  bool tokens_temporary = false;                   ///< they go with the run
  int64_t first_step = 0;                 ///< steps that a former run has done already
  double flops_per_step = 0.0;            ///< matrix products of a mean step, forward and backward
  double reference_flops = 0.0;           ///< of the reference log-probabilities of all rows, once
  double product_flops_per_second = 0.0;  ///< measured just now
  double seconds_per_step = 0.0;          ///< estimate: half of the measured product speed
  std::string sample, coloured_sample;    ///< the first row as it is learnt: with marks, and in a terminal's colours
  OrderedJson data_counts;                ///< rows read, kept, dropped by reason, answers and what is odd about them
  std::string data_report;                ///< what was read, kept, truncated and dropped, for people
  std::string describe() const;           ///< all of it as a page for people
};

struct TrainCallbacks {
  std::function<void(const TrainPlan&)> on_plan;    ///< once, before the first step
  std::function<void(const StepMetrics&)> on_step;  ///< after each optimiser step
  std::function<void(const EvalMetrics&)> on_eval;
  /// Asked between micro-batches; true: save and throw Error(interrupted). Default: interrupted() of
  /// base/interrupt.h.
  std::function<bool()> should_stop;
  bool progress = true;  ///< the bar on standard error (base/progress.h)
};

struct TrainResult {
  TrainPlan plan;
  std::vector<StepMetrics> steps;  ///< of the whole run, resumed steps included
  std::vector<EvalMetrics> evals;
  double seconds = 0.0;          ///< of this process's steps
  bool finished_before = false;  ///< the run was complete already; nothing was done
};

/// Reads model and data and plans (--dry-run); writes nothing but the tokens, into the cache, where the run finds them. A plan that does not fit into memory comes back with
/// its shortage.
TrainPlan plan_training(const TrainConfig& config, parallel::ProcessGroup& group = parallel::alone());

/// Trains, or goes on where a killed run with the same config was. Writes OUT/: model or adapter folder,
/// README.md, fettle.json, metrics.jsonl, eval.jsonl, rejected.jsonl, report.html, state/. Throws Error:
/// input (config, data or model do not fit; a loss or gradient that is not finite: names the step and the
/// rows), io (disk full: the last good state stays), interrupted (the state is saved). One at a time per OUT:
/// a second process gets an Error.
///
/// Several ranks call it with the same config and get the same losses: rank 0 writes, and its result alone is whole. When one of
/// them is asked to stop, all stop after the same step.
TrainResult train(const TrainConfig& config, const TrainCallbacks& callbacks = {}, parallel::ProcessGroup& group = parallel::alone());

/// The names `method:` knows, for help texts.
std::vector<std::string> method_names();

}  // namespace fettle::train
