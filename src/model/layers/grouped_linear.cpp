#include "model/layers/grouped_linear.h"

#include <algorithm>
#include <functional>

namespace fettle {
namespace {

/// One adapter's LoRA of every expert, which some may lack.
struct AdapterSlot {
  size_t adapter = 0;
  std::vector<const LoraLink*> links;  ///< by expert, null where there is none
  int64_t column = 0, width = 0;       ///< of what is projected
  const LoraLink* any = nullptr;

  bool dora() const { return any->magnitude != nullptr; }
  bool complete() const { return std::find(links.begin(), links.end(), nullptr) == links.end(); }
  bool drops(const Context& context) const { return any->dropout != 0.0F && context.dropout_step != 0; }
  Tensor columns(const Tensor& projected) const { return projected.col_slice(column, column + width); }

  std::vector<GroupMatrix> matrices(const std::function<GroupMatrix(const LoraLink&)>& matrix) const {
    std::vector<GroupMatrix> all;
    for (const LoraLink* link : links) all.push_back(link == nullptr ? GroupMatrix{} : matrix(*link));
    return all;
  }
  std::vector<Tensor> tensors(const std::function<Tensor(const LoraLink&)>& tensor) const {
    std::vector<Tensor> all;
    for (const LoraLink* link : links) all.push_back(link == nullptr ? Tensor() : tensor(*link));
    return all;
  }
};

std::vector<AdapterSlot> slots_of(const GroupedLinear& linear) {
  std::vector<AdapterSlot> slots;
  for (size_t expert = 0; expert < linear.members.size(); ++expert) {
    for (const LoraLink& link : linear.members[expert]->loras) {
      auto slot = std::find_if(slots.begin(), slots.end(), [&](const AdapterSlot& s) { return s.adapter == link.adapter; });
      if (slot == slots.end()) {
        slots.push_back({.adapter = link.adapter, .links = std::vector<const LoraLink*>(linear.members.size()), .any = &link});
        slot = slots.end() - 1;
      }
      slot->links[expert] = &link;
      slot->width = std::max(slot->width, link.a->value.rows);
    }
  }
  int64_t column = 0;
  for (AdapterSlot& slot : slots) {
    slot.column = column;
    column += slot.width;
  }
  return slots;
}

MatMul product_options(const Context& context, bool transposed, float beta) {
  return {.transpose_b = transposed,
          .beta = beta,
          .product = context.product,
          .batch_invariant = transposed && context.batch_invariant};
}

/// The weights that products read; with a slot, of the experts that it is beside.
std::vector<GroupMatrix> weights_of(const GroupedLinear& linear, const AdapterSlot* slot = nullptr) {
  std::vector<GroupMatrix> weights;
  for (size_t expert = 0; expert < linear.members.size(); ++expert) {
    const bool wanted = slot == nullptr || slot->links[expert] != nullptr;
    weights.push_back(wanted ? GroupMatrix{product_weight(*linear.members[expert]->weight)} : GroupMatrix{});
  }
  return weights;
}

void drop(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& x) {
  std::vector<uint64_t> streams;
  for (const LoraLink* link : slot.links)
    streams.push_back(link == nullptr ? 0 : (context.dropout_step << 24) + link->stream);
  context.backend.grouped_dropout(x, slot.any->dropout, context.dropout_seed, streams, linear.begin);
}

/// x, or a copy of it with the adapter's dropout applied.
Tensor dropped_rows(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& x) {
  if (!slot.drops(context)) return x;
  const Tensor copy = context.arena.take(x.rows, x.cols);
  context.backend.copy(copy, x);
  drop(context, linear, slot, copy);
  return copy;
}

void project_slot(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& x,
                  const LinearKept& kept) {
  const ArenaScope scope(context.arena);
  const auto a = slot.matrices([](const LoraLink& link) { return GroupMatrix{link.a->value}; });
  context.backend.grouped_matmul(slot.columns(kept.projected), dropped_rows(context, linear, slot, x), a, linear.begin,
                                 product_options(context, true, 0.0F));
}

/// u = W x of the slot's experts, zero for others.
void adapted_product(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& u,
                     const Tensor& x) {
  if (!slot.complete()) context.backend.fill(u, 0.0F);
  context.backend.grouped_matmul(u, x, weights_of(linear, &slot), linear.begin, product_options(context, true, 0.0F));
}

/// y += alpha * projected Bᵀ; alpha: the scale inside the weight, and the factor.
void add_b(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& y,
           const Tensor& projected, bool with_factor) {
  const auto b = slot.matrices([&](const LoraLink& link) {
    return GroupMatrix{link.b->value, with_factor ? link.factor * link.scale : link.scale};
  });
  context.backend.grouped_matmul(y, projected, b, linear.begin, product_options(context, true, 1.0F));
}

std::vector<Tensor> ratios(const AdapterSlot& slot) {
  return slot.tensors([](const LoraLink& link) { return link.ratio; });
}

void dora_slot_forward(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& y,
                       const Tensor& x, const Tensor& projected) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const Tensor u = context.arena.take(y.rows, y.cols);
  adapted_product(context, linear, slot, u, dropped_rows(context, linear, slot, x));
  backend.add(y, u, -slot.any->factor);
  add_b(context, linear, slot, u, projected, false);
  backend.grouped_multiply(u, ratios(slot), linear.begin);
  backend.add(y, u, slot.any->factor);
}

/// The gradient of the magnitudes: of each, the column sums of g ⊙ (W x + scale * B A x), over the old length.
void magnitude_backward(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& g,
                        const Tensor& u, const Tensor& projected) {
  if (!slot.any->magnitude->trainable) return;
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const auto count = static_cast<int64_t>(slot.links.size());
  const Tensor all = context.arena.take(count, g.cols);
  backend.fill(all, 0.0F);
  add_b(context, linear, slot, u, projected, false);
  backend.multiply(u, g);
  std::vector<Tensor> sums;
  for (int64_t expert = 0; expert < count; ++expert) sums.push_back(all.row_slice(expert, expert + 1));
  backend.grouped_column_sums(sums, u, linear.begin);
  for (size_t expert = 0; expert < sums.size(); ++expert) {
    const LoraLink* link = slot.links[expert];
    if (link == nullptr) continue;
    backend.multiply(sums[expert], link->inverse_norm);
    backend.add(link->magnitude->grad, sums[expert]);
  }
}

/// Gradients of A and B, dy being that of alpha * B A x; leaves dprojected for the gradient of x.
void lora_slot_backward(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, bool with_factor,
                        const Tensor& dprojected, const Tensor& dy, const Tensor& x, const Tensor& projected) {
  const ArenaScope scope(context.arena);
  Backend& backend = context.backend;
  const auto alpha = [&](const LoraLink& link) { return with_factor ? link.factor * link.scale : link.scale; };
  backend.grouped_matmul(dprojected, dy,
                         slot.matrices([&](const LoraLink& link) { return GroupMatrix{link.b->value, alpha(link)}; }),
                         linear.begin, product_options(context, false, 0.0F));
  const auto gradients = [&](Parameter* LoraLink::*part, bool scaled) {
    return slot.matrices([&](const LoraLink& link) {
      const Parameter& parameter = *(link.*part);
      return parameter.trainable ? GroupMatrix{parameter.grad, scaled ? alpha(link) : 1.0F} : GroupMatrix{};
    });
  };
  backend.grouped_matmul_gradient(gradients(&LoraLink::b, true), dy, projected, linear.begin, context.product);
  backend.grouped_matmul_gradient(gradients(&LoraLink::a, false), dprojected, dropped_rows(context, linear, slot, x),
                                  linear.begin, context.product);
}

/// Takes and returns the gradient that goes through W beside dy itself: (ratio - 1) ⊙ (factor * dy), zero for the experts
/// that the slot is not beside.
Tensor dora_slot_backward(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot,
                          const Tensor& dprojected, const Tensor& dy, const Tensor& x, const Tensor& projected) {
  Backend& backend = context.backend;
  const Tensor g = context.arena.take(dy.rows, dy.cols);
  const ArenaScope scope(context.arena);
  backend.copy(g, dy);
  backend.scale(g, slot.any->factor);
  const Tensor u = context.arena.take(dy.rows, dy.cols);
  adapted_product(context, linear, slot, u, dropped_rows(context, linear, slot, x));
  magnitude_backward(context, linear, slot, g, u, projected);
  backend.grouped_multiply(g, ratios(slot), linear.begin);
  lora_slot_backward(context, linear, slot, false, dprojected, g, x, projected);
  backend.add(g, dy, -slot.any->factor);
  if (slot.complete()) return g;
  const Tensor zeros = context.arena.take(1, g.cols);
  backend.fill(zeros, 0.0F);
  std::vector<Tensor> others;
  for (const LoraLink* link : slot.links) others.push_back(link == nullptr ? zeros : Tensor());
  backend.grouped_multiply(g, others, linear.begin);
  return g;
}

/// dx += what comes back through A, and with dropout through W of the dropped input.
void slot_input_backward(const Context& context, const GroupedLinear& linear, const AdapterSlot& slot, const Tensor& dx,
                         const Tensor& dprojected, const Tensor* through_weight) {
  Backend& backend = context.backend;
  const auto a = slot.matrices([](const LoraLink& link) { return GroupMatrix{link.a->value}; });
  if (!slot.drops(context)) {
    backend.grouped_matmul(dx, dprojected, a, linear.begin, product_options(context, false, 1.0F));
    return;
  }
  const ArenaScope scope(context.arena);
  const Tensor through = context.arena.take(dx.rows, dx.cols);
  if (!slot.complete()) backend.fill(through, 0.0F);
  backend.grouped_matmul(through, dprojected, a, linear.begin, product_options(context, false, 0.0F));
  if (through_weight != nullptr)
    backend.grouped_matmul(through, *through_weight, weights_of(linear, &slot), linear.begin,
                           product_options(context, false, 1.0F));
  drop(context, linear, slot, through);
  backend.add(dx, through);
}

}  // namespace

