#pragma once
// Rows of weights in and out of their stored types: f16, bf16 and the block layouts of GGUF. Plain portable
// loops whose bits are the contract: fast kernels are tested against these, and files are written with them.
//
// Bit layouts and rounding are ggml's (its reference quantisers, without importance weights), so bytes equal
// those that llama.cpp writes from the same f32 values.
#include <bit>
#include <cstdint>

#include "tensor/dtype.h"

namespace fettle {

/// IEEE half to single; exact, subnormals and infinities included.
inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t rest = static_cast<uint32_t>(half & 0x7FFFU) << 13;
  // The product moves the exponent's bias from 15 to 127 and normalises subnormals at once.
  const float magnitude = std::bit_cast<float>(rest) * 0x1.0p+112F;
  const uint32_t special = (half & 0x7C00U) == 0x7C00U ? 0x7F800000U : 0U;
  return std::bit_cast<float>(sign | special | std::bit_cast<uint32_t>(magnitude));
}

/// Single to IEEE half, to nearest even; too large becomes infinity, NaN becomes the quiet NaN.
uint16_t f32_to_f16(float value);

inline float bf16_to_f32(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

/// Single to bfloat16, to nearest even; NaN stays a (quiet) NaN.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// out[0, n) = the values of a stored row. `n` is a multiple of the block; `row` may be unaligned; every
/// dtype but the plain integers. Thread-safe.
void dequantize_row(DType dtype, const void* row, float* out, int64_t n);

/// Whether quantize_row knows `dtype`: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k.
bool can_quantize(DType dtype);

/// row = values[0, n) in the type `dtype`. `n` is a multiple of the block; `row` may be unaligned. Values
/// that are not finite give some finite block, never undefined behaviour. Thread-safe.
void quantize_row(DType dtype, const float* values, void* row, int64_t n);

}  // namespace fettle
