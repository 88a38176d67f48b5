#include "model/decoder.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "model/layers/block.h"
#include "model/layers/embedding.h"
#include "model/layers/head.h"
#include "model/mapped_parameters.h"
#include "model/measuring.h"
#include "model/network.h"

namespace fettle {
namespace {

/// The batch in the backend's memory.
struct DeviceBatch {
  Tensor tokens, positions, label_rows, labels, spans, ranges;
  std::vector<Tensor> token_rows;
};

Tensor upload(const Context& context, const void* data, int64_t count) {
  const Tensor tensor = context.arena.take(DType::i32, 1, count);
  if (count > 0) context.backend.copy_from_host(tensor, data);
  return tensor;
}

/// Where each token stands in the rows of an adapter; behind them when it is none of them.
std::vector<int32_t> places(const TokenRows& rows, const std::vector<int32_t>& tokens) {
  const std::vector<int32_t>& ids = *rows.ids;
  std::unordered_map<int32_t, int32_t> place;
  for (size_t i = 0; i < ids.size(); ++i) place[ids[i]] = static_cast<int32_t>(i);
  std::vector<int32_t> result;
  for (const int32_t token : tokens) {
    const auto found = place.find(token);
    result.push_back(found == place.end() ? static_cast<int32_t>(ids.size()) : found->second);
  }
  return result;
}

/// Takes the arrays and points the context at them.
DeviceBatch upload(Context& context, const Batch& batch, const Embedding& embedding) {
  constexpr int64_t span_words = sizeof(Span) / sizeof(int32_t), range_words = sizeof(KeyRange) / sizeof(int32_t);
  const auto count = [](const auto& values) { return static_cast<int64_t>(values.size()); };
  DeviceBatch out;
  out.tokens = upload(context, batch.tokens.data(), count(batch.tokens));
  out.positions = upload(context, batch.positions.data(), count(batch.positions));
  out.label_rows = upload(context, batch.label_rows.data(), count(batch.label_rows));
  out.labels = upload(context, batch.labels.data(), count(batch.labels));
  out.spans = upload(context, batch.spans.data(), span_words * count(batch.spans));
  out.ranges = upload(context, batch.ranges.data(), range_words * count(batch.ranges));
  for (const TokenRows& rows : embedding.rows)
    out.token_rows.push_back(upload(context, places(rows, batch.tokens).data(), count(batch.tokens)));
  context.tokens = out.tokens;
  context.positions = out.positions;
  context.token_rows = out.token_rows;
  context.table.spans = static_cast<const Span*>(out.spans.data);
  context.table.span_count = static_cast<int32_t>(batch.spans.size());
  context.table.ranges = static_cast<const KeyRange*>(out.ranges.data);
  context.table.query_positions = context.table.key_positions =
      static_cast<const int32_t*>(out.positions.data);
  return out;
}

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

void check_batch(const Batch& batch) {
  FETTLE_CHECK(!batch.tokens.empty() && batch.positions.size() == batch.tokens.size());
  FETTLE_CHECK(!batch.spans.empty() && batch.spans.back().q_end == batch.size());
}

}  // namespace

/// What forward() leaves for backward(), in the training arena.
struct TrainingPass {
  DeviceBatch batch;
  SpanTable table;
  int64_t tokens = 0, labels = 0;
  std::vector<Tensor> inputs;   ///< of the layers from first_layer on
  std::vector<BlockKept> kept;  ///< of the same; empty with recomputation
  Tensor out;                   ///< of the last layer
  RouterTally tally;            ///< empty without experts
};

struct Decoder::Impl {
  Impl(const ModelConfig& config, Parameters& parameters, Backend& backend, DecoderOptions options)
      : network(config, parameters, backend, options),
        backend(backend),
        recompute(options.recompute),
        training(backend.memory()),
        inference(backend.memory()) {
    watch(files, parameters);
    files.check();
  }

