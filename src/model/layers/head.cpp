#include "model/layers/head.h"

#include <algorithm>

#include "model/layers/linear.h"

namespace fettle {
namespace {

constexpr int64_t logit_bytes = int64_t{64} << 20;

/// Calls body(begin, end) for chunks of `count` labels.
template <typename Body>
void for_each_chunk(const Context& context, int64_t count, Body body) {
  const int64_t chunk = head_chunk(context.config);
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const ArenaScope scope(context.arena);
    body(begin, std::min(begin + chunk, count));
  }
}

/// dlogits → gradients of weight and bias, and dnormed.
void projection_backward(const Context& context, const Head& head, const Tensor* dnormed,
                         const Tensor& dlogits, const Tensor& normed) {
  Backend& backend = context.backend;
  // bias comes after the scale in the forward, so its gradient is taken before.
  if (head.bias != nullptr && head.bias->trainable) backend.bias_backward(head.bias->grad, dlogits);
  const float scale = context.config.logit_scale;
  if (head.weight->trainable) {
    backend.matmul(head.weight->grad, dlogits, normed,
                   {.transpose_a = true, .alpha = scale, .beta = 1.0F, .product = context.product});
  }
  if (dnormed != nullptr) {
    backend.matmul(*dnormed, dlogits, product_weight(*head.weight),
                   {.alpha = scale, .product = context.product});
  }
}

void chunk_backward(const Context& context, const Head& head, const Tensor* dx, const Tensor& logp,
                    const Tensor& dlogp, const Tensor& x, const Tensor& rows, const Tensor& labels) {
  Backend& backend = context.backend;
  Arena& arena = context.arena;
  const int64_t count = rows.cols;
  const Tensor gathered = arena.take(count, x.cols), normed = arena.take(count, x.cols);
  const NormStats stats = take_norm_stats(context, count);
  backend.gather_rows(gathered, x, rows);
  norm_forward(context, head.norm, normed, gathered, stats);
  const bool through = dx != nullptr || head.norm.trainable();
  const Tensor dnormed = through ? arena.take(count, x.cols) : Tensor();
  {
    const ArenaScope scope(arena);
    const Tensor logits = arena.take(count, context.config.vocab_size);
    head_logits(context, head, logits, normed);
    backend.log_probabilities(logits, labels, logp, Tensor(), dlogp);
    projection_backward(context, head, through ? &dnormed : nullptr, logits, normed);
  }
  if (!through) return;
  const Tensor& dgathered = normed;
  backend.fill(dgathered, 0.0F);
  norm_backward(context, head.norm, dgathered, dnormed, gathered, stats);
  if (dx != nullptr) backend.scatter_add_rows(*dx, dgathered, rows);
}

}  // namespace

int64_t head_chunk(const ModelConfig& config) {
  const int64_t fitting = logit_bytes / (int64_t{config.vocab_size} * static_cast<int64_t>(sizeof(float)));
  return std::clamp<int64_t>(fitting / 16 * 16, 16, 512);
}

void head_hidden(const Context& context, const Head& head, const Tensor& normed, const Tensor& x,
                 const Tensor& rows) {
  const ArenaScope scope(context.arena);
  const Tensor gathered = context.arena.take(rows.cols, x.cols);
  context.backend.gather_rows(gathered, x, rows);
  norm_forward(context, head.norm, normed, gathered, take_norm_stats(context, rows.cols));
}

void head_logits(const Context& context, const Head& head, const Tensor& logits, const Tensor& normed) {
  context.backend.matmul(
      logits, normed, product_weight(*head.weight),
      {.transpose_b = true,
       .alpha = context.config.logit_scale,
       .product = context.product,
       .batch_invariant = context.batch_invariant});
  if (head.bias != nullptr) context.backend.add_bias(logits, head.bias_value);
}

void head_forward(const Context& context, const Head& head, const Tensor& logp, const Tensor& best,
                  const Tensor& x, const Tensor& rows, const Tensor& labels) {
  for_each_chunk(context, rows.cols, [&](int64_t begin, int64_t end) {
    const Tensor normed = context.arena.take(end - begin, x.cols);
    head_hidden(context, head, normed, x, cols_of(rows, begin, end));
    const Tensor logits = context.arena.take(end - begin, context.config.vocab_size);
    head_logits(context, head, logits, normed);
    context.backend.log_probabilities(logits, cols_of(labels, begin, end), cols_of(logp, begin, end),
                                      best.empty() ? Tensor() : cols_of(best, begin, end), Tensor());
  });
}

void head_backward(const Context& context, const Head& head, const Tensor* dx, const Tensor& logp,
                   const Tensor& dlogp, const Tensor& x, const Tensor& rows, const Tensor& labels) {
  for_each_chunk(context, rows.cols, [&](int64_t begin, int64_t end) {
    chunk_backward(context, head, dx, cols_of(logp, begin, end), cols_of(dlogp, begin, end), x,
                   cols_of(rows, begin, end), cols_of(labels, begin, end));
  });
}

}  // namespace fettle
