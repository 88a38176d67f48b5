#pragma once
// One decoder layer: branches (attention, MLP) that are added to the residual stream, one after the other or side by
// side as BlockKind says, with norms before or after them. A layer may have one of the branches alone.
#include "model/layers/attention.h"
#include "model/layers/experts.h"
#include "model/layers/norm.h"

namespace fettle {

struct Block {
  const LayerConfig* config = nullptr;
  Norm norm1, norm1_after, norm2, norm2_after;  ///< those that the config has
  AttentionLayer attention;
  Mlp mlp;          ///< or, as the config says,
  Experts experts;  ///< a mixture of several
  bool trainable() const { return first_trainable() || second_trainable(); }
  bool first_trainable() const { return norm1.trainable() || norm1_after.trainable() || attention.trainable(); }
  bool second_trainable() const { return norm2.trainable() || norm2_after.trainable() || mlp.trainable() || experts.trainable(); }
};

/// What a block's backward reads beside its input. middle: the residual stream between attention and MLP, where one
/// follows the other. attention_out, mlp_out: what a norm after them reads.
struct BlockKept {
  Tensor middle, attention_out, mlp_out;
  AttentionKept attention;
  MlpKept mlp;
  ExpertsKept experts;
};
BlockKept take_block_kept(const Context& context, const Block& block, int64_t rows);

/// out = block(x), everything for backward in `kept`. out is not x's memory.
void block_forward(const Context& context, const Block& block, const Tensor& out, const Tensor& x,
                   const BlockKept& kept);

/// The same into `kept` alone: what backward needs of a block of which only the input was kept.
void block_recompute(const Context& context, const Block& block, const Tensor& x, const BlockKept& kept);

/// x = block(x) in place, nothing kept; with a cache, the token loop.
void block_infer(const Context& context, const Block& block, const Tensor& x,
                 const CacheRows* cache = nullptr);

/// dx holds d(out) and becomes d(x) (unless need_dx is false: then nothing below is trainable, and it is
/// scratch). Spoils kept.
void block_backward(const Context& context, const Block& block, const Tensor& dx, const Tensor& x,
                    const BlockKept& kept, bool need_dx);

}  // namespace fettle
