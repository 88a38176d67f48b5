#pragma once
// The same linear layer of every expert, over rows that stand expert by expert: linear.h for all of them at once, with LoRA
// and DoRA, so that no count of rows has to come to the host. There are no biases, neither of the weights nor of B.
#include "model/layers/mlp.h"

namespace fettle {

struct GroupedLinear {
  std::vector<const Linear*> members;  ///< by expert
  Tensor begin;                        ///< i32 [1, experts + 1]: the rows of expert e are [begin[e], begin[e+1])

  /// `which`: &Mlp::gate, &Mlp::up or &Mlp::down.
  GroupedLinear(std::span<const Mlp> experts, Linear Mlp::*which, const Tensor& begin);
  int64_t out() const { return members[0]->out(); }
  int64_t ranks() const;  ///< columns of what LinearKept holds: of each adapter those of the expert with most
};
LinearKept take_grouped_kept(const Context& context, const GroupedLinear& linear, int64_t rows);

/// y = x Wᵀ of each row's expert, and LoRA.
void grouped_forward(const Context& context, const GroupedLinear& linear, const Tensor& y, const Tensor& x,
                     const LinearKept& kept);

/// Fills `kept` alone, as grouped_forward does.
void grouped_project(const Context& context, const GroupedLinear& linear, const Tensor& x, const LinearKept& kept);

/// Gradients of what is trainable, then, unless dx is null, dx = dy W + … (+ dx with accumulate).
void grouped_backward(const Context& context, const GroupedLinear& linear, const Tensor* dx, const Tensor& dy,
                      const Tensor& x, const LinearKept& kept, bool accumulate = false);

}  // namespace fettle
