#pragma once
// Element types, and the block layouts of GGUF's quantised types (ggml's block structs; sizes only, no arithmetic here).
#include <cstdint>
#include <optional>
#include <string_view>

namespace fettle {

enum class DType : uint8_t { f32, f16, bf16, i32, u8, i8, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k };

/// A block holds `elements` consecutive values of a row in `bytes` bytes; 1 element for plain types.
struct BlockLayout {
  int32_t elements;
  int32_t bytes;
};
BlockLayout block_layout(DType dtype);

inline bool is_quantized(DType dtype) { return dtype >= DType::q8_0; }

/// Bytes of a row of `elements` values; `elements` must be a multiple of the block.
int64_t row_bytes(DType dtype, int64_t elements);

/// "f32", "q4_k", …; the names of cli.md.
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace fettle
