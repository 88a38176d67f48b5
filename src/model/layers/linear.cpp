#include "model/layers/linear.h"

#include <algorithm>

namespace fettle {
namespace {

bool drops(const Context& context, const LoraLink& lora) {
  return lora.dropout != 0.0F && context.dropout_step != 0;
}

bool has_dora(const Linear& linear) {
  return std::any_of(linear.loras.begin(), linear.loras.end(),
                     [](const LoraLink& lora) { return lora.magnitude != nullptr; });
}

void base_product(const Context& context, const Linear& linear, const Tensor& y, const Tensor& x, float beta) {
  context.backend.matmul(y, x, product_weight(*linear.weight),
                         {.transpose_b = true,
                          .beta = beta,
                          .product = context.product,
                          .batch_invariant = context.batch_invariant});
}

/// x, or a copy of it with the LoRA's dropout applied. The same call gives the same elements in backward.
Tensor dropped_input(const Context& context, const LoraLink& lora, const Tensor& x) {
  if (!drops(context, lora)) return x;
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
    return projected_.col_slice(begin, at_);
  }

 private:
  const Tensor& projected_;
  int64_t at_ = 0;
};

/// Gradients of A and B, dy being that of scale * B A x; leaves dprojected for the gradient of x.
void lora_weights_backward(const Context& context, const LoraLink& lora, float scale, const Tensor& dprojected,
                           const Tensor& dy, const Tensor& x, const Tensor& projected) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  backend.matmul(dprojected, dy, lora.b->value, {.alpha = scale, .product = context.product});
  if (lora.b->trainable) {
    backend.matmul(lora.b->grad, dy, projected,
                   {.transpose_a = true, .alpha = scale, .beta = 1.0F, .product = context.product});
  }
  if (lora.a->trainable) {
    backend.matmul(lora.a->grad, dprojected, dropped_input(context, lora, x),
                   {.transpose_a = true, .beta = 1.0F, .product = context.product});
  }
  if (lora.bias == nullptr || !lora.bias->trainable) return;
  const Tensor sums = context.arena.take(1, dy.cols);
  backend.fill(sums, 0.0F);
  backend.bias_backward(sums, dy);
  backend.add(lora.bias->grad, sums, scale);
}

/// Takes and returns the gradient that goes through W beside dy itself: (ratio - 1) ⊙ (factor * dy).
Tensor dora_linear_backward(const Context& context, const Linear& linear, const LoraLink& lora,
                            const Tensor& dprojected, const Tensor& dy, const Tensor& x, const Tensor& projected) {
  Backend& backend = context.backend;
  const Tensor g = context.arena.take(dy.rows, dy.cols);
  const ArenaScope scope(context.arena);
  backend.copy(g, dy);
  backend.scale(g, lora.factor);
  const Tensor u = context.arena.take(dy.rows, dy.cols);
  base_product(context, linear, u, dropped_input(context, lora, x), 0.0F);
  dora_backward(context, lora, g, u, projected);
  lora_weights_backward(context, lora, lora.scale, dprojected, g, x, projected);
  backend.add(g, dy, -lora.factor);
  return g;
}

/// through_weight: a gradient that goes back through W to the dropped input, or null.
void lora_input_backward(const Context& context, const Linear& linear, const LoraLink& lora, const Tensor& dx,
                         const Tensor& dprojected, const Tensor* through_weight) {
  Backend& backend = context.backend;
  if (!drops(context, lora)) {
    backend.matmul(dx, dprojected, lora.a->value, {.beta = 1.0F, .product = context.product});
    return;
  }
  const ArenaScope scope(context.arena);
  const Tensor through = context.arena.take(dx.rows, dx.cols);
  backend.matmul(through, dprojected, lora.a->value, {.product = context.product});
  if (through_weight != nullptr)
    backend.matmul(through, *through_weight, product_weight(*linear.weight),
                   {.beta = 1.0F, .product = context.product});
  backend.dropout(through, lora.dropout, context.dropout_seed, (context.dropout_step << 24) + lora.stream);
  backend.add(dx, through);
}

}  // namespace

