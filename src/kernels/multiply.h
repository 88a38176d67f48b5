#pragma once
// x *= factors, in host memory. Apart from Backend: only adapters with magnitudes need it.
#include "tensor/tensor.h"

namespace fettle {

/// f32; factors has x's shape, or is one row [1, C] for every row of x. Nothing happens to a tensor without memory, so
/// that a measuring run may pass.
void multiply(const Tensor& x, const Tensor& factors);

}  // namespace fettle
