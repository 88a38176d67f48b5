#include "model/layers/embedding.h"

#include <algorithm>

namespace fettle {
namespace {

Tensor gather(const Context& context, const Tensor& table, const Tensor& rows) {
  const Tensor out = context.arena.take(rows.cols, table.cols);
  context.backend.gather_rows(out, table, rows);
  return out;
}

void lora_forward(const Context& context, const Embedding& embedding, const LoraLink& lora, const Tensor& x) {
  const ArenaScope scope(context.arena);
  const Tensor projected = gather(context, lora.a->value, context.tokens);
  if (lora.magnitude != nullptr) {
    dora_forward(context, lora, x, gather(context, embedding.token->value, context.tokens), projected);
    return;
  }
  context.backend.matmul(x, projected, lora.b->value,
                         {.transpose_b = true,
                          .alpha = lora.factor * lora.scale,
                          .beta = 1.0F,
                          .product = context.product,
                          .batch_invariant = context.batch_invariant});
}

void lora_backward(const Context& context, const Embedding& embedding, const LoraLink& lora, const Tensor& dx) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const Tensor projected = gather(context, lora.a->value, context.tokens);
  Tensor g = dx;
  float scale = lora.factor * lora.scale;
  if (lora.magnitude != nullptr) {
    g = context.arena.take(dx.rows, dx.cols);
    backend.copy(g, dx);
    backend.scale(g, lora.factor);
    dora_backward(context, lora, g, gather(context, embedding.token->value, context.tokens), projected);
    scale = lora.scale;
  }
  if (lora.b->trainable) {
    backend.matmul(lora.b->grad, g, projected,
                   {.transpose_a = true, .alpha = scale, .beta = 1.0F, .product = context.product});
  }
  if (!lora.a->trainable) return;
  backend.matmul(projected, g, lora.b->value, {.alpha = scale, .product = context.product});
  backend.scatter_add_rows(lora.a->grad, projected, context.tokens);
}

/// rows += the sums of dx over each row's tokens; what belongs to none falls into the last row of the scratch.
void rows_backward(const Context& context, const TokenRows& rows, const Tensor& tokens, const Tensor& dx) {
  const ArenaScope scope(context.arena);
  const int64_t count = rows.rows->value.rows;
  const Tensor sums = context.arena.take(count + 1, dx.cols);
  context.backend.fill(sums, 0.0F);
  context.backend.scatter_add_rows(sums, dx, tokens);
  context.backend.add(rows.rows->grad, sums.row_slice(0, count), rows.factor);
}

}  // namespace

bool Embedding::trainable() const {
  if (token->trainable || (position != nullptr && position->trainable)) return true;
  return std::any_of(loras.begin(), loras.end(), [](const LoraLink& lora) { return lora.trainable(); }) ||
         std::any_of(rows.begin(), rows.end(), [](const TokenRows& row) { return row.rows->trainable; });
}

void embedding_forward(const Context& context, const Embedding& embedding, const Tensor& x) {
  Backend& backend = context.backend;
  backend.gather_rows(x, embedding.token->value, context.tokens);
  for (const LoraLink& lora : embedding.loras) lora_forward(context, embedding, lora, x);
  for (size_t i = 0; i < embedding.rows.size(); ++i) {
    const ArenaScope scope(context.arena);
    backend.add(x, gather(context, embedding.rows[i].delta, context.token_rows[i]), embedding.rows[i].factor);
  }
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
  if (context.config.embedding_scale != 1.0F) backend.scale(dx, context.config.embedding_scale);
  if (embedding.token->trainable) backend.scatter_add_rows(embedding.token->grad, dx, context.tokens);
  for (const LoraLink& lora : embedding.loras)
    if (lora.trainable()) lora_backward(context, embedding, lora, dx);
  for (size_t i = 0; i < embedding.rows.size(); ++i)
    if (embedding.rows[i].rows->trainable) rows_backward(context, embedding.rows[i], context.token_rows[i], dx);
}

}  // namespace fettle
