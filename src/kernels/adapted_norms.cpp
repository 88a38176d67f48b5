// Lengths of a weight's rows or columns with a LoRA in it, for DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank
// Adaptation", 2024).
#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "kernels/host_backend.h"
#include "kernels/quant.h"

namespace fettle {

void lora_row(const Tensor& a, const Tensor& b, float scale, bool by_column, int64_t row, float* out, int64_t cols) {
  const float* left = by_column ? a.row<float>(row) : b.row<float>(row);
  std::fill_n(out, cols, 0.0F);
  if (by_column) {
    for (int64_t i = 0; i < cols; ++i)
      for (int64_t r = 0; r < a.cols; ++r) out[i] += left[r] * b.row<float>(i)[r];
  } else {
    for (int64_t r = 0; r < a.rows; ++r) {
      const float* right = a.row<float>(r);
      for (int64_t i = 0; i < cols; ++i) out[i] += left[r] * right[i];
    }
  }
  for (int64_t i = 0; i < cols; ++i) out[i] *= scale;
}

void adapted_norms_of(float* norms, const Tensor& weight, const Tensor& a, const Tensor& b, float scale, bool by_column) {
  const auto cols = static_cast<size_t>(weight.cols);
  if (!by_column) {
    parallel_for(weight.rows, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> row(cols), added(cols);
      for (int64_t i = begin; i < end; ++i) {
        read_row(weight, i, row.data());
        lora_row(a, b, scale, false, i, added.data(), weight.cols);
        double sum = 0.0;
        for (size_t j = 0; j < cols; ++j) sum += std::pow(double{row[j]} + double{added[j]}, 2);
        norms[i] = static_cast<float>(std::sqrt(sum));
      }
    });
    return;
  }
  std::vector<double> sums(cols);
  std::vector<float> row(cols), added(cols);
  for (int64_t i = 0; i < weight.rows; ++i) {
    read_row(weight, i, row.data());
    lora_row(a, b, scale, true, i, added.data(), weight.cols);
    for (size_t j = 0; j < cols; ++j) sums[j] += std::pow(double{row[j]} + double{added[j]}, 2);
  }
  for (size_t j = 0; j < cols; ++j) norms[j] = static_cast<float>(std::sqrt(sums[j]));
}

}  // namespace fettle
