#pragma once
// Multi-head, grouped-query and multi-query attention with RoPE or ALiBi and norms of queries and keys, over spans.
#include "model/layers/linear.h"
#include "model/layers/norm.h"

namespace fettle {

struct AttentionLayer {
  const LayerConfig* config = nullptr;
  const Rotation* rotation = nullptr;  ///< null without RoPE
  Linear q, k, v, o;
  Norm norm_q, norm_k;  ///< of every head; both or neither
  bool below_trainable() const {
    return q.trainable() || k.trainable() || v.trainable() || norm_q.trainable() || norm_k.trainable();
  }
  bool trainable() const { return below_trainable() || o.trainable(); }
};

/// q and k are kept normalised and turned by RoPE; projected_q and projected_k, where there are norms, as projected. All but
/// lse are of Context::kept's type.
struct AttentionKept {
  Tensor q, k, v, out, lse;
  Tensor projected_q, projected_k;
  LinearKept q_lora, k_lora, v_lora, o_lora;
};
AttentionKept take_attention_kept(const Context& context, const AttentionLayer& layer, int64_t rows);

/// Rows of a key/value cache that a generation step writes and reads; null in training.
struct CacheRows {
  Tensor k, v;         ///< [rows of the cache, kv_size]
  Tensor rows;         ///< i32 [1, T]: where each token of the batch goes
  AttentionPlan plan;  ///< what spans see, in rows of the cache
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
