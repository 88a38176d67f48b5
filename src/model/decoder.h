#pragma once
// The one decoder: trains, scores and generates with the same weights. The training step is forward() then
// backward(); the token loop calls extend().
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/adapter.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/parameters.h"

namespace fettle {

enum class Recompute : uint8_t {
  none,
  block
};  ///< block: keep each block's input, compute the rest again in backward

struct DecoderOptions {
  Product product = Product::f32;
  /// Queries, keys, values, attention's outputs and the MLPs' projections, as they wait for backward() and as attention reads
  /// them in training and scoring: f32, or bf16 for half the memory. The residual stream, norms, softmax and sums stay f32.
  DType activations = DType::f32;
  Recompute recompute = Recompute::none;
  int64_t context_length = 0;  ///< for dynamic RoPE; 0: the config's
};

/// What a run will hold, in bytes, before it starts: in the memory of the device, and `program` in the host's.
struct MemoryPlan {
  int64_t weights = 0, shadow_weights = 0, adapter = 0, gradients = 0, optimizer = 0, activations = 0,
          head = 0, workspace = 0,
          program = 0;  ///< program and libraries, tokenizer, rows
  std::string device;   ///< of a device with memory of its own; empty: all of it is the host's
  int64_t on_device() const;  ///< what counts against the device's memory: all of it when that is the host's
  int64_t total() const;
  std::string describe() const;  ///< a table for people
};

/// Keys and values of one model in a backend's memory: per layer [rows, kv_size], rows dealt out by whoever generates. Layers
/// may have rows in common, or those of each of ModelConfig::cache_windows() their own.
struct KvCache {
  std::vector<Tensor> k, v;
  std::vector<int32_t> group;     ///< of each layer
  std::vector<Tensor> positions;  ///< of each group i32 [rows, 1], the position each row's token has
  Buffer buffer, position_buffer;
  /// One group for all layers.
  static KvCache make(const ModelConfig& config, int64_t rows, DType dtype, Backend& backend);
  /// A group for each of the config's cache_windows(), with as many rows as said.
  static KvCache make(const ModelConfig& config, std::span<const int64_t> rows, DType dtype, Backend& backend);
  static int64_t bytes_per_row(const ModelConfig& config, DType dtype);
  /// Of the layers of one of the config's cache_windows().
  static int64_t bytes_per_row(const ModelConfig& config, DType dtype, int32_t group);

 private:
  void take(const ModelConfig& config, std::span<const int64_t> rows, DType dtype, int64_t bytes, Backend& backend);
};

/// What one group of a cache is told of a batch: the row each token goes to, and what each span sees, in rows of the group.
struct CacheStep {
  std::span<const int32_t> rows;
  std::span<const Span> spans;
  std::span<const KeyRange> ranges;
};

/// Not thread-safe. Keeps references to `parameters`, `backend` and the adapters given; they must outlive it. Parameters and
/// adapters lie in the backend's memory (move_to() of device.h); so do all tensors that its functions take.
class Decoder {
 public:
  Decoder(const ModelConfig& config, Parameters& parameters, Backend& backend, DecoderOptions options = {});
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Adapters that every following call applies (their factor scales them); empty: the base alone.
  struct ActiveAdapter {
    Adapter* adapter;
    float factor = 1.0F;
  };
  void set_adapters(std::vector<ActiveAdapter> adapters);

  /// Bytes of activations and head scratch that forward()+backward() of a batch with `tokens` rows and
  /// `labels` labels needs.
  int64_t training_bytes(int64_t tokens, int64_t labels, Recompute recompute) const;
  /// Takes that memory. Called before the first step with the largest batch; larger batches later are an
  /// assertion.
  void reserve_training(int64_t max_tokens, int64_t max_labels);
  void set_recompute(Recompute recompute);

  /// Log-probability of every label, nothing kept. best: the greedy token of each labelled row; may be empty.
  void score(const Batch& batch, std::span<float> logp, std::span<int32_t> best = {});

  /// Runs the batch and keeps what backward() needs. logp may be empty: then the head waits for backward(),
  /// which computes logp and gradient in one pass (for losses whose dlogp is known before).
  void forward(const Batch& batch, std::span<float> logp);
  /// The load-balancing loss of the last forward()'s routers, 0 without any (Fedus et al., "Switch Transformers", 2021,
  /// eq. 4, over all tokens and layers together): experts * Σ_e (picks of e / rows) * (mean probability of e).
  double router_loss() const;
  /// grad += d(loss)/d(parameter) given dlogp = d(loss)/d(logp), for trainable parameters. logp, unless
  /// empty, receives the log-probabilities. router_weight: d(loss)/d(router_loss()).
  void backward(const Batch& batch, std::span<const float> dlogp, std::span<float> logp = {},
                float router_weight = 0.0F);
  /// Seed and step of LoRA dropout; 0 step turns dropout off.
  void set_dropout_step(uint64_t seed, uint64_t step);

  /// Generation: writes keys and values of the batch's tokens into rows cache_rows[t] of the cache; spans and
  /// ranges of the batch speak of cache rows (k_begin, ranges). logits: f32 [label_rows.size(), vocab], one
  /// row per batch.label_rows (labels are ignored). With f32 products a row has the same bits whatever else is in
  /// the batch.
  void extend(const Batch& batch, std::span<const int32_t> cache_rows, KvCache& cache, const Tensor& logits);
  /// The same for a cache of several groups: one step for each; the batch's own spans are not read.
  void extend(const Batch& batch, std::span<const CacheStep> steps, KvCache& cache, const Tensor& logits);
  /// The last layer's normalised hidden state of each row in label_rows: f32 [label_rows.size(), hidden].
  void hidden(const Batch& batch, const Tensor& out);

  /// After an optimiser step: refreshes rounded copies of trainable weights.
  void weights_changed();

  const ModelConfig& config() const;
  Backend& backend() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle
