#pragma once
// Memory and time before the first step: how many tokens a micro-batch holds, and whether activations are
// kept or computed again.
#include "train/rows.h"
#include "train/setup.h"
#include "train/trainer.h"

namespace fettle::train {

/// Beyond this many tokens a product on a CPU is no faster, and activations cost memory in proportion.
constexpr int64_t fast_tokens = 1024;

/// Tokens of the longest thing that must fit into one micro-batch.
int64_t longest_item(const TrainRows& rows, const Method& method);

/// Of what training keeps of its rows: the order of an epoch, reference sums, and pages of the token file.
int64_t data_bytes(const TrainConfig& config, const Method& method, const TrainRows& rows, const TrainRows& eval, int64_t conversations);

/// Where the tokens lie and how much disk they take, into token_folders, token_bytes and other_token_bytes of `plan`.
void plan_disk(const TrainConfig& config, const TrainRows& rows, const TrainRows& eval, TrainPlan& plan);

/// Fills memory, micro_tokens, recompute and shortage of `plan`. Explicit values of the config are taken as they
/// are; `auto` takes the largest micro-batch that is still fast and fits both memory_limit and what is available,
/// activations kept if possible, and smaller ones where none does. `program`: bytes of program
/// and libraries, tokenizer and what is kept of the rows. `sharing`: processes that share this machine's memory. The decoder holds its rounded weights already. The decoder must exist and hold the trainable parameters.
void plan_memory(const TrainConfig& config, const TrainModel& model, int64_t longest, int64_t step_tokens,
                 int64_t program, TrainPlan& plan, int sharing = 1);

/// Fills flops_per_step, reference_flops and, after a measurement of a tenth of a second,
/// product_flops_per_second and seconds_per_step.
void plan_time(const TrainConfig& config, const TrainModel& model, const TrainRows& rows, TrainPlan& plan);

/// Floating-point operations of the weights' matrix products over `tokens` tokens, of which `labels` are
/// scored (the head runs for those alone). Attention and adapters are not counted, nor a head that runs
/// twice.
double forward_flops(const ModelConfig& config, double tokens, double labels);
double step_flops(const ModelConfig& config, bool adapter, Recompute recompute, double tokens, double labels);

}  // namespace fettle::train
