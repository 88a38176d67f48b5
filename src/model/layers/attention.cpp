#include "model/layers/attention.h"

#include <cmath>

namespace fettle {
namespace {

Attention attention_options(const Context& context) {
  const ModelConfig& config = context.config;
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

void turn(const Context& context, const Tensor& x, bool inverse) {
  const ModelConfig& config = context.config;
  if (config.position != PositionKind::rope) return;
  const int32_t rotary = config.rope.rotary_dim == 0 ? config.head_dim : config.rope.rotary_dim;
  context.backend.rope(x, context.positions, context.inverse_frequencies,
                       {config.head_dim, rotary, config.rope.interleaved, context.rope_magnitude, inverse});
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
  kept.lse = arena.take(rows, context.config.heads);
  kept.q_lora = take_linear_kept(context, layer.q, rows);
  kept.k_lora = take_linear_kept(context, layer.k, rows);
  kept.v_lora = take_linear_kept(context, layer.v, rows);
  kept.o_lora = take_linear_kept(context, layer.o, rows);
  return kept;
}

void attention_forward(const Context& context, const AttentionLayer& layer, const Tensor& y, const Tensor& x,
                       const AttentionKept& kept, const CacheRows* cache, bool need_output) {
  linear_forward(context, layer.q, kept.q, x, kept.q_lora);
  linear_forward(context, layer.k, kept.k, x, kept.k_lora);
  linear_forward(context, layer.v, kept.v, x, kept.v_lora);
  if (context.config.clip_qkv > 0.0F) {
    for (const Tensor& projected : {kept.q, kept.k, kept.v})
      context.backend.clamp(projected, context.config.clip_qkv);
  }
  turn(context, kept.q, false);
  turn(context, kept.k, false);
  if (cache != nullptr) {
    write_rows(context, cache->k, kept.k, cache->rows);
    write_rows(context, cache->v, kept.v, cache->rows);
    context.backend.attention(kept.out, Tensor(), kept.q, cache->k, cache->v, context.table,
                              attention_options(context));
  } else {
    context.backend.attention(kept.out, kept.lse, kept.q, kept.k, kept.v, context.table,
                              attention_options(context));
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
  const bool below = dx != nullptr || layer.q.trainable() || layer.k.trainable() || layer.v.trainable();
  const Tensor dout = arena.take(rows, layer.q.out());
  linear_backward(context, layer.o, below ? &dout : nullptr, dy, kept.out, kept.o_lora);
  if (!below) return;

  const Tensor dq = arena.take(rows, layer.q.out()), dkv = arena.take(2 * rows, layer.k.out());
  const Tensor dk = rows_of(dkv, 0, rows), dv = rows_of(dkv, rows, 2 * rows);
  backend.fill(dkv, 0.0F);
  {
    const ArenaScope delta_scope(arena);
    const Tensor delta = arena.take(rows, context.config.heads);
    backend.attention_backward(dq, dk, dv, delta, dout, kept.out, kept.lse, kept.q, kept.k, kept.v,
                               context.table, attention_options(context));
  }
  turn(context, dq, true);
  turn(context, dk, true);
  if (context.config.clip_qkv > 0.0F) {
    // What was clipped now stands exactly at the limit, and what was not stands below it.
    const float below_limit = std::nextafter(context.config.clip_qkv, 0.0F);
    backend.clamp_backward(dq, kept.q, below_limit);
    backend.clamp_backward(dk, kept.k, below_limit);
    backend.clamp_backward(dv, kept.v, below_limit);
  }
  linear_backward(context, layer.q, dx, dq, x, kept.q_lora, accumulate);
  linear_backward(context, layer.k, dx, dk, x, kept.k_lora, true);
  linear_backward(context, layer.v, dx, dv, x, kept.v_lora, true);
}

}  // namespace fettle
