#include "model/layers/block.h"

namespace fettle {
namespace {

bool is_parallel(const Context& context) {
  return context.config.block != BlockKind::sequential;
}
bool shares_norm(const Context& context) {
  return context.config.block == BlockKind::parallel_shared_norm;
}

/// out = norm(x); the statistics go to scratch.
void normalise(const Context& context, const Norm& norm, const Tensor& out, const Tensor& x) {
  const ArenaScope scope(context.arena);
  norm_forward(context, norm, out, x, take_norm_stats(context, x.rows));
}

/// y += attention(norm1(x)), then the MLP of y or x. `y` and `middle` may be x's memory in a sequential
/// block.
void parallel_forward(const Context& context, const Block& block, const Tensor& y, const Tensor& x,
                      const BlockKept& kept, const CacheRows* cache, bool need_output) {
  const ArenaScope scope(context.arena);
  const Tensor normed = context.arena.take(x.rows, x.cols);
  // Where y is x's memory, the second norm must be taken before attention adds to it.
  const Tensor normed2 = shares_norm(context) ? normed : context.arena.take(x.rows, x.cols);
  normalise(context, block.norm1, normed, x);
  if (!shares_norm(context)) normalise(context, block.norm2, normed2, x);
  attention_forward(context, block.attention, y, normed, kept.attention, cache, need_output);
  mlp_forward(context, block.mlp, y, normed2, kept.mlp, need_output);
}

void sequential_attention(const Context& context, const Block& block, const Tensor& y, const Tensor& x,
                          const BlockKept& kept, const CacheRows* cache) {
  const ArenaScope scope(context.arena);
  const Tensor normed = context.arena.take(x.rows, x.cols);
  normalise(context, block.norm1, normed, x);
  attention_forward(context, block.attention, y, normed, kept.attention, cache);
}

void sequential_mlp(const Context& context, const Block& block, const Tensor& y, const Tensor& x,
                    const BlockKept& kept, bool need_output) {
  const ArenaScope scope(context.arena);
  const Tensor normed = context.arena.take(x.rows, x.cols);
  normalise(context, block.norm2, normed, x);
  mlp_forward(context, block.mlp, y, normed, kept.mlp, need_output);
}

/// A branch `y += layer(norm(x))` backwards. dx, holding dy, gets the norm's share added once every gradient
/// of dy is taken.
template <typename LayerBackward>
void branch_backward(const Context& context, const Norm& norm, const Tensor& dx, const Tensor& x,
                     bool need_dx, LayerBackward layer_backward) {
  const ArenaScope scope(context.arena);
  const Tensor normed = context.arena.take(x.rows, x.cols);
  const NormStats stats = take_norm_stats(context, x.rows);
  norm_forward(context, norm, normed, x, stats);
  const bool through = need_dx || norm.trainable();
  const Tensor dnormed = through ? context.arena.take(x.rows, x.cols) : Tensor();
  layer_backward(through ? &dnormed : nullptr, normed);
  if (through) norm_backward(context, norm, dx, dnormed, x, stats);
}

void parallel_backward(const Context& context, const Block& block, const Tensor& dx, const Tensor& x,
                       const BlockKept& kept, bool need_dx) {
  branch_backward(context, block.norm1, dx, x, need_dx, [&](const Tensor* dnormed, const Tensor& normed) {
    attention_backward(context, block.attention, dnormed, dx, normed, kept.attention);
    const auto second = [&](const Tensor* dnormed2, const Tensor& normed2) {
      mlp_backward(context, block.mlp, dnormed2, dx, normed2, kept.mlp, shares_norm(context));
    };
    if (shares_norm(context)) {
      second(dnormed, normed);
    } else {
      branch_backward(context, block.norm2, dx, x, need_dx, second);
    }
  });
}

}  // namespace

bool Block::trainable(const ModelConfig& config) const {
  const bool two_norms = config.block != BlockKind::parallel_shared_norm;
  return norm1.trainable() || (two_norms && norm2.trainable()) || attention.trainable() || mlp.trainable();
}

BlockKept take_block_kept(const Context& context, const Block& block, int64_t rows) {
  BlockKept kept;
  if (!is_parallel(context)) kept.middle = context.arena.take(rows, context.config.hidden_size);
  kept.attention = take_attention_kept(context, block.attention, rows);
  kept.mlp = take_mlp_kept(context, block.mlp, rows);
  return kept;
}

void block_forward(const Context& context, const Block& block, const Tensor& out, const Tensor& x,
                   const BlockKept& kept) {
  if (is_parallel(context)) {
    context.backend.copy(out, x);
    parallel_forward(context, block, out, x, kept, nullptr, true);
    return;
  }
  context.backend.copy(kept.middle, x);
  sequential_attention(context, block, kept.middle, x, kept, nullptr);
  context.backend.copy(out, kept.middle);
  sequential_mlp(context, block, out, kept.middle, kept, true);
}

void block_recompute(const Context& context, const Block& block, const Tensor& x, const BlockKept& kept) {
  if (is_parallel(context)) {
    parallel_forward(context, block, Tensor(), x, kept, nullptr, false);
    return;
  }
  context.backend.copy(kept.middle, x);
  sequential_attention(context, block, kept.middle, x, kept, nullptr);
  sequential_mlp(context, block, Tensor(), kept.middle, kept, false);
}

void block_infer(const Context& context, const Block& block, const Tensor& x, const CacheRows* cache) {
  const ArenaScope scope(context.arena);
  BlockKept kept;
  if (is_parallel(context)) {
    kept.attention = take_attention_kept(context, block.attention, x.rows);
    kept.mlp = take_mlp_kept(context, block.mlp, x.rows);
    parallel_forward(context, block, x, x, kept, cache, true);
    return;
  }
  {
    const ArenaScope attention_scope(context.arena);
    kept.attention = take_attention_kept(context, block.attention, x.rows);
    sequential_attention(context, block, x, x, kept, cache);
  }
  kept.mlp = take_mlp_kept(context, block.mlp, x.rows);
  sequential_mlp(context, block, x, x, kept, true);
}

void block_backward(const Context& context, const Block& block, const Tensor& dx, const Tensor& x,
                    const BlockKept& kept, bool need_dx) {
  if (is_parallel(context)) {
    parallel_backward(context, block, dx, x, kept, need_dx);
    return;
  }
  const bool need_middle = need_dx || block.norm1.trainable() || block.attention.trainable();
  branch_backward(context, block.norm2, dx, kept.middle, need_middle,
                  [&](const Tensor* dnormed, const Tensor& normed) {
                    mlp_backward(context, block.mlp, dnormed, dx, normed, kept.mlp);
                  });
  if (!need_middle) return;
  branch_backward(context, block.norm1, dx, x, need_dx, [&](const Tensor* dnormed, const Tensor& normed) {
    attention_backward(context, block.attention, dnormed, dx, normed, kept.attention);
  });
}

}  // namespace fettle
