#pragma once
#include "tensor/tensor.h"

namespace fettle::cpu {

/// Rows [begin, end) of src, of any type that holds weights, as f32 or bf16 into dst with `cols` values a
/// row.
void unpack_rows(const Tensor& src, void* dst, bool bf16, int64_t begin, int64_t end);

}  // namespace fettle::cpu
