#pragma once
// What an adapter puts beside a weight: y += factor * scale * (dropout(x) Aᵀ) Bᵀ, or with magnitudes (DoRA)
// y += factor * (c ⊙ (W x + scale * (x Aᵀ) Bᵀ) - W x), c = magnitude / length of the adapted row, which no
// gradient goes through.
#include <vector>

#include "model/layers/context.h"

namespace fettle {

struct LoraLink {
  Parameter* a =
      nullptr;  ///< [rank, in]; the parts of a fused module share it. Of an embedding: [vocabulary, rank]
  Parameter* b = nullptr;  ///< [out, rank]
  float scale = 1.0F;      ///< of B A inside the weight
  float factor = 1.0F;     ///< of what the adapter changes
  float dropout = 0.0F;
  uint64_t stream = 0;             ///< of the dropout; equal for modules that share `a`
  size_t adapter = 0;              ///< among those that are linked
  Parameter* magnitude = nullptr;  ///< [1, out], DoRA alone
  Tensor ratio, inverse_norm;      ///< [1, out]: magnitude / norm, 1 / norm; made when the weights change
  Parameter* bias = nullptr;       ///< [1, out], of B; may be null
  Tensor bias_value;               ///< factor * scale * bias

  bool trainable() const {
    return a->trainable || b->trainable || (magnitude != nullptr && magnitude->trainable) ||
           (bias != nullptr && bias->trainable);
  }
};

/// Rows of a table that stand in the place of the base's: row ids[i] is base + factor * delta[i]. delta has a
/// last row of zeros, for every other token.
struct TokenRows {
  const std::vector<int32_t>* ids = nullptr;
  Tensor places;              ///< the same, i32 [1, n]
  Parameter* rows = nullptr;  ///< [n, hidden]
  Tensor delta;               ///< f32 [n + 1, hidden]; made when the weights change
  float factor = 1.0F;
};

/// y ends as y - factor * u + factor * ratio ⊙ (u + scale * projected Bᵀ); u holds W x and is spoiled.
void dora_forward(const Context& context, const LoraLink& lora, const Tensor& y, const Tensor& u,
                  const Tensor& projected);

/// g holds factor * dy, u holds W x; the gradient of the magnitude is added, g becomes ratio ⊙ g. Spoils u.
void dora_backward(const Context& context, const LoraLink& lora, const Tensor& g, const Tensor& u,
                   const Tensor& projected);

}  // namespace fettle
