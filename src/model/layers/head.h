#pragma once
// Final norm and vocabulary projection, a chunk of label rows at a time: log-probabilities without [T, vocab]
// logits.
#include "model/layers/linear.h"
#include "model/layers/norm.h"

namespace fettle {

struct Head {
  Norm norm;
  Linear projection;            ///< [vocab, hidden]; the embedding when tied
  std::vector<TokenRows> rows;  ///< of the projection
};

/// Labels whose logits are in memory at once: few enough that they fit about 64 MiB, enough for a good matrix
/// product.
int64_t head_chunk(const ModelConfig& config);

/// normed [rows.cols, hidden] = norm(x[rows]). x is the last block's output, rows i32 [1, n].
void head_hidden(const Context& context, const Head& head, const Tensor& normed, const Tensor& x,
                 const Tensor& rows);

/// logits [n, vocab] of normed [n, hidden].
void head_logits(const Context& context, const Head& head, const Tensor& logits, const Tensor& normed);

/// logp [1, L] of labels [1, L] at rows [1, L] of x; best [1, L] may be empty.
void head_forward(const Context& context, const Head& head, const Tensor& logp, const Tensor& best,
                  const Tensor& x, const Tensor& rows, const Tensor& labels);

/// Given dlogp [1, L]: logp [1, L], the head's gradients, and unless dx is null dx [T, hidden] += ….
void head_backward(const Context& context, const Head& head, const Tensor* dx, const Tensor& logp,
                   const Tensor& dlogp, const Tensor& x, const Tensor& rows, const Tensor& labels);

}  // namespace fettle
