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
  Tensor probabilities;       ///< f32 [1, experts]: the sum over tokens and layers
  std::vector<int64_t> picks;  ///< [experts]
  int64_t rows = 0;           ///< tokens times layers
};

struct Context {
  Backend& backend;
  Arena& arena;
  const ModelConfig& config;
  Product product = Product::f32;
  bool batch_invariant = false;  ///< see MatMul
  Tensor tokens;     ///< i32 [1, T]
  Tensor positions;  ///< i32 [1, T]
  std::vector<Tensor> token_rows;  ///< i32 [1, T] of each of the embedding's TokenRows
  SpanTable table;
  const float* alibi_slopes = nullptr;  ///< [heads], null without ALiBi
  /// Mixtures of experts. tally: what a forward pass counts; router_gradient [1, experts]: that of the probabilities,
  /// the same for every token (may be empty), for a backward pass.
  RouterTally* tally = nullptr;
  Tensor router_gradient;
  uint64_t dropout_seed = 0;
  uint64_t dropout_step = 0;  ///< 0: no dropout
};

/// What RoPE turns a layer's heads by.
struct Rotation {
  Tensor inverse_frequencies;  ///< f32 [1, rotary_dim/2]
  float magnitude = 1.0F;
};

/// A view that also works while measuring, when there is no memory to point into.
inline Tensor rows_of(const Tensor& x, int64_t begin, int64_t end) {
  return x.data == nullptr ? Tensor(nullptr, x.dtype, end - begin, x.cols, x.stride)
                           : x.row_slice(begin, end);
}
inline Tensor cols_of(const Tensor& x, int64_t begin, int64_t end) {
  return x.data == nullptr ? Tensor(nullptr, x.dtype, x.rows, end - begin, x.stride)
                           : x.col_slice(begin, end);
}

}  // namespace fettle
