#include "model/decoder.h"

#include <algorithm>
#include <optional>

#include "model/layers/block.h"
#include "model/layers/embedding.h"
#include "model/layers/head.h"
#include "model/mapped_parameters.h"
#include "model/measuring.h"
#include "model/staged_batch.h"

namespace fettle {
namespace {

/// The largest batch of these sizes, for measuring: every token a span of its own.
Batch sized_batch(int64_t tokens, int64_t labels) {
  Batch batch;
  batch.tokens.resize(static_cast<size_t>(tokens));
  batch.positions.resize(batch.tokens.size());
  batch.spans.resize(batch.tokens.size());
  batch.ranges.resize(batch.tokens.size());
  batch.labels.resize(static_cast<size_t>(labels));
  batch.label_rows.resize(batch.labels.size());
  return batch;
}

/// Elements that stand one behind the other, as a column or as a row.
Tensor column_of(const Tensor& x) {
  return {x.data, x.dtype, x.size(), 1};
}
Tensor row_of(const Tensor& x) {
  return {x.data, x.dtype, 1, x.size()};
}

void check_batch(const Batch& batch) {
  FETTLE_CHECK(!batch.tokens.empty() && batch.positions.size() == batch.tokens.size());
  FETTLE_CHECK(!batch.spans.empty() && batch.spans.back().q_end == batch.size());
}

}  // namespace

/// What forward() leaves for backward(), in the training arena.
struct TrainingPass {
  StagedBatch batch;
  int64_t tokens = 0, labels = 0;
  std::vector<Tensor> inputs;   ///< of the layers from first_layer on
  std::vector<BlockKept> kept;  ///< of the same; empty with recomputation
  Tensor out;                   ///< of the last layer
  RouterTally tally;            ///< absent without experts
  std::vector<float> probabilities;  ///< of the tally, on the host
  std::vector<int32_t> picks;
};

struct Decoder::Impl {
  Impl(const ModelConfig& config, Parameters& parameters, Backend& backend, DecoderOptions options)
      : network(config, parameters, backend, options),
        backend(backend),
        activations(options.activations),
        recompute(options.recompute),
        training(backend.memory()),
        inference(backend.memory()) {
    watch(files, parameters);
    files.check();
  }

  /// For training and scoring, which agree on every type.
  Context context(Backend& on, Arena& arena) {
    Context context{on, arena, network.config, network.product, activations};
    context.alibi_slopes = network.alibi;
    return context;
  }
  Context training_context(Backend& on, Arena& arena) {
    Context out = context(on, arena);
    out.dropout_seed = dropout_seed;
    out.dropout_step = dropout_step;
    return out;
  }

  TrainingPass run_forward(Context& context, const Batch& batch, Recompute mode);
  void run_backward(const Context& context, TrainingPass& pass, const Tensor& logp, const Tensor& dlogp);
  void read_tally(TrainingPass& pass) const;
  double router_loss_of(const TrainingPass& pass) const;
  Tensor router_gradient(const Context& context, const TrainingPass& pass, float weight) const;
  int64_t measure_training(int64_t tokens, int64_t labels, Recompute mode);
  void ensure_reserved(const Batch& batch);
  /// Runs body(context) on the inference arena, which grows to what a measuring run of it needs.
  template <typename Body>
  void infer(Body body);
  Tensor run_blocks(const Context& context, std::span<const CacheRows> groups, const KvCache* cache);
  void check_files() const {
    files.check();
    adapter_files.check();
  }

