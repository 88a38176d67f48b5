#pragma once
// down(act(gate(x)) * up(x)), or down(act(up(x))). The product in the middle is computed again in backward.
#include "model/layers/linear.h"

namespace fettle {

struct Mlp {
  const LayerConfig* config = nullptr;
  Linear gate, up, down;  ///< no gate unless the config says so
  bool trainable() const { return gate.trainable() || up.trainable() || down.trainable(); }
};

struct MlpKept {
  Tensor gate, up;
  LinearKept gate_lora, up_lora, down_lora;
};
MlpKept take_mlp_kept(const Context& context, const Mlp& mlp, int64_t rows);

/// act(gate) * up, or act(up), [rows, inner].
void mlp_middle(const Context& context, const LayerConfig& config, const Tensor& out, const Tensor& gate,
                const Tensor& up);

/// y += mlp(x). Without an output (recomputation) y stays as it is and only what is kept is filled.
void mlp_forward(const Context& context, const Mlp& mlp, const Tensor& y, const Tensor& x,
                 const MlpKept& kept, bool need_output = true);

/// Weight gradients, and unless dx is null dx = gradient of x (+ dx with accumulate). Spoils kept.gate and
/// kept.up.
void mlp_backward(const Context& context, const Mlp& mlp, const Tensor* dx, const Tensor& dy, const Tensor& x,
                  const MlpKept& kept, bool accumulate = false);

}  // namespace fettle
