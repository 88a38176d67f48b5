#pragma once
// Token embeddings, scaled (Gemma), with learned positions added (GPT-2), and what adapters put beside them.
#include "model/layers/lora.h"

namespace fettle {

struct Embedding {
  Parameter* token = nullptr;     ///< [vocab, hidden], any dtype when frozen
  Parameter* position = nullptr;  ///< [context, hidden] or null
  std::vector<LoraLink> loras;    ///< a is [vocab, rank]
  std::vector<TokenRows> rows;    ///< where the batch's tokens stand in each: context.token_rows
  bool trainable() const;
};

/// x [T, hidden] = embedding of context.tokens at context.positions.
void embedding_forward(const Context& context, const Embedding& embedding, const Tensor& x);

/// The tables' gradients. dx is scratch afterwards.
void embedding_backward(const Context& context, const Embedding& embedding, const Tensor& dx);

}  // namespace fettle