  Network network;
  /// That weights lie in: what is computed from one that was cut must not be used.
  MappedMemory files, adapter_files;
  Backend& backend;
  DType activations;
  Recompute recompute;
  Arena training, inference;
  int64_t max_tokens = 0, max_labels = 0;
  bool limited = false;   ///< reserve_training() said what comes at most
  bool reserved = false;  ///< the arena is for those sizes and the present settings
  std::optional<TrainingPass> pass;
  double router_loss = 0.0;  ///< of the last forward()
  uint64_t dropout_seed = 0, dropout_step = 0;
};

// ---- training

TrainingPass Decoder::Impl::run_forward(Context& context, const Batch& batch, Recompute mode) {
  TrainingPass pass{.batch = StagedBatch(batch, network, context.backend, true)};
  pass.batch.send(context);
  pass.tokens = batch.size();
  pass.labels = static_cast<int64_t>(batch.labels.size());
  const auto layers = static_cast<int64_t>(network.blocks.size());
  const int64_t first = std::max<int64_t>(network.first_trainable_layer(), 0);
  Tensor x = context.arena.take(pass.tokens, network.config.hidden_size);
  embedding_forward(context, network.embedding, x);
  if (const int32_t experts = network.config.expert_count(); experts > 0) {
    pass.tally.probabilities = context.arena.take(1, experts);
    pass.tally.picks = context.arena.take(DType::i32, 1, experts);
    context.backend.fill(pass.tally.probabilities, 0.0F);
    context.backend.fill(pass.tally.picks, 0.0F);
    context.tally = &pass.tally;
  }
  for (int64_t layer = 0; layer < layers; ++layer) {
    const Block& block = network.blocks[static_cast<size_t>(layer)];
    if (layer < first) {
      block_infer(context, block, x);
      continue;
    }
    pass.inputs.push_back(x);
    const Tensor out = context.arena.take(pass.tokens, network.config.hidden_size);
    if (mode == Recompute::none) {
      pass.kept.push_back(take_block_kept(context, block, pass.tokens));
      block_forward(context, block, out, x, pass.kept.back());
    } else {
      const ArenaScope scope(context.arena);
      block_forward(context, block, out, x, take_block_kept(context, block, pass.tokens));
    }
    x = out;
  }
  pass.out = x;
  context.tally = nullptr;
  return pass;
}

void Decoder::Impl::read_tally(TrainingPass& pass) const {
  if (pass.tally.rows == 0) return;
  pass.probabilities.resize(static_cast<size_t>(pass.tally.probabilities.cols));
  pass.picks.resize(pass.probabilities.size());
  backend.copy_to_host(pass.probabilities.data(), pass.tally.probabilities);
  backend.copy_to_host(pass.picks.data(), pass.tally.picks);
}

double Decoder::Impl::router_loss_of(const TrainingPass& pass) const {
  if (pass.tally.rows == 0) return 0.0;
  double loss = 0.0;
  for (size_t e = 0; e < pass.picks.size(); ++e) loss += static_cast<double>(pass.picks[e]) * double{pass.probabilities[e]};
  const auto rows = static_cast<double>(pass.tally.rows);
  return loss * static_cast<double>(pass.picks.size()) / (rows * rows);
}

/// Of every token's probabilities in every layer, [1, experts]; taken even where it is not used, so that a run never
/// needs more than was measured.
Tensor Decoder::Impl::router_gradient(const Context& context, const TrainingPass& pass, float weight) const {
  if (pass.tally.picks.absent()) return {};
  const int64_t experts = pass.tally.picks.cols;
  const Tensor out = context.arena.take(1, experts);
  if (weight == 0.0F) return {};
  const auto rows = static_cast<double>(pass.tally.rows);
  std::vector<float> gradient;
  for (const int64_t picks : pass.picks) {
    gradient.push_back(
        static_cast<float>(double{weight} * static_cast<double>(experts * picks) / (rows * rows)));
  }
  context.backend.copy_from_host(out, gradient.data());
  return out;
}

void Decoder::Impl::run_backward(const Context& context, TrainingPass& pass, const Tensor& logp,
                                 const Tensor& dlogp) {
  const auto layers = static_cast<int64_t>(network.blocks.size());
  const int64_t first = network.first_trainable_layer();
  const ArenaScope scope(context.arena);
  const bool below_head = first < layers;
  const Tensor dx = below_head ? context.arena.take(pass.tokens, network.config.hidden_size) : Tensor();
  if (below_head) context.backend.fill(dx, 0.0F);
  head_backward(context, network.head, below_head ? &dx : nullptr, logp, dlogp, pass.out,
                pass.batch.label_rows(), pass.batch.labels());
  for (int64_t layer = layers - 1; layer >= std::max<int64_t>(first, 0); --layer) {
    const ArenaScope layer_scope(context.arena);
    const Block& block = network.blocks[static_cast<size_t>(layer)];
    const auto index = static_cast<size_t>(layer - std::max<int64_t>(first, 0));
    BlockKept kept;
    if (pass.kept.empty()) {
      kept = take_block_kept(context, block, pass.tokens);
      block_recompute(context, block, pass.inputs[index], kept);
    } else {
      kept = pass.kept[index];
    }
    block_backward(context, block, dx, pass.inputs[index], kept, layer > first);
  }
  if (first < 0) embedding_backward(context, network.embedding, dx);
}

int64_t Decoder::Impl::measure_training(int64_t tokens, int64_t labels, Recompute mode) {
  MeasuringBackend nothing(backend);
  Arena arena(backend.memory());
  Context measuring = training_context(nothing, arena);
  TrainingPass pass = run_forward(measuring, sized_batch(tokens, labels), mode);
  const Tensor logp = arena.take(1, labels), dlogp = arena.take(1, labels);
  head_forward(measuring, network.head, logp, Tensor(), pass.out, pass.batch.label_rows(), pass.batch.labels());
  router_gradient(measuring, pass, 0.0F);
  run_backward(measuring, pass, logp, dlogp);
  return arena.peak();
}

void Decoder::Impl::ensure_reserved(const Batch& batch) {
  const auto labels = static_cast<int64_t>(batch.labels.size());
  const bool fits = batch.size() <= max_tokens && labels <= max_labels;
  FETTLE_CHECK(fits || !limited);
  if (fits && reserved) return;
  max_tokens = std::max<int64_t>(max_tokens, batch.size());
  max_labels = std::max(max_labels, labels);
  training.reserve(measure_training(max_tokens, max_labels, recompute));
  reserved = true;
}

// ---- inference

template <typename Body>
void Decoder::Impl::infer(Body body) {
  MeasuringBackend nothing(backend);
  Arena measuring(backend.memory());
  Context measured = context(nothing, measuring);
  body(measured);
  if (measuring.peak() > inference.capacity()) inference.reserve(measuring.peak());
  inference.release(0);
  Context real = context(backend, inference);
  body(real);
  inference.release(0);
}

Tensor Decoder::Impl::run_blocks(const Context& context, std::span<const CacheRows> groups, const KvCache* cache) {
  const Tensor x = context.arena.take(context.tokens.cols, network.config.hidden_size);
  embedding_forward(context, network.embedding, x);
  for (size_t layer = 0; layer < network.blocks.size(); ++layer) {
    if (cache == nullptr) {
      block_infer(context, network.blocks[layer], x);
      continue;
    }
    CacheRows rows = groups[static_cast<size_t>(cache->group[layer])];
    rows.k = cache->k[layer];
    rows.v = cache->v[layer];
    block_infer(context, network.blocks[layer], x, &rows);
  }
  return x;
}

// ---- the public face

Decoder::Decoder(const ModelConfig& config, Parameters& parameters, Backend& backend, DecoderOptions options)
    : impl_(std::make_unique<Impl>(config, parameters, backend, options)) {}
Decoder::~Decoder() = default;

void Decoder::set_adapters(std::vector<ActiveAdapter> adapters) {
  impl_->adapter_files = {};
  for (const auto& active : adapters) watch(impl_->adapter_files, active.adapter->parameters);
  impl_->network.link_adapters(adapters);
  impl_->pass.reset();
  impl_->reserved = false;
}

int64_t Decoder::training_bytes(int64_t tokens, int64_t labels, Recompute recompute) const {
  return impl_->measure_training(tokens, labels, recompute);
}

void Decoder::reserve_training(int64_t max_tokens, int64_t max_labels) {
  FETTLE_CHECK(max_tokens > 0 && max_labels >= 0);
  impl_->pass.reset();
  impl_->limited = true;
  impl_->max_tokens = max_tokens;
  impl_->max_labels = max_labels;
  impl_->training.reserve(impl_->measure_training(max_tokens, max_labels, impl_->recompute));
  impl_->reserved = true;
}

void Decoder::set_recompute(Recompute recompute) {
  if (recompute == impl_->recompute) return;
  impl_->recompute = recompute;
  impl_->pass.reset();
  impl_->reserved = false;
}

void Decoder::set_dropout_step(uint64_t seed, uint64_t step) {
  impl_->dropout_seed = seed;
  impl_->dropout_step = step;
}

void Decoder::score(const Batch& batch, std::span<float> logp, std::span<int32_t> best) {
  check_batch(batch);
  FETTLE_CHECK(logp.size() == batch.labels.size() && (best.empty() || best.size() == logp.size()));
  const auto labels = static_cast<int64_t>(batch.labels.size());
  if (labels == 0) return;
  StagedBatch staged(batch, impl_->network, impl_->backend, false);
  impl_->infer([&](Context& context) {
    staged.send(context);
    const Tensor out = context.arena.take(1, labels);
    const Tensor greedy = context.arena.take(DType::i32, 1, labels);
    const Tensor x = impl_->run_blocks(context, {}, nullptr);
    head_forward(context, impl_->network.head, out, greedy, x, staged.label_rows(), staged.labels());
    context.backend.copy_to_host(logp.data(), out);
    if (!best.empty()) context.backend.copy_to_host(best.data(), greedy);
  });
  impl_->check_files();
}

void Decoder::forward(const Batch& batch, std::span<float> logp) {
  check_batch(batch);
  FETTLE_CHECK(logp.empty() || logp.size() == batch.labels.size());
  impl_->ensure_reserved(batch);
  impl_->training.release(0);
  Context context = impl_->training_context(impl_->backend, impl_->training);
  impl_->pass = impl_->run_forward(context, batch, impl_->recompute);
  impl_->read_tally(*impl_->pass);
  impl_->router_loss = impl_->router_loss_of(*impl_->pass);
  impl_->check_files();
  if (logp.empty()) return;
  const ArenaScope scope(impl_->training);
  const Tensor out = impl_->training.take(1, impl_->pass->labels);
  head_forward(context, impl_->network.head, out, Tensor(), impl_->pass->out, impl_->pass->batch.label_rows(),
               impl_->pass->batch.labels());
  impl_->backend.copy_to_host(logp.data(), out);
}

double Decoder::router_loss() const {
  return impl_->router_loss;
}

void Decoder::backward(const Batch& batch, std::span<const float> dlogp, std::span<float> logp, float router_weight) {
  FETTLE_CHECK(impl_->pass.has_value() && impl_->pass->tokens == batch.size());
  FETTLE_CHECK(dlogp.size() == batch.labels.size() && (logp.empty() || logp.size() == dlogp.size()));
  impl_->network.check_gradients();
  TrainingPass pass = std::move(*impl_->pass);
  impl_->pass.reset();
  if (pass.labels == 0) return;
  const ArenaScope scope(impl_->training);
  Context context = impl_->training_context(impl_->backend, impl_->training);
  pass.batch.enter(context);
  const Tensor out = impl_->training.take(1, pass.labels), gradient = impl_->training.take(1, pass.labels);
  impl_->backend.copy_from_host(gradient, dlogp.data());
  context.router_gradient = impl_->router_gradient(context, pass, router_weight);
  impl_->run_backward(context, pass, out, gradient);
  if (!logp.empty()) impl_->backend.copy_to_host(logp.data(), out);
  impl_->check_files();
}

void Decoder::extend(const Batch& batch, std::span<const int32_t> cache_rows, KvCache& cache,
                     const Tensor& logits) {
  const CacheStep step{cache_rows, batch.spans, batch.ranges};
  extend(batch, {&step, 1}, cache, logits);
}

void Decoder::extend(const Batch& batch, std::span<const CacheStep> steps, KvCache& cache, const Tensor& logits) {
  FETTLE_CHECK(!batch.tokens.empty() && steps.size() == cache.positions.size());
  FETTLE_CHECK(logits.rows == static_cast<int64_t>(batch.label_rows.size()));
  StepArrays arrays = stage(batch, impl_->network.embedding);
  struct Group {
    PlanArrays plan;
    StepUpload::Place rows;
  };
  std::vector<Group> groups;
  for (const CacheStep& step : steps) {
    FETTLE_CHECK(step.rows.size() == batch.tokens.size());
    groups.push_back({stage_plan(arrays.upload, impl_->backend, step.spans, step.ranges, impl_->network.fewest_kv_heads(), false),
                      arrays.upload.add(step.rows)});
  }
  impl_->infer([&](Context& context) {
    context.batch_invariant = true;
    context.kept = DType::f32;  // nothing waits here; keys and values have the cache's type
    arrays.upload.send(context.arena, context.backend);
    arrays.enter(context);
    const Tensor positions = column_of(context.positions);
    std::vector<CacheRows> cached;
    for (size_t group = 0; group < groups.size(); ++group) {
      CacheRows one{.rows = arrays.upload.at(groups[group].rows)};
      context.backend.scatter_rows(cache.positions[group], positions, one.rows);
      one.plan = groups[group].plan.at(arrays.upload, context.positions, row_of(cache.positions[group]));
      cached.push_back(std::move(one));
    }
    const Tensor x = impl_->run_blocks(context, cached, &cache);
    if (logits.rows == 0) return;
    const Tensor normed = context.arena.take(logits.rows, impl_->network.config.hidden_size);
    head_hidden(context, impl_->network.head, normed, x, arrays.upload.at(arrays.label_rows));
    head_logits(context, impl_->network.head, logits, normed);
  });
  impl_->check_files();
}

void Decoder::hidden(const Batch& batch, const Tensor& out) {
  check_batch(batch);
  FETTLE_CHECK(out.rows == static_cast<int64_t>(batch.label_rows.size()));
  StagedBatch staged(batch, impl_->network, impl_->backend, false);
  impl_->infer([&](Context& context) {
    context.batch_invariant = true;
    staged.send(context);
    const Tensor x = impl_->run_blocks(context, {}, nullptr);
    head_hidden(context, impl_->network.head, out, x, staged.label_rows());
  });
  impl_->check_files();
}

void Decoder::weights_changed() {
  impl_->network.refresh();
}
const ModelConfig& Decoder::config() const {
  return impl_->network.config;
}
Backend& Decoder::backend() const {
  return impl_->backend;
}

}  // namespace fettle
