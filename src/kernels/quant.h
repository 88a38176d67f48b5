#pragma once
// Rows of weights in and out of their stored types: f16, bf16 and the block layouts of GGUF. Plain portable
// loops whose bits are the contract: fast kernels are tested against these, and files are written with them.
//
// Bit layouts and rounding are ggml's (its reference quantisers, without importance weights), so bytes equal
// those that llama.cpp writes from the same f32 values.
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace fettle {

/// out[0, n) = the values of a stored row. `n` is a multiple of the block; `row` may be unaligned; every
/// dtype but the plain integers. Thread-safe.
void dequantize_row(DType dtype, const void* row, float* out, int64_t n);

/// out[0, tensor.cols) = row `row` of a matrix of any such type.
inline void read_row(const Tensor& tensor, int64_t row, float* out) {
  dequantize_row(tensor.dtype, tensor.row_slice(row, row + 1).data, out, tensor.cols);
}

/// Whether quantize_row knows `dtype`: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k.
bool can_quantize(DType dtype);

/// row = values[0, n) in the type `dtype`. `n` is a multiple of the block; `row` may be unaligned. Values
/// that are not finite give some finite block, never undefined behaviour. Thread-safe.
void quantize_row(DType dtype, const float* values, void* row, int64_t n);

}  // namespace fettle
