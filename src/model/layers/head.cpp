#include "model/layers/head.h"

#include <algorithm>

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

/// What the projection multiplies: the logit scale is applied to the smaller side.
Tensor projection_input(const Context& context, const Tensor& normed) {
  if (context.config.logit_scale == 1.0F) return normed;
  const Tensor scaled = context.arena.take(normed.rows, normed.cols);
  context.backend.copy(scaled, normed);
  context.backend.scale(scaled, context.config.logit_scale);
  return scaled;
}

/// Calls body(first row, end row, first token) for runs of consecutive tokens.
template <typename Body>
void for_each_run(const TokenRows& rows, Body body) {
  const std::vector<int32_t>& ids = *rows.ids;
  for (size_t begin = 0, end = 0; begin < ids.size(); begin = end) {
    for (end = begin + 1; end < ids.size() && ids[end] == ids[end - 1] + 1; ++end) continue;
    body(static_cast<int64_t>(begin), static_cast<int64_t>(end), int64_t{ids[begin]});
  }
}

void project(const Context& context, const Head& head, const Tensor& logits, const Tensor& input,
             const LinearKept& kept) {
  linear_forward(context, head.projection, logits, input, kept);
  for (const TokenRows& rows : head.rows) {
    for_each_run(rows, [&](int64_t begin, int64_t end, int64_t token) {
      context.backend.matmul(logits.col_slice(token, token + end - begin), input, rows.delta.row_slice(begin, end),
                             {.transpose_b = true,
                              .alpha = rows.factor,
                              .beta = 1.0F,
                              .product = context.product,
                              .batch_invariant = context.batch_invariant});
    });
  }
}

/// dlogits → gradients of the projection, and dnormed.
void projection_backward(const Context& context, const Head& head, const Tensor* dnormed,
                         const Tensor& dlogits, const Tensor& input, const LinearKept& kept) {
  Backend& backend = context.backend;
  linear_backward(context, head.projection, dnormed, dlogits, input, kept);
  for (const TokenRows& rows : head.rows) {
    for_each_run(rows, [&](int64_t begin, int64_t end, int64_t token) {
      const Tensor columns = dlogits.col_slice(token, token + end - begin);
      if (rows.rows->trainable) {
        const Tensor& grad = rows.rows->grad;  // absent while a plan of memory is made
        backend.matmul(grad.absent() ? grad : grad.row_slice(begin, end), columns, input,
                       {.transpose_a = true, .alpha = rows.factor, .beta = 1.0F, .product = context.product});
      }
      if (dnormed != nullptr) {
        backend.matmul(*dnormed, columns, rows.delta.row_slice(begin, end),
                       {.alpha = rows.factor, .beta = 1.0F, .product = context.product});
      }
    });
  }
  if (dnormed != nullptr && context.config.logit_scale != 1.0F)
    backend.scale(*dnormed, context.config.logit_scale);
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
    const Tensor input = projection_input(context, normed);
    const LinearKept kept = take_linear_kept(context, head.projection, count);
    project(context, head, logits, input, kept);
    backend.log_probabilities(logits, labels, logp, Tensor(), dlogp);
    projection_backward(context, head, through ? &dnormed : nullptr, logits, input, kept);
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
  const ArenaScope scope(context.arena);
  const Tensor input = projection_input(context, normed);
  project(context, head, logits, input, take_linear_kept(context, head.projection, normed.rows));
}

void head_forward(const Context& context, const Head& head, const Tensor& logp, const Tensor& best,
                  const Tensor& x, const Tensor& rows, const Tensor& labels) {
  for_each_chunk(context, rows.cols, [&](int64_t begin, int64_t end) {
    const Tensor normed = context.arena.take(end - begin, x.cols);
    head_hidden(context, head, normed, x, rows.col_slice(begin, end));
    const Tensor logits = context.arena.take(end - begin, context.config.vocab_size);
    head_logits(context, head, logits, normed);
    context.backend.log_probabilities(logits, labels.col_slice(begin, end), logp.col_slice(begin, end),
                                      best.absent() ? Tensor() : best.col_slice(begin, end), Tensor());
  });
}

void head_backward(const Context& context, const Head& head, const Tensor* dx, const Tensor& logp,
                   const Tensor& dlogp, const Tensor& x, const Tensor& rows, const Tensor& labels) {
  for_each_chunk(context, rows.cols, [&](int64_t begin, int64_t end) {
    chunk_backward(context, head, dx, logp.col_slice(begin, end), dlogp.col_slice(begin, end), x,
                   rows.col_slice(begin, end), labels.col_slice(begin, end));
  });
}

}  // namespace fettle
