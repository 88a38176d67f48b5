#include "model/layers/attention.h"

#include <cmath>

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

/// Keys and queries as attention takes them, from what was projected.
void prepare(const Context& context, const AttentionLayer& layer, const AttentionKept& kept) {
  if (layer.norm_q.weight != nullptr) {
    normalise_heads(context, layer.norm_q, kept.q, kept.projected_q);
    normalise_heads(context, layer.norm_k, kept.k, kept.projected_k);
  }
  if (layer.config->clip_qkv > 0.0F) {
    for (const Tensor& projected : {kept.q, kept.k, kept.v})
      context.backend.clamp(projected, layer.config->clip_qkv);
  }
  turn(context, layer, kept.q, false);
  turn(context, layer, kept.k, false);
}

/// The gradients of q, k and v as attention took them become those of what was projected.
void prepare_backward(const Context& context, const AttentionLayer& layer, const AttentionKept& kept,
                      const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  turn(context, layer, dq, true);
  turn(context, layer, dk, true);
  if (layer.config->clip_qkv > 0.0F) {
    // What was clipped now stands exactly at the limit, and what was not stands below it.
    const float below_limit = std::nextafter(layer.config->clip_qkv, 0.0F);
    context.backend.clamp_backward(dq, kept.q, below_limit);
    context.backend.clamp_backward(dk, kept.k, below_limit);
    context.backend.clamp_backward(dv, kept.v, below_limit);
  }
  if (layer.norm_q.weight == nullptr) return;
  heads_backward(context, layer.norm_q, dq, kept.projected_q);
  heads_backward(context, layer.norm_k, dk, kept.projected_k);
}

/// dst[rows[i]] = src[i], run by run: rows that a scheduler deals out are mostly consecutive.
void write_rows(const Context& context, const Tensor& dst, const Tensor& src, std::span<const int32_t> rows) {
  for (size_t begin = 0; begin < rows.size();) {
    size_t end = begin + 1;
    while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
    const auto count = static_cast<int64_t>(end - begin), at = static_cast<int64_t>(begin);
    context.backend.copy(rows_of(dst, rows[begin], rows[begin] + count), rows_of(src, at, at + count));
    begin = end;
  }
}

}  // namespace

AttentionKept take_attention_kept(const Context& context, const AttentionLayer& layer, int64_t rows) {
  AttentionKept kept;
  Arena& arena = context.arena;
  kept.q = arena.take(rows, layer.q.out());
  kept.k = arena.take(rows, layer.k.out());
  kept.v = arena.take(rows, layer.v.out());
  kept.out = arena.take(rows, layer.q.out());
  kept.lse = arena.take(rows, layer.config->heads);
  if (layer.norm_q.weight != nullptr) {
    kept.projected_q = arena.take(rows, layer.q.out());
    kept.projected_k = arena.take(rows, layer.k.out());
  }
  kept.q_lora = take_linear_kept(context, layer.q, rows);
  kept.k_lora = take_linear_kept(context, layer.k, rows);
  kept.v_lora = take_linear_kept(context, layer.v, rows);
  kept.o_lora = take_linear_kept(context, layer.o, rows);
  return kept;
}

void attention_forward(const Context& context, const AttentionLayer& layer, const Tensor& y, const Tensor& x,
                       const AttentionKept& kept, const CacheRows* cache, bool need_output) {
  const bool normed = layer.norm_q.weight != nullptr;
  linear_forward(context, layer.q, normed ? kept.projected_q : kept.q, x, kept.q_lora);
  linear_forward(context, layer.k, normed ? kept.projected_k : kept.k, x, kept.k_lora);
  linear_forward(context, layer.v, kept.v, x, kept.v_lora);
  prepare(context, layer, kept);
  if (cache != nullptr) {
    write_rows(context, cache->k, kept.k, cache->rows);
    write_rows(context, cache->v, kept.v, cache->rows);
    context.backend.attention(kept.out, Tensor(), kept.q, cache->k, cache->v, *cache->table,
                              attention_options(context, *layer.config));
  } else {
    context.backend.attention(kept.out, kept.lse, kept.q, kept.k, kept.v, context.table,
                              attention_options(context, *layer.config));
  }
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
  const Tensor dk = rows_of(dkv, 0, rows), dv = rows_of(dkv, rows, 2 * rows);
  backend.fill(dkv, 0.0F);
  {
    const ArenaScope delta_scope(arena);
    const Tensor delta = arena.take(rows, layer.config->heads);
    backend.attention_backward(dq, dk, dv, delta, dout, kept.out, kept.lse, kept.q, kept.k, kept.v,
                               context.table, attention_options(context, *layer.config));
  }
  prepare_backward(context, layer, kept, dq, dk, dv);
  linear_backward(context, layer.q, dx, dq, x, kept.q_lora, accumulate);
  linear_backward(context, layer.k, dx, dk, x, kept.k_lora, true);
  linear_backward(context, layer.v, dx, dv, x, kept.v_lora, true);
}

}  // namespace fettle
