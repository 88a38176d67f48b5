#include "model/layers/block.h"

namespace fettle {
namespace {

bool is_parallel(const Block& block) {
  return block.config->block != BlockKind::sequential;
}
bool shares_norm(const Block& block) {
  return block.config->block == BlockKind::parallel_shared_norm;
}
bool has_attention(const Block& block) {
  return block.config->mixer == MixerKind::attention;
}
bool has_mlp(const Block& block) {
  return block.config->mlp != MlpKind::none;
}
bool has_experts(const Block& block) {
  return block.config->mlp == MlpKind::experts;
}
bool has_middle(const Block& block) {
  return !is_parallel(block) && has_attention(block) && has_mlp(block);
}

/// out = norm(x); the statistics go to scratch.
void normalise(const Context& context, const Norm& norm, const Tensor& out, const Tensor& x) {
  const ArenaScope scope(context.arena);
  norm_forward(context, norm, out, x, take_norm_stats(context, x.rows));
}

/// norm(x) in scratch, or x where there is no norm.
Tensor normalised(const Context& context, const Norm& norm, const Tensor& x) {
  if (norm.weight == nullptr) return x;
  const Tensor out = context.arena.take(x.rows, x.cols);
  normalise(context, norm, out, x);
  return out;
}

/// y += layer(x), by way of `given` and a norm where there is one after it. layer_forward(y, need_output) adds to y.
template <typename LayerForward>
void add_branch(const Context& context, const Norm& after, const Tensor& y, const Tensor& given, bool need_output,
                LayerForward layer_forward) {
  if (after.weight == nullptr) {
    layer_forward(y, need_output);
    return;
  }
  context.backend.fill(given, 0.0F);
  layer_forward(given, true);
  if (!need_output) return;
  const ArenaScope scope(context.arena);
  const Tensor normed = context.arena.take(given.rows, given.cols);
  normalise(context, after, normed, given);
  context.backend.add(y, normed);
}

void add_attention(const Context& context, const Block& block, const Tensor& y, const Tensor& normed,
                   const BlockKept& kept, const CacheRows* cache, bool need_output) {
  add_branch(context, block.norm1_after, y, kept.attention_out, need_output, [&](const Tensor& to, bool need) {
    attention_forward(context, block.attention, to, normed, kept.attention, cache, need);
  });
}

void add_mlp(const Context& context, const Block& block, const Tensor& y, const Tensor& normed, const BlockKept& kept,
             bool need_output) {
  add_branch(context, block.norm2_after, y, kept.mlp_out, need_output, [&](const Tensor& to, bool need) {
    if (has_experts(block)) return experts_forward(context, block.experts, to, normed, kept.experts, need);
    mlp_forward(context, block.mlp, to, normed, kept.mlp, need);
  });
}

void take_mlp(const Context& context, const Block& block, int64_t rows, BlockKept& kept) {
  if (has_experts(block)) {
    kept.experts = take_experts_kept(context, block.experts, rows);
  } else {
    kept.mlp = take_mlp_kept(context, block.mlp, rows);
  }
  if (block.norm2_after.weight != nullptr) kept.mlp_out = context.arena.take(rows, context.config.hidden_size);
}

/// y += attention(norm(x)) + mlp(norm(x)). y may be x's memory.
void parallel_forward(const Context& context, const Block& block, const Tensor& y, const Tensor& x,
                      const BlockKept& kept, const CacheRows* cache, bool need_output) {
  const ArenaScope scope(context.arena);
  const Tensor normed = context.arena.take(x.rows, x.cols);
  // Where y is x's memory, the second norm must be taken before attention adds to it.
  const Tensor normed2 = shares_norm(block) ? normed : context.arena.take(x.rows, x.cols);
  normalise(context, block.norm1, normed, x);
  if (!shares_norm(block)) normalise(context, block.norm2, normed2, x);
  add_attention(context, block, y, normed, kept, cache, need_output);
  add_mlp(context, block, y, normed2, kept, need_output);
}

/// y += attention(x). y may be x's memory.
void sequential_attention(const Context& context, const Block& block, const Tensor& y, const Tensor& x,
                          const BlockKept& kept, const CacheRows* cache, bool need_output) {
  const ArenaScope scope(context.arena);
  // Without a norm before it the branch reads x itself: all of it is projected before anything is added.
  add_attention(context, block, y, normalised(context, block.norm1, x), kept, cache, need_output);
}

void sequential_mlp(const Context& context, const Block& block, const Tensor& y, const Tensor& x,
                    const BlockKept& kept, bool need_output) {
  const ArenaScope scope(context.arena);
  add_mlp(context, block, y, normalised(context, block.norm2, x), kept, need_output);
}

/// A branch `y += after(layer(before(x)))` backwards. dx, holding dy, gets the branch's share added once every gradient
/// of dy is taken. layer_backward(dnormed, dy of the layer, normed).
template <typename LayerBackward>
void branch_backward(const Context& context, const Norm& before, const Norm& after, const Tensor& dx, const Tensor& x,
                     const Tensor& given, bool need_dx, LayerBackward layer_backward) {
  const ArenaScope scope(context.arena);
  const bool has_norm = before.weight != nullptr;
  const Tensor normed = has_norm ? context.arena.take(x.rows, x.cols) : x;
  const NormStats stats = has_norm ? take_norm_stats(context, x.rows) : NormStats{};
  if (has_norm) norm_forward(context, before, normed, x, stats);
  const bool through = need_dx || before.trainable();
  const Tensor dnormed = through ? context.arena.take(x.rows, x.cols) : Tensor();
  Tensor dy = dx;
  if (after.weight != nullptr) {
    dy = context.arena.take(x.rows, x.cols);
    {
      const ArenaScope after_scope(context.arena);
      const NormStats after_stats = take_norm_stats(context, x.rows);
      // For its statistics; the output falls where the gradient will stand.
      norm_forward(context, after, dy, given, after_stats);
      context.backend.fill(dy, 0.0F);
      norm_backward(context, after, dy, dx, given, after_stats);
    }
  }
  layer_backward(through ? &dnormed : nullptr, dy, normed);
  if (!through) return;
  if (has_norm) {
    norm_backward(context, before, dx, dnormed, x, stats);
  } else {
    context.backend.add(dx, dnormed);
  }
}

void parallel_backward(const Context& context, const Block& block, const Tensor& dx, const Tensor& x,
                       const BlockKept& kept, bool need_dx) {
  const Norm none;
  branch_backward(
      context, block.norm1, none, dx, x, Tensor(), need_dx,
      [&](const Tensor* dnormed, const Tensor& dy, const Tensor& normed) {
        attention_backward(context, block.attention, dnormed, dy, normed, kept.attention);
        const auto second = [&](const Tensor* dnormed2, const Tensor& dy2, const Tensor& normed2) {
          mlp_backward(context, block.mlp, dnormed2, dy2, normed2, kept.mlp, shares_norm(block));
        };
        if (shares_norm(block)) {
          second(dnormed, dy, normed);
        } else {
          branch_backward(context, block.norm2, none, dx, x, Tensor(), need_dx, second);
        }
      });
}

}  // namespace

BlockKept take_block_kept(const Context& context, const Block& block, int64_t rows) {
  BlockKept kept;
  const int64_t hidden = context.config.hidden_size;
  if (has_middle(block)) kept.middle = context.arena.take(rows, hidden);
  if (has_attention(block)) kept.attention = take_attention_kept(context, block.attention, rows);
  if (block.norm1_after.weight != nullptr) kept.attention_out = context.arena.take(rows, hidden);
  if (has_mlp(block)) take_mlp(context, block, rows, kept);
  return kept;
}

void block_forward(const Context& context, const Block& block, const Tensor& out, const Tensor& x,
                   const BlockKept& kept) {
  if (is_parallel(block)) {
    context.backend.copy(out, x);
    parallel_forward(context, block, out, x, kept, nullptr, true);
    return;
  }
  const Tensor& middle = has_middle(block) ? kept.middle : x;
  if (has_attention(block)) {
    const Tensor& to = has_mlp(block) ? middle : out;
    context.backend.copy(to, x);
    sequential_attention(context, block, to, x, kept, nullptr, true);
  }
  if (!has_mlp(block)) return;
  context.backend.copy(out, middle);
  sequential_mlp(context, block, out, middle, kept, true);
}

void block_recompute(const Context& context, const Block& block, const Tensor& x, const BlockKept& kept) {
  if (is_parallel(block)) {
    parallel_forward(context, block, Tensor(), x, kept, nullptr, false);
    return;
  }
  const Tensor& middle = has_middle(block) ? kept.middle : x;
  if (has_middle(block)) context.backend.copy(middle, x);
  if (has_attention(block)) sequential_attention(context, block, middle, x, kept, nullptr, has_mlp(block));
  if (has_mlp(block)) sequential_mlp(context, block, Tensor(), middle, kept, false);
}

void block_infer(const Context& context, const Block& block, const Tensor& x, const CacheRows* cache) {
  const ArenaScope scope(context.arena);
  BlockKept kept;
  const int64_t hidden = context.config.hidden_size;
  if (is_parallel(block)) {
    kept.attention = take_attention_kept(context, block.attention, x.rows);
    kept.mlp = take_mlp_kept(context, block.mlp, x.rows);
    parallel_forward(context, block, x, x, kept, cache, true);
    return;
  }
  if (has_attention(block)) {
    const ArenaScope attention_scope(context.arena);
    kept.attention = take_attention_kept(context, block.attention, x.rows);
    if (block.norm1_after.weight != nullptr) kept.attention_out = context.arena.take(x.rows, hidden);
    sequential_attention(context, block, x, x, kept, cache, true);
  }
  if (!has_mlp(block)) return;
  take_mlp(context, block, x.rows, kept);
  sequential_mlp(context, block, x, x, kept, true);
}

void block_backward(const Context& context, const Block& block, const Tensor& dx, const Tensor& x,
                    const BlockKept& kept, bool need_dx) {
  if (is_parallel(block)) {
    parallel_backward(context, block, dx, x, kept, need_dx);
    return;
  }
  const bool need_middle = need_dx || (has_attention(block) && block.first_trainable());
  if (has_mlp(block)) {
    branch_backward(context, block.norm2, block.norm2_after, dx, has_middle(block) ? kept.middle : x, kept.mlp_out,
                    need_middle, [&](const Tensor* dnormed, const Tensor& dy, const Tensor& normed) {
                      if (has_experts(block))
                        return experts_backward(context, block.experts, dnormed, dy, normed, kept.experts);
                      mlp_backward(context, block.mlp, dnormed, dy, normed, kept.mlp);
                    });
  }
  if (!need_middle || !has_attention(block)) return;
  branch_backward(context, block.norm1, block.norm1_after, dx, x, kept.attention_out, need_dx,
                  [&](const Tensor* dnormed, const Tensor& dy, const Tensor& normed) {
                    attention_backward(context, block.attention, dnormed, dy, normed, kept.attention);
                  });
}

}  // namespace fettle
