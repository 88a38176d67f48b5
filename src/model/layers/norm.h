#pragma once
// RMSNorm (Zhang and Sennrich 2019) and LayerNorm (Ba et al. 2016). The output is cheap to compute again, so
// the backward keeps nothing but the input.
#include "model/layers/context.h"

namespace fettle {

struct Norm {
  Parameter* weight = nullptr;  ///< null: there is no such norm
  Parameter* bias = nullptr;        ///< null when there is none
  Tensor weight_value, bias_value;  ///< in f32
  bool trainable() const {
    return weight != nullptr && (weight->trainable || (bias != nullptr && bias->trainable));
  }
};

/// Mean (LayerNorm alone) and 1/deviation of each row, [1, T]. The norm of heads is an RMSNorm in every model.
struct NormStats {
  Tensor mean, rstd;
};
NormStats take_norm_stats(const Context& context, int64_t rows);

/// out = norm(x).
void norm_forward(const Context& context, const Norm& norm, const Tensor& out, const Tensor& x,
                  const NormStats& stats);

/// dx += …, and the gradients of weight and bias. stats as norm_forward left them for this x.
void norm_backward(const Context& context, const Norm& norm, const Tensor& dx, const Tensor& dy,
                   const Tensor& x, const NormStats& stats);

}  // namespace fettle
