#include "model/layers/attention.h"

#include <cmath>
#include <utility>

#include "kernels/half.h"

namespace fettle {
namespace {

Attention attention_options(const Context& context, const LayerConfig& config) {
  Attention options;
  options.heads = config.heads;
  options.kv_heads = config.kv_heads;
  options.head_dim = config.head_dim;
  options.scale = config.attention_scale > 0.0F ? config.attention_scale
                                                : 1.0F / std::sqrt(static_cast<float>(config.head_dim));
  options.window = config.sliding_window;
  options.alibi_slopes = context.alibi_slopes;
  return options;
}

void turn(const Context& context, const AttentionLayer& layer, const Tensor& x, bool inverse) {
  if (layer.rotation == nullptr) return;
  const LayerConfig& config = *layer.config;
  context.backend.rope(
      x, context.positions, layer.rotation->inverse_frequencies,
      {config.head_dim, config.rotary_dim(), config.rope.interleaved, layer.rotation->magnitude, inverse});
}

/// A row per head.
Tensor heads_of(const Tensor& x, int64_t head_dim) {
  FETTLE_CHECK(x.stride == x.cols);
  return {x.data, x.dtype, x.rows * (x.cols / head_dim), head_dim};
}

/// out = norm(x) of every head.
void normalise_heads(const Context& context, const Norm& norm, const Tensor& out, const Tensor& x) {
  const int64_t dim = norm.weight->value.cols;
  context.backend.rms_norm(heads_of(out, dim), heads_of(x, dim), norm.weight_value, context.config.norm_eps,
                           context.config.norm_offset, Tensor());
}

/// d(x) in the place of d(norm(x)).
void heads_backward(const Context& context, const Norm& norm, const Tensor& d, const Tensor& x) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const int64_t dim = norm.weight->value.cols;
  const Tensor rows = heads_of(x, dim), below = context.arena.take(x.rows, x.cols);
  const Tensor rstd = context.arena.take(1, rows.rows);
  // The statistics alone are wanted; what is normalised falls where its gradient will stand.
  backend.rms_norm(heads_of(below, dim), rows, norm.weight_value, context.config.norm_eps, context.config.norm_offset,
                   rstd);
  backend.fill(below, 0.0F);
  backend.rms_norm_backward(heads_of(below, dim), norm.weight->trainable ? norm.weight->grad : Tensor(),
                            heads_of(d, dim), rows, norm.weight_value, context.config.norm_offset, rstd);
  backend.copy(d, below);
}

/// Queries and keys as attention takes them, and values, in f32.
struct Projected {
  Tensor q, k, v;
};

/// `kept` where it is f32; its projections are kept as they are where norms follow.
Projected project(const Context& context, const AttentionLayer& layer, const AttentionKept& kept, const Tensor& x) {
  const Projected out{working(context, kept.q), working(context, kept.k), working(context, kept.v)};
  const auto one = [&](const Linear& linear, const Norm& norm, const Tensor& to, const Tensor& kept_projection,
                       const LinearKept& lora) {
    if (norm.weight == nullptr) return linear_forward(context, linear, to, x, lora);
    const ArenaScope scope(context.arena);
    const Tensor values = working(context, kept_projection);
    linear_forward(context, linear, values, x, lora);
    settle(context, kept_projection, values);
    normalise_heads(context, norm, to, values);
  };
  one(layer.q, layer.norm_q, out.q, kept.projected_q, kept.q_lora);
  one(layer.k, layer.norm_k, out.k, kept.projected_k, kept.k_lora);
  linear_forward(context, layer.v, out.v, x, kept.v_lora);
  if (layer.config->clip_qkv > 0.0F) {
    for (const Tensor& projected : {out.q, out.k, out.v}) context.backend.clamp(projected, layer.config->clip_qkv);
  }
  turn(context, layer, out.q, false);
  turn(context, layer, out.k, false);
  settle(context, kept.q, out.q);
  settle(context, kept.k, out.k);
  settle(context, kept.v, out.v);
  return out;
}

/// The gradients of q, k and v as attention took them become those of what was projected.
void prepare_backward(const Context& context, const AttentionLayer& layer, const AttentionKept& kept,
                      const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  turn(context, layer, dq, true);
  turn(context, layer, dk, true);
  if (layer.config->clip_qkv > 0.0F) {
    // What was clipped now stands exactly at the limit, as it was rounded, and what was not stands below it.
    const float limit = layer.config->clip_qkv;
    const float below_limit =
        std::nextafter(kept.q.dtype == DType::bf16 ? bf16_to_float(float_to_bf16(limit)) : limit, 0.0F);
    for (const auto& [gradient, values] : {std::pair(&dq, &kept.q), std::pair(&dk, &kept.k), std::pair(&dv, &kept.v)}) {
      const ArenaScope scope(context.arena);
      context.backend.clamp_backward(*gradient, widened(context, *values), below_limit);
    }
  }
  if (layer.norm_q.weight == nullptr) return;
  const ArenaScope scope(context.arena);
  heads_backward(context, layer.norm_q, dq, widened(context, kept.projected_q));
  heads_backward(context, layer.norm_k, dk, widened(context, kept.projected_k));
}

}  // namespace

