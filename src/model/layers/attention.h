#pragma once
// Multi-head, grouped-query and multi-query attention with RoPE or ALiBi, over spans.
#include <span>

#include "model/layers/linear.h"

namespace fettle {

struct AttentionLayer {
  Linear q, k, v, o;
  bool trainable() const { return q.trainable() || k.trainable() || v.trainable() || o.trainable(); }
};

/// q and k are kept turned by RoPE.
struct AttentionKept {
  Tensor q, k, v, out, lse;
  LinearKept q_lora, k_lora, v_lora, o_lora;
};
AttentionKept take_attention_kept(const Context& context, const AttentionLayer& layer, int64_t rows);

/// Rows of a key/value cache that a generation step writes and reads; null in training.
struct CacheRows {
  Tensor k, v;                    ///< [rows of the cache, kv_size]
  std::span<const int32_t> rows;  ///< where each token of the batch goes
};

/// y += attention(x). x is the normalised input; keys are the batch's own, or the cache's after its rows were
/// written. Without an output (recomputation) y stays as it is and only what is kept is filled.
void attention_forward(const Context& context, const AttentionLayer& layer, const Tensor& y, const Tensor& x,
                       const AttentionKept& kept, const CacheRows* cache = nullptr, bool need_output = true);

/// Weight gradients, and unless dx is null dx = gradient of x (+ dx with accumulate).
void attention_backward(const Context& context, const AttentionLayer& layer, const Tensor* dx,
                        const Tensor& dy, const Tensor& x, const AttentionKept& kept,
                        bool accumulate = false);

}  // namespace fettle
