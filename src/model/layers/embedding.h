#pragma once
// Token embeddings, scaled (Gemma), with learned positions added (GPT-2).
#include "model/layers/context.h"

namespace fettle {

struct Embedding {
  Parameter* token = nullptr;     ///< [vocab, hidden], any dtype when frozen
  Parameter* position = nullptr;  ///< [context, hidden] or null
  bool trainable() const { return token->trainable || (position != nullptr && position->trainable); }
};

/// x [T, hidden] = embedding of context.tokens at context.positions.
void embedding_forward(const Context& context, const Embedding& embedding, const Tensor& x);

/// The tables' gradients. dx is scratch afterwards.
void embedding_backward(const Context& context, const Embedding& embedding, const Tensor& dx);

}  // namespace fettle