AttentionKept take_attention_kept(const Context& context, const AttentionLayer& layer, int64_t rows) {
  AttentionKept kept;
  Arena& arena = context.arena;
  const DType type = context.kept;
  kept.q = arena.take(type, rows, layer.q.out());
  kept.k = arena.take(type, rows, layer.k.out());
  kept.v = arena.take(type, rows, layer.v.out());
  kept.out = arena.take(type, rows, layer.q.out());
  kept.lse = arena.take(rows, layer.config->heads);
  if (layer.norm_q.weight != nullptr) {
    kept.projected_q = arena.take(type, rows, layer.q.out());
    kept.projected_k = arena.take(type, rows, layer.k.out());
  }
  kept.q_lora = take_linear_kept(context, layer.q, rows);
  kept.k_lora = take_linear_kept(context, layer.k, rows);
  kept.v_lora = take_linear_kept(context, layer.v, rows);
  kept.o_lora = take_linear_kept(context, layer.o, rows);
  return kept;
}

void attention_forward(const Context& context, const AttentionLayer& layer, const Tensor& y, const Tensor& x,
                       const AttentionKept& kept, const CacheRows* cache, bool need_output) {
  const ArenaScope scope(context.arena);
  const Projected projected = project(context, layer, kept, x);
  const Tensor out = working(context, kept.out);
  if (cache != nullptr) {
    context.backend.scatter_rows(cache->k, projected.k, cache->rows);
    context.backend.scatter_rows(cache->v, projected.v, cache->rows);
    context.backend.attention(out, Tensor(), projected.q, cache->k, cache->v, cache->plan,
                              attention_options(context, *layer.config));
  } else {
    context.backend.attention(out, kept.lse, kept.q, kept.k, kept.v, context.plan,
                              attention_options(context, *layer.config));
  }
  settle(context, kept.out, out);
  if (need_output) {
    linear_forward(context, layer.o, y, kept.out, kept.o_lora, true);
  } else {
    lora_project(context, layer.o, kept.out, kept.o_lora);
  }
}

void attention_backward(const Context& context, const AttentionLayer& layer, const Tensor* dx,
                        const Tensor& dy, const Tensor& x, const AttentionKept& kept, bool accumulate) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  Arena& arena = context.arena;
  const int64_t rows = dy.rows;
  const bool below = dx != nullptr || layer.below_trainable();
  const Tensor dout = arena.take(rows, layer.q.out());
  linear_backward(context, layer.o, below ? &dout : nullptr, dy, kept.out, kept.o_lora);
  if (!below) return;

  const Tensor dq = arena.take(rows, layer.q.out()), dkv = arena.take(2 * rows, layer.k.out());
  const Tensor dk = dkv.row_slice(0, rows), dv = dkv.row_slice(rows, 2 * rows);
  backend.fill(dkv, 0.0F);
  {
    const ArenaScope delta_scope(arena);
    const Tensor delta = arena.take(rows, layer.config->heads);
    backend.attention_backward(dq, dk, dv, delta, dout, widened(context, kept.out), kept.lse, kept.q, kept.k, kept.v,
                               context.plan, attention_options(context, *layer.config));
  }
  prepare_backward(context, layer, kept, dq, dk, dv);
  linear_backward(context, layer.q, dx, dq, x, kept.q_lora, accumulate);
  linear_backward(context, layer.k, dx, dk, x, kept.k_lora, true);
  linear_backward(context, layer.v, dx, dv, x, kept.v_lora, true);
}

}  // namespace fettle