  Context context(Backend& on, Arena& arena) {
    Context context{on, arena, network.config, network.product};
    context.alibi_slopes = network.alibi.empty() ? nullptr : network.alibi.data();
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
  double router_loss_of(const RouterTally& tally) const;
  Tensor router_gradient(const Context& context, const RouterTally& tally, float weight) const;
  int64_t measure_training(int64_t tokens, int64_t labels, Recompute mode);
  void ensure_reserved(const Batch& batch);
  /// Runs body(context) on the inference arena, which grows to what a measuring run of it needs.
  template <typename Body>
  void infer(Body body);
  Tensor run_blocks(const Context& context, std::span<const CacheRows> groups, const KvCache* cache);
  CacheRows upload_step(const Context& context, const CacheStep& step, const std::vector<int32_t>& positions,
                        std::vector<SpanTable>& tables) const;
  bool by_position() const;
  void check_files() const {
    files.check();
    adapter_files.check();
  }

  Network network;
  /// That weights lie in: what is computed from one that was cut must not be used.
  MappedMemory files, adapter_files;
  Backend& backend;
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
  TrainingPass pass;
  pass.batch = upload(context, batch, network.embedding);
  pass.table = context.table;
  pass.tokens = batch.size();
  pass.labels = static_cast<int64_t>(batch.labels.size());
  const auto layers = static_cast<int64_t>(network.blocks.size());
  const int64_t first = std::max<int64_t>(network.first_trainable_layer(), 0);
  Tensor x = context.arena.take(pass.tokens, network.config.hidden_size);
  embedding_forward(context, network.embedding, x);
  if (const int32_t experts = network.config.expert_count(); experts > 0) {
    pass.tally.probabilities = context.arena.take(1, experts);
    pass.tally.picks.assign(static_cast<size_t>(experts), 0);
    context.backend.fill(pass.tally.probabilities, 0.0F);
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

double Decoder::Impl::router_loss_of(const RouterTally& tally) const {
  if (tally.rows == 0) return 0.0;
  std::vector<float> sums(tally.picks.size());
  backend.copy_to_host(sums.data(), tally.probabilities);
  double loss = 0.0;
  for (size_t e = 0; e < sums.size(); ++e) loss += static_cast<double>(tally.picks[e]) * double{sums[e]};
  const auto rows = static_cast<double>(tally.rows);
  return loss * static_cast<double>(sums.size()) / (rows * rows);
}

/// Of every token's probabilities in every layer, [1, experts]; taken even where it is not used, so that a run never
/// needs more than was measured.
Tensor Decoder::Impl::router_gradient(const Context& context, const RouterTally& tally, float weight) const {
  if (tally.picks.empty()) return {};
  const auto experts = static_cast<int64_t>(tally.picks.size());
  const Tensor out = context.arena.take(1, experts);
  if (weight == 0.0F) return {};
  const auto rows = static_cast<double>(tally.rows);
  std::vector<float> gradient;
  for (const int64_t picks : tally.picks) {
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
                pass.batch.label_rows, pass.batch.labels);
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
  head_forward(measuring, network.head, logp, Tensor(), pass.out, pass.batch.label_rows, pass.batch.labels);
  router_gradient(measuring, pass.tally, 0.0F);
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
  impl_->infer([&](Context& context) {
    const DeviceBatch device = upload(context, batch, impl_->network.embedding);
    const Tensor out = context.arena.take(1, labels);
    const Tensor greedy = context.arena.take(DType::i32, 1, labels);
    const Tensor x = impl_->run_blocks(context, {}, nullptr);
    head_forward(context, impl_->network.head, out, greedy, x, device.label_rows, device.labels);
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
  impl_->router_loss = impl_->router_loss_of(impl_->pass->tally);
  impl_->check_files();
  if (logp.empty()) return;
  const ArenaScope scope(impl_->training);
  const Tensor out = impl_->training.take(1, impl_->pass->labels);
  head_forward(context, impl_->network.head, out, Tensor(), impl_->pass->out, impl_->pass->batch.label_rows,
               impl_->pass->batch.labels);
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
  context.tokens = pass.batch.tokens;
  context.positions = pass.batch.positions;
  context.token_rows = pass.batch.token_rows;
  context.table = pass.table;
  const Tensor out = impl_->training.take(1, pass.labels), gradient = impl_->training.take(1, pass.labels);
  impl_->backend.copy_from_host(gradient, dlogp.data());
  context.router_gradient = impl_->router_gradient(context, pass.tally, router_weight);
  impl_->run_backward(context, pass, out, gradient);
  if (!logp.empty()) impl_->backend.copy_to_host(logp.data(), out);
  impl_->check_files();
}

/// Positions are uploaded where attention asks for them.
CacheRows Decoder::Impl::upload_step(const Context& context, const CacheStep& step,
                                     const std::vector<int32_t>& positions, std::vector<SpanTable>& tables) const {
  constexpr int64_t span_words = sizeof(Span) / sizeof(int32_t), range_words = sizeof(KeyRange) / sizeof(int32_t);
  SpanTable table;
  const auto upload_words = [&](const auto& values, int64_t words) {
    return upload(context, values.data(), words * static_cast<int64_t>(values.size())).data;
  };
  table.spans = static_cast<const Span*>(upload_words(step.spans, span_words));
  table.span_count = static_cast<int32_t>(step.spans.size());
  table.ranges = static_cast<const KeyRange*>(upload_words(step.ranges, range_words));
  table.query_positions = context.table.query_positions;
  if (by_position()) table.key_positions = static_cast<const int32_t*>(upload_words(positions, 1));
  tables.push_back(table);
  return {Tensor(), Tensor(), step.rows, &tables.back()};
}

bool Decoder::Impl::by_position() const {
  const ModelConfig& config = network.config;
  bool asked = config.position == PositionKind::alibi;
  for (int32_t layer = 0; layer < config.layers; ++layer) asked = asked || config.layer(layer).sliding_window > 0;
  return asked;
}

void Decoder::extend(const Batch& batch, std::span<const int32_t> cache_rows, KvCache& cache,
                     const Tensor& logits) {
  const CacheStep step{cache_rows, batch.spans, batch.ranges};
  extend(batch, {&step, 1}, cache, logits);
}

void Decoder::extend(const Batch& batch, std::span<const CacheStep> steps, KvCache& cache, const Tensor& logits) {
  FETTLE_CHECK(!batch.tokens.empty() && steps.size() == cache.positions.size());
  FETTLE_CHECK(logits.rows == static_cast<int64_t>(batch.label_rows.size()));
  for (size_t group = 0; group < steps.size(); ++group) {
    FETTLE_CHECK(steps[group].rows.size() == batch.tokens.size());
    for (size_t i = 0; i < batch.tokens.size(); ++i)
      cache.positions[group][static_cast<size_t>(steps[group].rows[i])] = batch.positions[i];
  }
  impl_->infer([&](Context& context) {
    context.batch_invariant = true;
    const DeviceBatch device = upload(context, batch, impl_->network.embedding);
    std::vector<SpanTable> tables;
    tables.reserve(steps.size());
    std::vector<CacheRows> groups;
    for (size_t group = 0; group < steps.size(); ++group)
      groups.push_back(impl_->upload_step(context, steps[group], cache.positions[group], tables));
    const Tensor x = impl_->run_blocks(context, groups, &cache);
    if (logits.rows == 0) return;
    const Tensor normed = context.arena.take(logits.rows, impl_->network.config.hidden_size);
    head_hidden(context, impl_->network.head, normed, x, device.label_rows);
    head_logits(context, impl_->network.head, logits, normed);
  });
  impl_->check_files();
}

void Decoder::hidden(const Batch& batch, const Tensor& out) {
  check_batch(batch);
  FETTLE_CHECK(out.rows == static_cast<int64_t>(batch.label_rows.size()));
  impl_->infer([&](Context& context) {
    context.batch_invariant = true;
    const DeviceBatch device = upload(context, batch, impl_->network.embedding);
    const Tensor x = impl_->run_blocks(context, {}, nullptr);
    head_hidden(context, impl_->network.head, out, x, device.label_rows);
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

// ---- the cache

KvCache KvCache::make(const ModelConfig& config, int64_t rows, DType dtype, Backend& backend) {
  KvCache cache;
  cache.group.assign(static_cast<size_t>(config.layers), 0);
  cache.positions.emplace_back(static_cast<size_t>(rows), 0);
  cache.take(config, dtype, bytes_per_row(config, dtype) * rows, backend);
  return cache;
}

KvCache KvCache::make(const ModelConfig& config, std::span<const int64_t> rows, DType dtype, Backend& backend) {
  KvCache cache;
  int64_t bytes = 0;
  for (int32_t layer = 0; layer < config.layers; ++layer) cache.group.push_back(config.cache_group(layer));
  for (const int64_t count : rows) {
    bytes += count * bytes_per_row(config, dtype, static_cast<int32_t>(cache.positions.size()));
    cache.positions.emplace_back(static_cast<size_t>(count), 0);
  }
  FETTLE_CHECK(rows.size() == config.cache_windows().size());
  cache.take(config, dtype, bytes, backend);
  return cache;
}

void KvCache::take(const ModelConfig& config, DType dtype, int64_t bytes, Backend& backend) {
  buffer = Buffer(bytes, backend.memory());
  auto* cursor = static_cast<std::byte*>(buffer.data());
  for (int32_t layer = 0; layer < config.layers; ++layer) {
    const auto rows = static_cast<int64_t>(positions[static_cast<size_t>(group[static_cast<size_t>(layer)])].size());
    const int64_t columns = config.layer(layer).kv_size(), size = row_bytes(dtype, rows * columns);
    k.emplace_back(cursor, dtype, rows, columns);
    v.emplace_back(cursor + size, dtype, rows, columns);
    cursor += 2 * size;
  }
}

int64_t KvCache::bytes_per_row(const ModelConfig& config, DType dtype) {
  int64_t bytes = 0;
  for (int32_t layer = 0; layer < config.layers; ++layer)
    bytes += 2 * row_bytes(dtype, config.layer(layer).kv_size());
  return bytes;
}

int64_t KvCache::bytes_per_row(const ModelConfig& config, DType dtype, int32_t group) {
  int64_t bytes = 0;
  for (int32_t layer = 0; layer < config.layers; ++layer)
    if (config.cache_group(layer) == group) bytes += 2 * row_bytes(dtype, config.layer(layer).kv_size());
  return bytes;
}

}  // namespace fettle
