#pragma once
// Products with more rows than few_rows.h is for and too few to be worth unpacking the weights to memory: a
// tile of weights is unpacked into the first caches and multiplied with all rows before the next.
#include "tensor/tensor.h"

namespace fettle::cpu {

constexpr int64_t most_narrow_rows = 96;

/// Floats that pack_rows writes for a.
int64_t packed_rows_size(const Tensor& a);

/// Columns [begin, end) of a (f32, at most most_narrow_rows rows) to the order that narrow_product reads.
void pack_rows(const Tensor& a, float* packed, int64_t begin, int64_t end);

/// c[:, begin…end) = alpha * a bᵀ + beta * c for rows [begin, end) of b, of any type that holds weights;
/// `packed` is a, packed whole.
void narrow_product(const Tensor& c, const float* packed, const Tensor& b, float alpha, float beta,
                    int64_t begin, int64_t end);

}  // namespace fettle::cpu