bool Linear::trainable() const {
  if (weight == nullptr) return false;
  if (weight->trainable || (bias != nullptr && bias->trainable)) return true;
  return std::any_of(loras.begin(), loras.end(), [](const LoraLink& lora) { return lora.trainable(); });
}

int64_t Linear::ranks() const {
  int64_t ranks = 0;
  for (const LoraLink& lora : loras) ranks += lora.a->value.rows;
  return ranks;
}

LinearKept take_linear_kept(const Context& context, const Linear& linear, int64_t rows) {
  const int64_t ranks = linear.ranks();
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
  const ArenaScope scope(context.arena);
  const bool dora = has_dora(linear);
  const Tensor product = dora ? context.arena.take(y.rows, y.cols) : Tensor();
  if (dora) {
    base_product(context, linear, product, x, 0.0F);
    if (!accumulate) backend.fill(y, 0.0F);
    backend.add(y, product);
  } else {
    base_product(context, linear, y, x, accumulate ? 1.0F : 0.0F);
  }
  if (linear.bias != nullptr) backend.add_bias(y, linear.bias_value);
  lora_project(context, linear, x, kept);
  ColumnWalk columns(kept.projected);
  for (const LoraLink& lora : linear.loras) {
    const Tensor projected = columns.next(lora);
    if (lora.magnitude != nullptr) {
      const ArenaScope link_scope(context.arena);
      const Tensor u = context.arena.take(y.rows, y.cols);
      if (drops(context, lora)) {
        base_product(context, linear, u, dropped_input(context, lora, x), 0.0F);
      } else {
        backend.copy(u, product);
      }
      dora_forward(context, lora, y, u, projected);
      continue;
    }
    backend.matmul(y, projected, lora.b->value,
                   {.transpose_b = true,
                    .alpha = lora.factor * lora.scale,
                    .beta = 1.0F,
                    .product = context.product,
                    .batch_invariant = context.batch_invariant});
    if (lora.bias != nullptr) backend.add_bias(y, lora.bias_value);
  }
}

void linear_backward(const Context& context, const Linear& linear, const Tensor* dx, const Tensor& dy,
                     const Tensor& x, const LinearKept& kept, bool accumulate) {
  Backend& backend = context.backend;
  if (linear.weight->trainable) {
    FETTLE_CHECK(!has_dora(linear));
    backend.matmul(linear.weight->grad, dy, x,
                   {.transpose_a = true, .beta = 1.0F, .product = context.product});
  }
  if (linear.bias != nullptr && linear.bias->trainable) backend.bias_backward(linear.bias->grad, dy);

  // Every use of x comes before dx, which may be its memory, is written.
  const ArenaScope scope(context.arena);
  const LinearKept dprojected = take_linear_kept(context, linear, dy.rows);
  ColumnWalk columns(kept.projected), dcolumns(dprojected.projected);
  Tensor through = dy;           // what goes back through W
  std::vector<Tensor> dropped;  // what does so to an input that was dropped, by link
  for (const LoraLink& lora : linear.loras) {
    const Tensor projected = columns.next(lora), dpart = dcolumns.next(lora);
    if (lora.magnitude == nullptr) {
      lora_weights_backward(context, lora, lora.factor * lora.scale, dpart, dy, x, projected);
      continue;
    }
    const Tensor g = dora_linear_backward(context, linear, lora, dpart, dy, x, projected);
    if (drops(context, lora)) {
      dropped.push_back(g);
    } else {
      backend.add(g, through);
      through = g;
    }
  }
  if (dx == nullptr) return;
  backend.matmul(*dx, through, product_weight(*linear.weight),
                 {.beta = accumulate ? 1.0F : 0.0F, .product = context.product});
  ColumnWalk again(dprojected.projected);
  auto next_dropped = dropped.begin();
  for (const LoraLink& lora : linear.loras) {
    const bool whole = lora.magnitude != nullptr && drops(context, lora);
    lora_input_backward(context, linear, lora, *dx, again.next(lora), whole ? &*next_dropped++ : nullptr);
  }
}

}  // namespace fettle
