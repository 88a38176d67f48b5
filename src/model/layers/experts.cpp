#include "model/layers/experts.h"

#include <algorithm>

namespace fettle {
namespace {

/// Which token goes where. Rows of every array are sorted by expert, and by token within one.
struct Plan {
  std::vector<int64_t> begin;  ///< [experts + 1]
  Tensor tokens;               ///< i32 [1, rows]
  Tensor places;               ///< i32 [1, rows], of the row's pick among all picks
};

Tensor upload_indices(const Context& context, const std::vector<int32_t>& values) {
  const Tensor tensor = context.arena.take(DType::i32, 1, static_cast<int64_t>(values.size()));
  context.backend.copy_from_host(tensor, values.data());
  return tensor;
}

Plan make_plan(const Context& context, const Experts& layer, const Tensor& picks) {
  const auto experts = static_cast<size_t>(layer.config->experts), each = static_cast<size_t>(picks.cols);
  std::vector<int32_t> chosen(static_cast<size_t>(picks.rows) * each);
  // What a run that only measures finds: as many rows for one expert as there can be.
  for (size_t i = 0; i < chosen.size(); ++i) chosen[i] = static_cast<int32_t>(i % each);
  context.backend.copy_to_host(chosen.data(), picks);
  Plan plan;
  plan.begin.assign(experts + 1, 0);
  for (const int32_t expert : chosen) ++plan.begin[static_cast<size_t>(expert) + 1];
  for (size_t e = 0; e < experts; ++e) plan.begin[e + 1] += plan.begin[e];
  std::vector<int64_t> next(plan.begin.begin(), plan.begin.end() - 1);
  std::vector<int32_t> tokens(chosen.size()), places(chosen.size());
  for (size_t i = 0; i < chosen.size(); ++i) {
    const auto row = static_cast<size_t>(next[static_cast<size_t>(chosen[i])]++);
    tokens[row] = static_cast<int32_t>(i / each);
    places[row] = static_cast<int32_t>(i);
  }
  plan.tokens = upload_indices(context, tokens);
  plan.places = upload_indices(context, places);
  return plan;
}

/// All elements of a contiguous tensor as one column.
Tensor column(const Tensor& x) {
  FETTLE_CHECK(x.stride == x.cols || x.rows <= 1);
  return {x.data, x.dtype, x.rows * x.cols, 1};
}

/// The router's weights in the rows' order, [1, rows].
Tensor row_weights(const Context& context, const Plan& plan, const ExpertsKept& kept) {
  const Tensor sorted = context.arena.take(1, plan.places.cols);
  context.backend.gather_rows(column(sorted), column(kept.weights), plan.places);
  return sorted;
}

Tensor gather_tokens(const Context& context, const Tensor& x, const Tensor& tokens) {
  const Tensor out = context.arena.take(tokens.cols, x.cols);
  context.backend.gather_rows(out, x, tokens);
  return out;
}

/// One expert's rows of what is kept.
struct Rows {
  Tensor tokens, weights, gate, up;
  LinearKept gate_lora, up_lora, down_lora;
};

Rows rows_of_expert(const Plan& plan, const Tensor& weights, const ExpertsKept& kept, const Mlp& expert, size_t index) {
  const int64_t begin = plan.begin[index], end = plan.begin[index + 1];
  const auto lora = [&](const Tensor& all, const Linear& linear) {
    return linear.ranks() == 0 ? LinearKept{} : LinearKept{cols_of(rows_of(all, begin, end), 0, linear.ranks())};
  };
  return {cols_of(plan.tokens, begin, end),       cols_of(weights, begin, end),
          rows_of(kept.gate, begin, end),         rows_of(kept.up, begin, end),
          lora(kept.gate_lora, expert.gate),      lora(kept.up_lora, expert.up),
          lora(kept.down_lora, expert.down)};
}

/// Calls body(expert, its rows) for every expert that has any, each in a scope of the arena.
template <typename Body>
void for_each_expert(const Context& context, const Experts& layer, const Plan& plan, const Tensor& weights,
                     const ExpertsKept& kept, Body body) {
  for (size_t index = 0; index < layer.experts.size(); ++index) {
    if (plan.begin[index] == plan.begin[index + 1]) continue;
    const ArenaScope scope(context.arena);
    const Mlp& expert = layer.experts[index];
    body(expert, rows_of_expert(plan, weights, kept, expert, index));
  }
}

void count(const Context& context, const Plan& plan, const ExpertsKept& kept) {
  RouterTally& tally = *context.tally;
  context.backend.bias_backward(tally.probabilities, kept.probabilities);
  for (size_t e = 0; e < tally.picks.size(); ++e) tally.picks[e] += plan.begin[e + 1] - plan.begin[e];
  tally.rows += kept.picks.rows;
}

/// The gradients of one expert; of its rows' weights into dweights, of its tokens into dx.
void expert_backward(const Context& context, const Mlp& expert, const Rows& rows, const Tensor* dx, const Tensor& dy,
                     const Tensor& x, const Tensor& dweights, bool below) {
  Backend& backend = context.backend;
  Arena& arena = context.arena;
  const Tensor given = gather_tokens(context, dy, rows.tokens);
  const Tensor product = arena.take(rows.up.rows, rows.up.cols), weighted = arena.take(rows.up.rows, rows.up.cols);
  mlp_middle(context, *expert.config, product, rows.gate, rows.up);
  backend.copy(weighted, product);
  backend.scale_rows(weighted, rows.weights);
  const Tensor dproduct = below ? arena.take(rows.up.rows, rows.up.cols) : Tensor();
  linear_backward(context, expert.down, below ? &dproduct : nullptr, given, weighted, rows.down_lora);
  if (!below) return;
  // The weight multiplies what enters the last projection, which is linear: so its gradient needs no output.
  backend.row_dots(dweights, dproduct, product);
  backend.scale_rows(dproduct, rows.weights);
  backend.gated_backward(rows.gate, rows.up, dproduct, rows.gate, rows.up, expert.config->activation);
  const Tensor input = gather_tokens(context, x, rows.tokens);
  const Tensor dinput = dx != nullptr ? arena.take(input.rows, input.cols) : Tensor();
  const Tensor* to = dx != nullptr ? &dinput : nullptr;
  linear_backward(context, expert.gate, to, rows.gate, input, rows.gate_lora);
  linear_backward(context, expert.up, to, rows.up, input, rows.up_lora, true);
  if (dx != nullptr) backend.scatter_add_rows(*dx, dinput, rows.tokens);
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
  kept.gate = arena.take(all, layer.config->intermediate_size);
  kept.up = arena.take(all, layer.config->intermediate_size);
  const auto take_lora = [&](Linear Mlp::*linear) {
    int64_t ranks = 0;
    for (const Mlp& expert : layer.experts) ranks = std::max(ranks, (expert.*linear).ranks());
    return ranks == 0 ? Tensor() : arena.take(all, ranks);
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
  const Plan plan = make_plan(context, layer, kept.picks);
  const Tensor weights = row_weights(context, plan, kept);
  if (context.tally != nullptr) count(context, plan, kept);
  for_each_expert(context, layer, plan, weights, kept, [&](const Mlp& expert, const Rows& rows) {
    const Tensor input = gather_tokens(context, x, rows.tokens);
    linear_forward(context, expert.gate, rows.gate, input, rows.gate_lora);
    linear_forward(context, expert.up, rows.up, input, rows.up_lora);
    if (!need_output && expert.down.loras.empty()) return;
    const Tensor product = context.arena.take(rows.up.rows, rows.up.cols);
    mlp_middle(context, *expert.config, product, rows.gate, rows.up);
    backend.scale_rows(product, rows.weights);
    if (!need_output) return lora_project(context, expert.down, product, rows.down_lora);
    const Tensor out = context.arena.take(input.rows, input.cols);
    linear_forward(context, expert.down, out, product, rows.down_lora);
    backend.scatter_add_rows(y, out, rows.tokens);
  });
}

void experts_backward(const Context& context, const Experts& layer, const Tensor* dx, const Tensor& dy, const Tensor& x,
                      const ExpertsKept& kept) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const bool below = dx != nullptr || layer.below_trainable();
  const Plan plan = make_plan(context, layer, kept.picks);
  const Tensor weights = row_weights(context, plan, kept), dsorted = context.arena.take(1, weights.cols);
  if (dx != nullptr) backend.fill(*dx, 0.0F);
  for_each_expert(context, layer, plan, weights, kept, [&](const Mlp& expert, const Rows& rows) {
    const auto index = static_cast<size_t>(&expert - layer.experts.data());
    const Tensor dweights = cols_of(dsorted, plan.begin[index], plan.begin[index + 1]);
    expert_backward(context, expert, rows, dx, dy, x, dweights, below);
  });
  if (dx == nullptr && !layer.router.trainable()) return;
  const Tensor dweights = context.arena.take(kept.weights.rows, kept.weights.cols);
  backend.fill(dweights, 0.0F);
  backend.scatter_add_rows(column(dweights), column(dsorted), plan.places);
  const Tensor dscores = context.arena.take(x.rows, layer.config->experts);
  backend.route_backward(dscores, dweights, context.router_gradient, kept.picks, kept.weights, kept.probabilities);
  linear_backward(context, layer.router, dx, dscores, x, kept.router_lora, true);
}

}  // namespace fettle
