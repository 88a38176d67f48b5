#include "model/layers/linear.h"

namespace fettle {
namespace {

/// x, or a copy of it with the LoRA's dropout applied. The same call gives the same elements in backward.
Tensor dropped_input(const Context& context, const LoraLink& lora, const Tensor& x) {
  if (lora.dropout == 0.0F || context.dropout_step == 0) return x;
  const Tensor copy = context.arena.take(x.rows, x.cols);
  context.backend.copy(copy, x);
  context.backend.dropout(copy, lora.dropout, context.dropout_seed,
                          (context.dropout_step << 24) + lora.stream);
  return copy;
}

/// Columns of `projected` that belong to each LoRA in turn.
class ColumnWalk {
 public:
  explicit ColumnWalk(const Tensor& projected) : projected_(projected) {}
  Tensor next(const LoraLink& lora) {
    const int64_t begin = at_;
    at_ += lora.a->value.rows;
    return cols_of(projected_, begin, at_);
  }

 private:
  const Tensor& projected_;
  int64_t at_ = 0;
};

/// Gradients of A and B; leaves dprojected for the gradient of x.
void lora_weights_backward(const Context& context, const LoraLink& lora, const Tensor& dprojected,
                           const Tensor& dy, const Tensor& x, const Tensor& projected) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  backend.matmul(dprojected, dy, lora.b->value, {.alpha = lora.scale, .product = context.product});
  if (lora.b->trainable) {
    backend.matmul(lora.b->grad, dy, projected,
                   {.transpose_a = true, .alpha = lora.scale, .beta = 1.0F, .product = context.product});
  }
  if (lora.a->trainable) {
    backend.matmul(lora.a->grad, dprojected, dropped_input(context, lora, x),
                   {.transpose_a = true, .beta = 1.0F, .product = context.product});
  }
}

void lora_input_backward(const Context& context, const LoraLink& lora, const Tensor& dx,
                         const Tensor& dprojected) {
  Backend& backend = context.backend;
  if (lora.dropout == 0.0F || context.dropout_step == 0) {
    backend.matmul(dx, dprojected, lora.a->value, {.beta = 1.0F, .product = context.product});
    return;
  }
  const ArenaScope scope(context.arena);
  const Tensor through = context.arena.take(dx.rows, dx.cols);
  backend.matmul(through, dprojected, lora.a->value, {.product = context.product});
  backend.dropout(through, lora.dropout, context.dropout_seed, (context.dropout_step << 24) + lora.stream);
  backend.add(dx, through);
}

}  // namespace

bool Linear::trainable() const {
  if (weight->trainable || (bias != nullptr && bias->trainable)) return true;
  for (const LoraLink& lora : loras) {
    if (lora.a->trainable || lora.b->trainable) return true;
  }
  return false;
}

LinearKept take_linear_kept(const Context& context, const Linear& linear, int64_t rows) {
  int64_t ranks = 0;
  for (const LoraLink& lora : linear.loras) ranks += lora.a->value.rows;
  return ranks == 0 ? LinearKept{} : LinearKept{context.arena.take(rows, ranks)};
}

void lora_project(const Context& context, const Linear& linear, const Tensor& x, const LinearKept& kept) {
  ColumnWalk columns(kept.projected);
  for (const LoraLink& lora : linear.loras) {
    const ArenaScope scope(context.arena);
    context.backend.matmul(columns.next(lora), dropped_input(context, lora, x), lora.a->value,
                           {.transpose_b = true, .product = context.product, .batch_invariant = context.batch_invariant});
  }
}

void linear_forward(const Context& context, const Linear& linear, const Tensor& y, const Tensor& x,
                    const LinearKept& kept, bool accumulate) {
  Backend& backend = context.backend;
  backend.matmul(y, x, product_weight(*linear.weight),
                 {.transpose_b = true,
                  .beta = accumulate ? 1.0F : 0.0F,
                  .product = context.product,
                  .batch_invariant = context.batch_invariant});
  if (linear.bias != nullptr) backend.add_bias(y, linear.bias_value);
  lora_project(context, linear, x, kept);
  ColumnWalk columns(kept.projected);
  for (const LoraLink& lora : linear.loras) {
    backend.matmul(y, columns.next(lora), lora.b->value,
                   {.transpose_b = true,
                    .alpha = lora.scale,
                    .beta = 1.0F,
                    .product = context.product,
                    .batch_invariant = context.batch_invariant});
  }
}

void linear_backward(const Context& context, const Linear& linear, const Tensor* dx, const Tensor& dy,
                     const Tensor& x, const LinearKept& kept, bool accumulate) {
  Backend& backend = context.backend;
  if (linear.weight->trainable) {
    backend.matmul(linear.weight->grad, dy, x,
                   {.transpose_a = true, .beta = 1.0F, .product = context.product});
  }
  if (linear.bias != nullptr && linear.bias->trainable) backend.bias_backward(linear.bias->grad, dy);

  // Every use of x comes before dx, which may be its memory, is written.
  const ArenaScope scope(context.arena);
  const LinearKept dprojected = take_linear_kept(context, linear, dy.rows);
  ColumnWalk columns(kept.projected), dcolumns(dprojected.projected);
  for (const LoraLink& lora : linear.loras) {
    lora_weights_backward(context, lora, dcolumns.next(lora), dy, x, columns.next(lora));
  }
  if (dx == nullptr) return;
  backend.matmul(*dx, dy, product_weight(*linear.weight),
                 {.beta = accumulate ? 1.0F : 0.0F, .product = context.product});
  ColumnWalk again(dprojected.projected);
  for (const LoraLink& lora : linear.loras) lora_input_backward(context, lora, *dx, again.next(lora));
}

}  // namespace fettle
