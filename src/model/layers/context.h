#pragma once
// What every layer is given: where to compute, where to put results, and what the batch looks like.
//
// Layers are plain functions. A forward writes what its backward needs into a …Kept struct whose tensors the
// caller took from the arena; scratch is taken and given back inside. Nothing looks at a tensor's data, so
// the same code runs on an arena that only measures, with a backend that does nothing (measuring.h).
#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"
#include "model/parameters.h"
#include "tensor/memory.h"

namespace fettle {

/// How a batch's tokens were shared out, over all layers with experts.
struct RouterTally {
  Tensor probabilities;  ///< f32 [1, experts]: the sum over tokens and layers
  Tensor picks;          ///< i32 [1, experts]
  int64_t rows = 0;      ///< tokens times layers
};

struct Context {
  Backend& backend;
  Arena& arena;
  const ModelConfig& config;
  Product product = Product::f32;
  DType kept = DType::f32;       ///< of the large tensors that wait for a backward pass: f32, or bf16
  bool batch_invariant = false;  ///< see MatMul
  Tensor tokens;     ///< i32 [1, T]
  Tensor positions;  ///< i32 [1, T]
  std::vector<Tensor> token_rows;  ///< i32 [1, T] of each of the embedding's TokenRows
  AttentionPlan plan;              ///< of a batch that is its own keys
  Tensor alibi_slopes;             ///< f32 [1, heads], absent without ALiBi
  /// Mixtures of experts. tally: what a forward pass counts; router_gradient [1, experts]: that of the probabilities,
  /// the same for every token (may be empty), for a backward pass.
  RouterTally* tally = nullptr;
  Tensor router_gradient;
  uint64_t dropout_seed = 0;
  uint64_t dropout_step = 0;  ///< 0: no dropout
};

/// Where the values of a kept tensor are computed: itself, or f32 scratch, which settle() then rounds into it.
inline Tensor working(const Context& context, const Tensor& kept) {
  return kept.dtype == DType::f32 ? kept : context.arena.take(kept.rows, kept.cols);
}
inline void settle(const Context& context, const Tensor& kept, const Tensor& values) {
  if (kept.dtype != DType::f32) context.backend.copy(kept, values);
}

/// A kept tensor's values in f32: itself, or a copy in scratch.
inline Tensor widened(const Context& context, const Tensor& kept) {
  const Tensor values = working(context, kept);
  if (kept.dtype != DType::f32) context.backend.copy(values, kept);
  return values;
}

/// What RoPE turns a layer's heads by.
struct Rotation {
  Tensor inverse_frequencies;  ///< f32 [1, rotary_dim/2]
  float magnitude = 1.0F;
};

}  // namespace fettle
