#include "model/layers/mlp.h"

namespace fettle {

void mlp_middle(const Context& context, const LayerConfig& config, const Tensor& out, const Tensor& gate,
                const Tensor& up) {
  if (config.gated_mlp) {
    context.backend.gated(out, gate, up, config.activation);
  } else {
    context.backend.activation(out, up, config.activation);
  }
}

MlpKept take_mlp_kept(const Context& context, const Mlp& mlp, int64_t rows) {
  MlpKept kept;
  if (mlp.config->gated_mlp) {
    kept.gate = context.arena.take(context.kept, rows, mlp.gate.out());
    kept.gate_lora = take_linear_kept(context, mlp.gate, rows);
  }
  kept.up = context.arena.take(context.kept, rows, mlp.up.out());
  kept.up_lora = take_linear_kept(context, mlp.up, rows);
  kept.down_lora = take_linear_kept(context, mlp.down, rows);
  return kept;
}

void mlp_forward(const Context& context, const Mlp& mlp, const Tensor& y, const Tensor& x,
                 const MlpKept& kept, bool need_output) {
  const ArenaScope scope(context.arena);
  const Tensor gate = working(context, kept.gate), up = working(context, kept.up);
  if (mlp.config->gated_mlp) {
    linear_forward(context, mlp.gate, gate, x, kept.gate_lora);
    settle(context, kept.gate, gate);
  }
  linear_forward(context, mlp.up, up, x, kept.up_lora);
  settle(context, kept.up, up);
  if (!need_output && mlp.down.loras.empty()) return;
  const Tensor product = context.arena.take(x.rows, mlp.up.out());
  mlp_middle(context, *mlp.config, product, gate, up);
  if (need_output) {
    linear_forward(context, mlp.down, y, product, kept.down_lora, true);
  } else {
    lora_project(context, mlp.down, product, kept.down_lora);
  }
}

void mlp_backward(const Context& context, const Mlp& mlp, const Tensor* dx, const Tensor& dy, const Tensor& x,
                  const MlpKept& kept, bool accumulate) {
  const ArenaScope scope(context.arena);
  const bool below = dx != nullptr || mlp.up.trainable() || (mlp.config->gated_mlp && mlp.gate.trainable());
  const Tensor gate = widened(context, kept.gate), up = widened(context, kept.up);
  const Tensor product = context.arena.take(dy.rows, mlp.up.out());
  mlp_middle(context, *mlp.config, product, gate, up);
  linear_backward(context, mlp.down, below ? &product : nullptr, dy, product, kept.down_lora);
  if (!below) return;
  const Tensor& dproduct = product;
  if (mlp.config->gated_mlp) {
    context.backend.gated_backward(gate, up, dproduct, gate, up,
                                   mlp.config->activation);
    linear_backward(context, mlp.gate, dx, gate, x, kept.gate_lora, accumulate);
    linear_backward(context, mlp.up, dx, up, x, kept.up_lora, true);
  } else {
    context.backend.activation_backward(dproduct, dproduct, up, mlp.config->activation);
    linear_backward(context, mlp.up, dx, dproduct, x, kept.up_lora, accumulate);
  }
}

}  // namespace fettle
