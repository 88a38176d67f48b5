#pragma once
// Products with few rows, straight on the stored weights: reading them is all the time there is.
#include "tensor/tensor.h"

namespace fettle::cpu {

constexpr int64_t most_few_rows = 4;

/// Of every whole 32 values of each row of a (f32) one number that few_rows_product needs: [a.rows, a.cols/32].
void sum_blocks(const Tensor& a, float* sums);

/// c[:, begin…end) = alpha * a bᵀ + beta * c for rows [begin, end) of b; a f32 with 1 to most_few_rows rows;
/// b of any type that holds weights; block_sums from sum_blocks(a), read when b is quantised.
void few_rows_product(const Tensor& c, const Tensor& a, const float* block_sums, const Tensor& b, float alpha,
                      float beta, int64_t begin, int64_t end);

/// Rows [begin, end) of src, of any type that holds weights, as f32 or bf16 into dst with `cols` values a
/// row.
void unpack_rows(const Tensor& src, void* dst, bool bf16, int64_t begin, int64_t end);

}  // namespace fettle::cpu