GroupedLinear::GroupedLinear(std::span<const Mlp> experts, Linear Mlp::*which, const Tensor& begin) : begin(begin) {
  for (const Mlp& expert : experts) members.push_back(&(expert.*which));
}

int64_t GroupedLinear::ranks() const {
  int64_t ranks = 0;
  for (const AdapterSlot& slot : slots_of(*this)) ranks += slot.width;
  return ranks;
}

LinearKept take_grouped_kept(const Context& context, const GroupedLinear& linear, int64_t rows) {
  const int64_t ranks = linear.ranks();
  return ranks == 0 ? LinearKept{} : LinearKept{context.arena.take(rows, ranks)};
}

void grouped_project(const Context& context, const GroupedLinear& linear, const Tensor& x, const LinearKept& kept) {
  for (const AdapterSlot& slot : slots_of(linear)) project_slot(context, linear, slot, x, kept);
}

void grouped_forward(const Context& context, const GroupedLinear& linear, const Tensor& y, const Tensor& x,
                     const LinearKept& kept) {
  context.backend.grouped_matmul(y, x, weights_of(linear), linear.begin, product_options(context, true, 0.0F));
  for (const AdapterSlot& slot : slots_of(linear)) {
    project_slot(context, linear, slot, x, kept);
    if (slot.dora()) {
      dora_slot_forward(context, linear, slot, y, x, slot.columns(kept.projected));
    } else {
      add_b(context, linear, slot, y, slot.columns(kept.projected), true);
    }
  }
}

