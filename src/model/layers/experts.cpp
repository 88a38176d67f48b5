#include "model/layers/experts.h"

#include <algorithm>

#include "model/layers/grouped_linear.h"

namespace fettle {
namespace {

/// Which token goes where. Rows of every array are sorted by expert, and by token within one.
struct Grouping {
  Tensor begin;   ///< i32 [1, experts + 1]
  Tensor tokens;  ///< i32 [1, rows]
  Tensor places;  ///< i32 [1, rows], of the row's pick among all picks
};

Grouping group(const Context& context, const Experts& layer, const Tensor& picks, const Tensor& counts) {
  Arena& arena = context.arena;
  const int64_t rows = picks.size();
  const Grouping grouping{arena.take(DType::i32, 1, layer.config->experts + 1), arena.take(DType::i32, 1, rows),
                          arena.take(DType::i32, 1, rows)};
  context.backend.group_picks(grouping.begin, grouping.places, grouping.tokens, counts, picks);
  return grouping;
}

/// All elements of a contiguous tensor as one column.
Tensor column(const Tensor& x) {
  FETTLE_CHECK(x.contiguous());
  return {x.data, x.dtype, x.rows * x.cols, 1};
}

/// The router's weights in the rows' order, [1, rows].
Tensor row_weights(const Context& context, const Grouping& grouping, const ExpertsKept& kept) {
  const Tensor sorted = context.arena.take(1, grouping.places.cols);
  context.backend.gather_rows(column(sorted), column(kept.weights), grouping.places);
  return sorted;
}

Tensor gather_tokens(const Context& context, const Tensor& x, const Tensor& tokens) {
  const Tensor out = context.arena.take(tokens.cols, x.cols);
  context.backend.gather_rows(out, x, tokens);
  return out;
}

/// The experts' gradients; of their rows' weights into dweights [1, rows], of the tokens into dx.
void grouped_mlp_backward(const Context& context, const Experts& layer, const Grouping& grouping, const Tensor& weights,
                          const Tensor* dx, const Tensor& dy, const Tensor& x, const ExpertsKept& kept,
                          const Tensor& dweights, bool below) {
  Backend& backend = context.backend;
  Arena& arena = context.arena;
  const auto linear = [&](Linear Mlp::*which) { return GroupedLinear(layer.experts, which, grouping.begin); };
  const Tensor given = gather_tokens(context, dy, grouping.tokens);
  const Tensor gate = widened(context, kept.gate), up = widened(context, kept.up);
  const int64_t rows = up.rows, inner = up.cols;
  const Tensor product = arena.take(rows, inner), weighted = arena.take(rows, inner);
  mlp_middle(context, *layer.config, product, gate, up);
  backend.copy(weighted, product);
  backend.scale_rows(weighted, weights);
  const Tensor dproduct = below ? arena.take(rows, inner) : Tensor();
  grouped_backward(context, linear(&Mlp::down), below ? &dproduct : nullptr, given, weighted, kept.down_lora);
  if (!below) return;
  // The weight multiplies what enters the last projection, which is linear: so its gradient needs no output.
  backend.row_dots(dweights, dproduct, product);
  backend.scale_rows(dproduct, weights);
  backend.gated_backward(gate, up, dproduct, gate, up, layer.config->activation);
  const Tensor input = gather_tokens(context, x, grouping.tokens);
  const Tensor dinput = dx != nullptr ? arena.take(input.rows, input.cols) : Tensor();
  const Tensor* to = dx != nullptr ? &dinput : nullptr;
  grouped_backward(context, linear(&Mlp::gate), to, gate, input, kept.gate_lora);
  grouped_backward(context, linear(&Mlp::up), to, up, input, kept.up_lora, true);
  if (dx == nullptr) return;
  backend.fill(*dx, 0.0F);
  backend.scatter_add_rows(*dx, dinput, grouping.tokens);
}

}  // namespace

bool Experts::below_trainable() const {
  return router.trainable() || std::any_of(experts.begin(), experts.end(), [](const Mlp& expert) {
           return expert.gate.trainable() || expert.up.trainable();
         });
}

bool Experts::trainable() const {
  return below_trainable() ||
         std::any_of(experts.begin(), experts.end(), [](const Mlp& expert) { return expert.down.trainable(); });
}

ExpertsKept take_experts_kept(const Context& context, const Experts& layer, int64_t rows) {
  Arena& arena = context.arena;
  const int64_t each = layer.config->experts_per_token, all = rows * each;
  ExpertsKept kept;
  kept.picks = arena.take(DType::i32, rows, each);
  kept.weights = arena.take(rows, each);
  kept.probabilities = arena.take(rows, layer.config->experts);
  kept.gate = arena.take(context.kept, all, layer.config->intermediate_size);
  kept.up = arena.take(context.kept, all, layer.config->intermediate_size);
  const auto take_lora = [&](Linear Mlp::*which) {
    return take_grouped_kept(context, GroupedLinear(layer.experts, which, Tensor()), all);
  };
  kept.gate_lora = take_lora(&Mlp::gate);
  kept.up_lora = take_lora(&Mlp::up);
  kept.down_lora = take_lora(&Mlp::down);
  kept.router_lora = take_linear_kept(context, layer.router, rows);
  return kept;
}

void experts_forward(const Context& context, const Experts& layer, const Tensor& y, const Tensor& x,
                     const ExpertsKept& kept, bool need_output) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const Tensor scores = context.arena.take(x.rows, layer.config->experts);
  linear_forward(context, layer.router, scores, x, kept.router_lora);
  backend.route(kept.picks, kept.weights, kept.probabilities, scores);
  const Grouping grouping = group(context, layer, kept.picks, context.tally != nullptr ? context.tally->picks : Tensor());
  if (context.tally != nullptr) {
    backend.bias_backward(context.tally->probabilities, kept.probabilities);
    context.tally->rows += kept.picks.rows;
  }
  const auto linear = [&](Linear Mlp::*which) { return GroupedLinear(layer.experts, which, grouping.begin); };
  const Tensor weights = row_weights(context, grouping, kept), input = gather_tokens(context, x, grouping.tokens);
  const Tensor gate = working(context, kept.gate), up = working(context, kept.up);
  grouped_forward(context, linear(&Mlp::gate), gate, input, kept.gate_lora);
  grouped_forward(context, linear(&Mlp::up), up, input, kept.up_lora);
  settle(context, kept.gate, gate);
  settle(context, kept.up, up);
  const GroupedLinear down = linear(&Mlp::down);
  if (!need_output && down.ranks() == 0) return;
  const Tensor product = context.arena.take(up.rows, up.cols);
  mlp_middle(context, *layer.config, product, gate, up);
  backend.scale_rows(product, weights);
  if (!need_output) return grouped_project(context, down, product, kept.down_lora);
  const Tensor out = context.arena.take(input.rows, input.cols);
  grouped_forward(context, down, out, product, kept.down_lora);
  backend.scatter_add_rows(y, out, grouping.tokens);
}

void experts_backward(const Context& context, const Experts& layer, const Tensor* dx, const Tensor& dy, const Tensor& x,
                      const ExpertsKept& kept) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const bool below = dx != nullptr || layer.below_trainable();
  const Grouping grouping = group(context, layer, kept.picks, Tensor());
  const Tensor weights = row_weights(context, grouping, kept), dsorted = context.arena.take(1, weights.cols);
  {
    const ArenaScope mlp_scope(context.arena);
    grouped_mlp_backward(context, layer, grouping, weights, dx, dy, x, kept, dsorted, below);
  }
  if (dx == nullptr && !layer.router.trainable()) return;
  const Tensor dweights = context.arena.take(kept.weights.rows, kept.weights.cols);
  backend.fill(dweights, 0.0F);
  backend.scatter_add_rows(column(dweights), column(dsorted), grouping.places);
  const Tensor dscores = context.arena.take(x.rows, layer.config->experts);
  backend.route_backward(dscores, dweights, context.router_gradient, kept.picks, kept.weights, kept.probabilities);
  linear_backward(context, layer.router, dx, dscores, x, kept.router_lora, true);
}

}  // namespace fettle
