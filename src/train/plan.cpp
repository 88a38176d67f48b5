#include "train/plan.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/log.h"
#include "base/progress.h"
#include "data/training/packing.h"
#include "tensor/process_memory.h"
#include "train/optimizer.h"

namespace fettle::train {
namespace {

/// Below this the products get slow; recomputation costs less.
constexpr int64_t kSlowTokens = 512;
/// Nothing smaller is tried: what is left then is the logits of a chunk and the weights.
constexpr int64_t kLeastTokens = 64;
constexpr int64_t kMeasuredTokens = 1 << 18;
/// Share of the available memory that a plan may use: the rest is for the data, the system, and what a plan
/// cannot know.
constexpr double kUsable = 0.85;

struct Candidate {
  int64_t tokens;
  Recompute recompute;
};

std::vector<Candidate> candidates(const TrainConfig& config, int64_t longest, int64_t step_tokens) {
  std::vector<int64_t> sizes;
  if (config.micro_tokens > 0) {
    sizes = {std::max(config.micro_tokens, longest)};
  } else {
    for (int64_t size = std::max(longest, std::min(step_tokens, fast_tokens));
         size > std::max(longest, kSlowTokens); size = size * 3 / 4)
      sizes.push_back(size);
    sizes.push_back(std::max(longest, std::min(step_tokens, kSlowTokens)));
  }
  const int64_t least = std::max(longest, std::min(step_tokens, kLeastTokens));
  std::vector<Candidate> result;
  const bool keep = config.recompute != RecomputeChoice::block,
             again = config.recompute != RecomputeChoice::none;
  for (const int64_t size : sizes)
    if (keep) result.push_back({size, Recompute::none});
  for (const int64_t size : sizes)
    if (again) result.push_back({size, Recompute::block});
  if (config.micro_tokens > 0) return result;
  for (int64_t size = sizes.back(); size > least;) {  // slow, and better than nothing
    size = std::max(least, size * 3 / 4);
    result.push_back({size, again ? Recompute::block : Recompute::none});
  }
  return result;
}

/// Multiply-adds count two.
double measured_flops_per_second(Backend& backend, Product product) {
  constexpr int64_t kRows = 512, kInner = 768, kCols = 1024;
  const Buffer memory((kRows * kInner + kCols * kInner + kRows * kCols) * static_cast<int64_t>(sizeof(float)),
                      backend.memory());
  auto* floats = static_cast<float*>(memory.data());
  const Tensor a(floats, DType::f32, kRows, kInner), b(floats + kRows * kInner, DType::f32, kCols, kInner);
  const Tensor c(floats + kRows * kInner + kCols * kInner, DType::f32, kRows, kCols);
  const MatMul options{.transpose_b = true, .product = product};
  backend.matmul(c, a, b, options);
  backend.synchronize();
  const auto start = std::chrono::steady_clock::now();
  double seconds = 0.0;
  int rounds = 0;
  for (; seconds < 0.1; ++rounds) {
    backend.matmul(c, a, b, options);
    backend.synchronize();
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return 2.0 * kRows * kInner * kCols * rounds / seconds;
}

std::string shortage(const TrainConfig& config, const TrainPlan& plan, int64_t coming) {
  constexpr const char* ways =
      "a smaller max_length, micro_tokens: auto, recompute: block, an adapter or optimizer: adamw8bit needs less; "
      "force_memory: true starts all the same";
  const auto bytes = [](int64_t count) { return human_bytes(static_cast<double>(count)); };
  if (config.memory_limit > 0.0 && static_cast<double>(plan.memory.on_device()) > config.memory_limit)
    return fmt::format("the plan needs {}, and memory_limit is {}: {}", bytes(plan.memory.on_device()),
                       human_bytes(config.memory_limit), ways);
  if (coming > plan.available_bytes)
    return fmt::format("the plan needs {} more, and {} are available: {}", bytes(coming),
                       bytes(plan.available_bytes), ways);
  return {};
}

}  // namespace

int64_t longest_item(const TrainRows& rows, const Method& method) {
  return method.mismatched_kl ? rows.sums.longest_prompt + rows.sums.longest_chosen : rows.sums.longest;
}

int64_t data_bytes(const TrainConfig& config, const Method& method, const TrainRows& rows, const TrainRows& eval, int64_t conversations) {
  int64_t total = data::EpochOrder::memory(rows.size(), conversations, config.shuffle);
  // Of each row two sums, and the same once more while they are read; kto has a third, in a table.
  const int64_t sums = !method.reference ? 0 : method.mismatched_kl ? 96 : 32;
  total += sums * (rows.size() + eval.size()) + eval.size() * static_cast<int64_t>(sizeof(int64_t));
  for (const TrainRows* each : {&rows, &eval}) {
    if (each->set) total += std::min(each->set->bytes(), data::TokenizedSet::most_resident);
  }
  return total;
}

void plan_disk(const TrainConfig& config, const TrainRows& rows, const TrainRows& eval, TrainPlan& plan) {
  plan.token_bytes = rows.set->bytes();
  plan.token_folder = rows.set->folder().string();
  plan.tokens_temporary = rows.set->is_temporary();
  if (eval.set && eval.set->folder() != rows.set->folder()) plan.token_bytes += eval.set->bytes();
  if (plan.tokens_temporary) return;
  int64_t all = 0;
  for (const auto& one : data::list_cached_tokens(rows.set->folder().parent_path())) all += one.bytes;
  plan.other_token_bytes = std::max<int64_t>(0, all - plan.token_bytes);
}

void plan_memory(const TrainConfig& config, const TrainModel& model, int64_t longest, int64_t step_tokens,
                 int64_t program, TrainPlan& plan, int sharing) {
  const Parameters& trained = model.adapter ? model.adapter->parameters : model.loaded.parameters;
  MemoryPlan& memory = plan.memory;
  memory.weights = model.loaded.parameters.value_bytes();
  memory.adapter = model.adapter ? model.adapter->parameters.value_bytes() : 0;
  if (model.product == Product::bf16) {
    for (const auto& parameter : model.loaded.parameters.all())
      if (parameter->value.dtype != DType::bf16 && parameter->value.rows > 1) memory.shadow_weights += parameter->value.size() * 2;
  }
  memory.gradients = Optimizer::gradient_bytes(trained);
  memory.optimizer = Optimizer::state_bytes(config.optimizer, trained);
  memory.workspace = model.backend->workspace_bytes();
  memory.program = program;

  // What stands in memory already is not part of what is available.
  Memory& device = model.backend->memory();
  if (!device.is_host()) memory.device = std::string(model.backend->name());
  plan.available_bytes = device.available() / sharing;
  const int64_t coming = memory.gradients + memory.optimizer;
  const auto usable = static_cast<int64_t>(kUsable * static_cast<double>(plan.available_bytes)) - coming;
  const int64_t under_limit = config.memory_limit > 0.0 ? static_cast<int64_t>(config.memory_limit) - memory.on_device()
                                                        : std::numeric_limits<int64_t>::max();
  const std::vector<Candidate> all = candidates(config, longest, step_tokens);
  const auto need = [&](const Candidate& c) {
    // Measuring walks through the batch, so that a size beyond all memory is told from a part of it.
    const int64_t measured = std::min(c.tokens, kMeasuredTokens);
    const int64_t bytes = model.decoder->training_bytes(measured, measured, c.recompute);
    return measured == c.tokens ? bytes : bytes / measured * c.tokens;
  };
  auto chosen = std::find_if(all.begin(), all.end(),
                             [&](const Candidate& c) { return need(c) <= std::min(usable, under_limit); });
  if (chosen == all.end())
    chosen = std::min_element(all.begin(), all.end(),
                              [&](const Candidate& a, const Candidate& b) { return need(a) < need(b); });
  plan.micro_tokens = chosen->tokens;
  plan.recompute = chosen->recompute;
  memory.activations = need(*chosen);
  plan.shortage = shortage(config, plan, coming + memory.activations);
}

double forward_flops(const ModelConfig& config, double tokens, double labels) {
  const double head = static_cast<double>(config.vocab_size) * config.hidden_size;
  const double body = static_cast<double>(config.parameter_count()) - head * (config.tied_embeddings ? 1 : 2);
  return 2.0 * (tokens * body + labels * head);
}

double step_flops(const ModelConfig& config, bool adapter, Recompute recompute, double tokens,
                  double labels) {
  // Backward costs a forward for the inputs' gradients and, where the weights are trained, one for theirs.
  return forward_flops(config, tokens, labels) * (adapter ? 2.0 : 3.0) +
         (recompute == Recompute::block ? forward_flops(config, tokens, 0.0) : 0.0);
}

std::string TrainPlan::describe() const {
  std::string text = data_report;
  text += fmt::format("\n{} parameters, {} trained; {} rows in {} steps ({} per epoch), {} tokens per epoch",
                      human_count(static_cast<double>(parameters)),
                      human_count(static_cast<double>(trainable_parameters)), rows, steps, steps_per_epoch,
                      human_count(static_cast<double>(tokens_per_epoch)));
  if (eval_rows > 0) text += fmt::format("; {} held-out rows", eval_rows);
  if (ranks > 1) text += fmt::format("\n{} ranks share the micro-batches of each step; memory is that of one of them", ranks);
  text += fmt::format("\n{}, products in {}, micro-batches of {} tokens, activations in {} {}", backend,
                      product == Product::bf16 ? "bf16" : "f32", micro_tokens, dtype_name(activations),
                      recompute == Recompute::block ? "computed again" : "kept");
  text += fmt::format("\ntokens on disk: {} in {}{}", human_bytes(static_cast<double>(token_bytes)), token_folder,
                      tokens_temporary ? ", for this run alone" : "");
  if (other_token_bytes > 0)
    text += fmt::format("; those of other data and settings beside it take {} (`fettle data clean-cache` removes them)", human_bytes(static_cast<double>(other_token_bytes)));
  text += "\n" + memory.describe();
  text += fmt::format("\navailable now: {}", human_bytes(static_cast<double>(available_bytes)));
  if (!shortage.empty()) text += "\nnot enough memory: " + shortage;
  if (seconds_per_step > 0.0)
    text += fmt::format(
        "\ntime: about {} per step, {} in all (measured product speed {:.0f} GFLOP/s, half of it assumed)",
        human_seconds(seconds_per_step),
        human_seconds(seconds_per_step * static_cast<double>(steps - first_step)),
        product_flops_per_second / 1e9);
  if (first_step > 0) text += fmt::format("\ngoing on after step {} of {}", first_step, steps);
  return text;
}

void plan_time(const TrainConfig& config, const TrainModel& model, const TrainRows& rows, TrainPlan& plan) {
  const auto tokens = static_cast<double>(rows.sums.tokens), labels = static_cast<double>(rows.sums.supervised);
  const auto steps = static_cast<double>(std::max<int64_t>(1, plan.steps_per_epoch));
  plan.flops_per_step = step_flops(model.loaded.config, config.adapter.has_value(), plan.recompute,
                                   tokens / steps, labels / steps);
  if (method_from_name(config.method).reference)
    plan.reference_flops = forward_flops(model.loaded.config, tokens, labels);
  plan.product_flops_per_second = measured_flops_per_second(*model.backend, model.product);
  plan.seconds_per_step = plan.flops_per_step / (0.5 * plan.product_flops_per_second);
}

}  // namespace fettle::train
