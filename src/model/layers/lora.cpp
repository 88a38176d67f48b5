#include "model/layers/lora.h"

namespace fettle {

void dora_forward(const Context& context, const LoraLink& lora, const Tensor& y, const Tensor& u,
                  const Tensor& projected) {
  Backend& backend = context.backend;
  backend.add(y, u, -lora.factor);
  backend.matmul(u, projected, lora.b->value,
                 {.transpose_b = true,
                  .alpha = lora.scale,
                  .beta = 1.0F,
                  .product = context.product,
                  .batch_invariant = context.batch_invariant});
  backend.multiply(u, lora.ratio);
  backend.add(y, u, lora.factor);
}

void dora_backward(const Context& context, const LoraLink& lora, const Tensor& g, const Tensor& u,
                   const Tensor& projected) {
  Backend& backend = context.backend;
  if (lora.magnitude->trainable) {
    const ArenaScope scope(context.arena);
    const Tensor sums = context.arena.take(1, g.cols);
    backend.matmul(u, projected, lora.b->value,
                   {.transpose_b = true, .alpha = lora.scale, .beta = 1.0F, .product = context.product});
    backend.multiply(u, g);
    backend.fill(sums, 0.0F);
    backend.bias_backward(sums, u);
    backend.multiply(sums, lora.inverse_norm);
    backend.add(lora.magnitude->grad, sums);
  }
  backend.multiply(g, lora.ratio);
}

}  // namespace fettle
