#include "model/layers/embedding.h"

namespace fettle {

void embedding_forward(const Context& context, const Embedding& embedding, const Tensor& x) {
  Backend& backend = context.backend;
  backend.gather_rows(x, embedding.token->value, context.tokens);
  if (context.config.embedding_scale != 1.0F) backend.scale(x, context.config.embedding_scale);
  if (embedding.position == nullptr) return;
  const ArenaScope scope(context.arena);
  const Tensor positions = context.arena.take(x.rows, x.cols);
  backend.gather_rows(positions, embedding.position->value, context.positions);
  backend.add(x, positions);
}

void embedding_backward(const Context& context, const Embedding& embedding, const Tensor& dx) {
  Backend& backend = context.backend;
  if (embedding.position != nullptr && embedding.position->trainable) {
    backend.scatter_add_rows(embedding.position->grad, dx, context.positions);
  }
  if (!embedding.token->trainable) return;
  if (context.config.embedding_scale != 1.0F) backend.scale(dx, context.config.embedding_scale);
  backend.scatter_add_rows(embedding.token->grad, dx, context.tokens);
}

}  // namespace fettle
