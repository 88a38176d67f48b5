#pragma once
// One decoder layer: norms, attention and MLP around the residual stream, in the order that BlockKind says.
#include "model/layers/attention.h"
#include "model/layers/mlp.h"
#include "model/layers/norm.h"

namespace fettle {

struct Block {
  Norm norm1, norm2;  ///< norm2 is unused when the block shares one norm
  AttentionLayer attention;
  Mlp mlp;
  bool trainable(const ModelConfig& config) const;
};

/// What a block's backward reads beside its input. middle: the residual stream between attention and MLP; a
/// parallel block has none.
struct BlockKept {
  Tensor middle;
  AttentionKept attention;
  MlpKept mlp;
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