void grouped_backward(const Context& context, const GroupedLinear& linear, const Tensor* dx, const Tensor& dy,
                      const Tensor& x, const LinearKept& kept, bool accumulate) {
  Backend& backend = context.backend;
  std::vector<GroupMatrix> gradients;
  for (const Linear* member : linear.members)
    gradients.push_back(member->weight->trainable ? GroupMatrix{member->weight->grad} : GroupMatrix{});
  backend.grouped_matmul_gradient(gradients, dy, x, linear.begin, context.product);

  const ArenaScope scope(context.arena);
  const std::vector<AdapterSlot> slots = slots_of(linear);
  const LinearKept dprojected = take_grouped_kept(context, linear, dy.rows);
  Tensor through = dy;          // what goes back through W
  std::vector<Tensor> dropped;  // what does so to an input that was dropped, by slot
  for (const AdapterSlot& slot : slots) {
    const Tensor projected = slot.columns(kept.projected), dpart = slot.columns(dprojected.projected);
    if (!slot.dora()) {
      lora_slot_backward(context, linear, slot, true, dpart, dy, x, projected);
      continue;
    }
    const Tensor g = dora_slot_backward(context, linear, slot, dpart, dy, x, projected);
    if (slot.drops(context)) {
      dropped.push_back(g);
    } else {
      backend.add(g, through);
      through = g;
    }
  }
  if (dx == nullptr) return;
  backend.grouped_matmul(*dx, through, weights_of(linear), linear.begin,
                         product_options(context, false, accumulate ? 1.0F : 0.0F));
  auto next_dropped = dropped.begin();
  for (const AdapterSlot& slot : slots) {
    const bool whole = slot.dora() && slot.drops(context);
    slot_input_backward(context, linear, slot, *dx, slot.columns(dprojected.projected), whole ? &*next_dropped++ : nullptr);
  }
}

}  // namespace fettle
