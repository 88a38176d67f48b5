#include "kernels/multiply.h"

#include "base/threads.h"

namespace fettle {

void multiply(const Tensor& x, const Tensor& factors) {
  FETTLE_CHECK(factors.cols == x.cols && (factors.rows == x.rows || factors.rows == 1));
  if (x.empty() || factors.empty()) return;
  const int64_t grain = std::max<int64_t>(1, 65536 / std::max<int64_t>(x.cols, 1));
  parallel_for(x.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* to = x.row<float>(row);
      const float* by = factors.row<float>(factors.rows == 1 ? 0 : row);
      for (int64_t col = 0; col < x.cols; ++col) to[col] *= by[col];
    }
  });
}

}  // namespace fettle
