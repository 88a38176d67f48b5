#pragma once
// Elementwise work over tensors of one shape: as one long run where they have no gaps, else row by row.
#include <algorithm>
#include <initializer_list>

#include "base/threads.h"
#include "kernels/cpu/cpu_backend.h"

namespace fettle::cpu {

/// Where (row, column) of a f32 tensor lies.
inline float* at(const Tensor& x, int64_t row, int64_t col) {
  return x.as<float>() + row * x.stride + col;
}

/// Calls body(row, column, length) for runs that cover the shape, in parallel when that pays.
template <typename F>
void for_runs(std::initializer_list<const Tensor*> tensors, F body) {
  const Tensor& first = **tensors.begin();
  bool flat = true;
  for (const Tensor* x : tensors) {
    FETTLE_CHECK(x->rows == first.rows && x->cols == first.cols);
    flat = flat && x->contiguous();
  }
  if (!flat) {
    for_row_pieces(first.rows, first.cols, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) body(row, int64_t{0}, first.cols);
    });
    return;
  }
  constexpr int64_t line = 64, lines_worth_a_thread = 512;
  parallel_for((first.size() + line - 1) / line, lines_worth_a_thread, [&](int64_t begin, int64_t end) {
    body(int64_t{0}, begin * line, std::min(first.size(), end * line) - begin * line);
  });
}

}  // namespace fettle::cpu
