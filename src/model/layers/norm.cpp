#include "model/layers/norm.h"

namespace fettle {

NormStats take_norm_stats(const Context& context, int64_t rows) {
  NormStats stats;
  if (context.config.norm == NormKind::layer) stats.mean = context.arena.take(1, rows);
  stats.rstd = context.arena.take(1, rows);
  return stats;
}

void norm_forward(const Context& context, const Norm& norm, const Tensor& out, const Tensor& x,
                  const NormStats& stats) {
  const ModelConfig& config = context.config;
  if (config.norm == NormKind::rms) {
    context.backend.rms_norm(out, x, norm.weight_value, config.norm_eps, config.norm_offset, stats.rstd);
  } else {
    context.backend.layer_norm(out, x, norm.weight_value, norm.bias_value, config.norm_eps, stats.mean,
                               stats.rstd);
  }
}

void norm_backward(const Context& context, const Norm& norm, const Tensor& dx, const Tensor& dy,
                   const Tensor& x, const NormStats& stats) {
  const Tensor dweight = norm.weight->trainable ? norm.weight->grad : Tensor();
  if (context.config.norm == NormKind::rms) {
    context.backend.rms_norm_backward(dx, dweight, dy, x, norm.weight_value, context.config.norm_offset,
                                      stats.rstd);
    return;
  }
  const Tensor dbias = norm.bias != nullptr && norm.bias->trainable ? norm.bias->grad : Tensor();
  context.backend.layer_norm_backward(dx, dweight, dbias, dy, x, norm.weight_value, stats.mean, stats.rstd);
}

}  // namespace fettle
