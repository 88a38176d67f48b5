#pragma once
// Products straight on the stored weights, each row of c by itself: one order of summation whatever stands beside it.
#include "tensor/tensor.h"

namespace fettle::cpu {

/// Up to here unpacking all weights to memory for oneDNN costs more than its better use of the caches saves.
constexpr int64_t most_rows_in_place = 96;

/// Weight rows that a tile takes at most; pieces of this many waste nothing.
constexpr int64_t row_product_unit = 8;

/// c[:, begin…end) = alpha * a bᵀ + beta * c for rows [begin, end) of b; a f32, b of any type that holds
/// weights. A value of c has the same bits for any number of rows and any [begin, end).
void row_product(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta, int64_t begin,
                 int64_t end);

}  // namespace fettle::cpu
