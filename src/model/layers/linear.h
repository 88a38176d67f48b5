#pragma once
// y = x Wᵀ + b, and LoRA beside it (lora.h). W may be frozen and quantised; beside DoRA it is frozen.
#include <vector>

#include "model/layers/lora.h"

namespace fettle {

struct Linear {
  Parameter* weight = nullptr;  ///< [out, in]; null: there is no such module
  Parameter* bias = nullptr;    ///< [1, out] or null
  Tensor bias_value;            ///< the bias in f32
  std::vector<LoraLink> loras;

  int64_t in() const { return weight->value.cols; }
  int64_t out() const { return weight->value.rows; }
  bool trainable() const;
  int64_t ranks() const;  ///< of all LoRAs together
};

/// (dropped x) Aᵀ of every LoRA, [T, rank each].
struct LinearKept {
  Tensor projected;
};
LinearKept take_linear_kept(const Context& context, const Linear& linear, int64_t rows);

/// y = x Wᵀ + b (+ y with accumulate). x [T, in] f32, y [T, out] f32.
void linear_forward(const Context& context, const Linear& linear, const Tensor& y, const Tensor& x,
                    const LinearKept& kept, bool accumulate = false);

/// Fills `kept` alone, as linear_forward does.
void lora_project(const Context& context, const Linear& linear, const Tensor& x, const LinearKept& kept);

/// Gradients of what is trainable, then, unless dx is null, dx = dy W + … (+ dx with accumulate). Without
/// accumulate dx may be x's memory.
void linear_backward(const Context& context, const Linear& linear, const Tensor* dx, const Tensor& dy,
                     const Tensor& x, const LinearKept& kept, bool accumulate = false);

/// The tensor that products read: the rounded copy where there is one.
inline const Tensor& product_weight(const Parameter& weight) {
  return weight.bf16.absent() ? weight.value : weight.bf16;
}

}  // namespace fettle
