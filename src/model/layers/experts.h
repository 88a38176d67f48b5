#pragma once
// A mixture of experts (Shazeer et al. 2017; Jiang et al., "Mixtral of Experts", 2024): a router chooses for each token
// some of several gated MLPs, and sums what they give by its weights. Tokens are gathered expert by expert, so that each
// expert's weights are read once, and the router's choice stays in the backend's memory; the sums run in the order of the experts, so that a token's result does not depend on
// its company.
#include "model/layers/mlp.h"

namespace fettle {

struct Experts {
  const LayerConfig* config = nullptr;
  Linear router;             ///< [experts, hidden]
  std::vector<Mlp> experts;  ///< empty unless the layer has some
  bool trainable() const;
  bool below_trainable() const;  ///< anything but the experts' last projections
};

/// Rows of gate and up, and of LoRA's projections, stand expert by expert.
struct ExpertsKept {
  Tensor picks, weights, probabilities;  ///< see Backend::route
  Tensor gate, up;                       ///< [tokens * experts per token, inner]
  LinearKept gate_lora, up_lora, down_lora;  ///< see GroupedLinear::ranks
  LinearKept router_lora;
};
ExpertsKept take_experts_kept(const Context& context, const Experts& layer, int64_t rows);

/// y += experts(x), and adds to the context's tally. Without an output (recomputation) y stays as it is and only what is
/// kept is filled.
void experts_forward(const Context& context, const Experts& layer, const Tensor& y, const Tensor& x,
                     const ExpertsKept& kept, bool need_output = true);

/// Weight gradients, and unless dx is null dx = gradient of x; also of the context's router_gradient. Spoils kept.gate
/// and kept.up.
void experts_backward(const Context& context, const Experts& layer, const Tensor* dx, const Tensor& dy, const Tensor& x,
                      const ExpertsKept& kept);

}  // namespace fettle
