#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

void rms_norm_rows(const Tensor& out, const Tensor& x, const float* weight, float eps, float offset,
                   float* rstd, int64_t begin, int64_t end) {
  const int64_t n = x.cols;
  for (int64_t i = begin; i < end; ++i) {
    const float* in = x.row<float>(i);
    Vec squares = zero();
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec v = load(in + j, n - j);
      squares = hn::MulAdd(v, v, squares);
    }
    const auto r =
        static_cast<float>(1.0 / std::sqrt(wide_sum(squares) / static_cast<double>(n) + double{eps}));
    if (rstd != nullptr) rstd[i] = r;
    float* to = out.row<float>(i);
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec w = hn::Add(load(weight + j, n - j), set(offset));
      store(hn::Mul(hn::Mul(load(in + j, n - j), set(r)), w), to + j, n - j);
    }
  }
}

/// dweight: this piece's own sums (overwritten), or null.
void rms_norm_backward_rows(const Tensor& dx, float* dweight, const Tensor& dy, const Tensor& x,
                            const float* weight, float offset, const float* rstd, int64_t begin,
                            int64_t end) {
  const int64_t n = x.cols;
  if (dweight != nullptr) std::memset(dweight, 0, static_cast<size_t>(n) * sizeof(float));
  for (int64_t i = begin; i < end; ++i) {
    const float *in = x.row<float>(i), *d = dy.row<float>(i);
    float* to = dx.row<float>(i);
    const Vec r = set(rstd[i]);
    Vec projection = zero();
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec scaled = hn::Mul(load(d + j, n - j), hn::Mul(load(in + j, n - j), r));
      projection = hn::MulAdd(scaled, hn::Add(load(weight + j, n - j), set(offset)), projection);
      if (dweight != nullptr) store(hn::Add(load(dweight + j, n - j), scaled), dweight + j, n - j);
    }
    const auto mean = static_cast<float>(wide_sum(projection) / static_cast<double>(n));
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec g = hn::Mul(load(d + j, n - j), hn::Add(load(weight + j, n - j), set(offset)));
      const Vec normal = hn::Mul(load(in + j, n - j), r);
      store(hn::MulAdd(r, hn::NegMulAdd(normal, set(mean), g), load(to + j, n - j)), to + j, n - j);
    }
  }
}

void layer_norm_rows(const Tensor& out, const Tensor& x, const float* weight, const float* bias, float eps,
                     float* mean, float* rstd, int64_t begin, int64_t end) {
  const int64_t n = x.cols;
  for (int64_t i = begin; i < end; ++i) {
    const float* in = x.row<float>(i);
    Vec sum = zero(), squares = zero();
    for (int64_t j = 0; j < n; j += lanes()) sum = hn::Add(sum, load(in + j, n - j));
    const auto mu = static_cast<float>(wide_sum(sum) / static_cast<double>(n));
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec inside = hn::BitCast(df, hn::VecFromMask(df, hn::FirstN(df, static_cast<size_t>(n - j))));
      const Vec v = hn::And(inside, hn::Sub(load(in + j, n - j), set(mu)));
      squares = hn::MulAdd(v, v, squares);
    }
    const auto r =
        static_cast<float>(1.0 / std::sqrt(wide_sum(squares) / static_cast<double>(n) + double{eps}));
    if (mean != nullptr) mean[i] = mu;
    if (rstd != nullptr) rstd[i] = r;
    float* to = out.row<float>(i);
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec normal = hn::Mul(hn::Sub(load(in + j, n - j), set(mu)), set(r));
      const Vec shift = bias != nullptr ? load(bias + j, n - j) : zero();
      store(hn::MulAdd(normal, load(weight + j, n - j), shift), to + j, n - j);
    }
  }
}

/// dweight, dbias: this piece's own sums (overwritten), or null.
void layer_norm_backward_rows(const Tensor& dx, float* dweight, float* dbias, const Tensor& dy,
                              const Tensor& x, const float* weight, const float* mean, const float* rstd,
                              int64_t begin, int64_t end) {
  const int64_t n = x.cols;
  if (dweight != nullptr) std::memset(dweight, 0, static_cast<size_t>(n) * sizeof(float));
  if (dbias != nullptr) std::memset(dbias, 0, static_cast<size_t>(n) * sizeof(float));
  for (int64_t i = begin; i < end; ++i) {
    const float *in = x.row<float>(i), *dy_row = dy.row<float>(i);
    float* to = dx.row<float>(i);
    const Vec mu = set(mean[i]), r = set(rstd[i]);
    Vec sum = zero(), projection = zero();
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec d = load(dy_row + j, n - j), g = hn::Mul(d, load(weight + j, n - j));
      const Vec normal = hn::Mul(hn::Sub(load(in + j, n - j), mu), r);
      sum = hn::Add(sum, g);
      projection = hn::MulAdd(g, normal, projection);
      if (dweight != nullptr) store(hn::MulAdd(d, normal, load(dweight + j, n - j)), dweight + j, n - j);
      if (dbias != nullptr) store(hn::Add(load(dbias + j, n - j), d), dbias + j, n - j);
    }
    const Vec mean_g = set(static_cast<float>(wide_sum(sum) / static_cast<double>(n)));
    const Vec mean_p = set(static_cast<float>(wide_sum(projection) / static_cast<double>(n)));
    for (int64_t j = 0; j < n; j += lanes()) {
      const Vec g = hn::Mul(load(dy_row + j, n - j), load(weight + j, n - j));
      const Vec normal = hn::Mul(hn::Sub(load(in + j, n - j), mu), r);
      const Vec change = hn::NegMulAdd(normal, mean_p, hn::Sub(g, mean_g));
      store(hn::MulAdd(r, change, load(to + j, n - j)), to + j, n - j);
    }
  }
}

/// to[j] += sum of rows of `from` in order, columns [begin, end).
void add_column_sums(float* to, const float* from, int64_t rows, int64_t stride, int64_t begin, int64_t end) {
  for (int64_t j = begin; j < end; j += lanes()) {
    Vec sum = zero();
    for (int64_t i = 0; i < rows; ++i) sum = hn::Add(sum, load(from + i * stride + j, end - j));
    store(hn::Add(load(to + j, end - j), sum), to + j, end - j);
  }
}

void sum_rows(float* to, const Tensor& x, int64_t begin, int64_t end) {
  std::fill_n(to, x.cols, 0.0F);
  for (int64_t i = begin; i < end; ++i) {
    const float* in = x.row<float>(i);
    for (int64_t j = 0; j < x.cols; j += lanes()) {
      store(hn::Add(load(to + j, x.cols - j), load(in + j, x.cols - j)), to + j, x.cols - j);
    }
  }
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(rms_norm_rows);
HWY_EXPORT(rms_norm_backward_rows);
HWY_EXPORT(layer_norm_rows);
HWY_EXPORT(layer_norm_backward_rows);
HWY_EXPORT(add_column_sums);
HWY_EXPORT(sum_rows);

namespace {
/// Sums over rows are taken in pieces of this many rows, whatever the number of threads, and added in order.
constexpr int64_t piece_rows = 32;
int64_t piece_count(int64_t rows) {
  return (rows + piece_rows - 1) / piece_rows;
}

/// Calls body(piece, begin, end) for every piece of rows.
void for_pieces(const Tensor& x, const std::function<void(int64_t, int64_t, int64_t)>& body) {
  for_row_pieces(piece_count(x.rows), x.cols * piece_rows, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      body(piece, piece * piece_rows, std::min(x.rows, (piece + 1) * piece_rows));
    }
  });
}
}  // namespace

void CpuBackend::rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight, float eps, float offset,
                          const Tensor& rstd) {
  for_row_pieces(x.rows, x.cols, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(rms_norm_rows)
    (out, x, weight.as<float>(), eps, offset, rstd.absent() ? nullptr : rstd.as<float>(), begin, end);
  });
}

void CpuBackend::rms_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dy, const Tensor& x,
                                   const Tensor& weight, float offset, const Tensor& rstd) {
  float* sums =
      dweight.absent() ? nullptr : workspace_.get<float>(Workspace::partial, piece_count(x.rows) * x.cols);
  for_pieces(x, [&](int64_t piece, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(rms_norm_backward_rows)
    (dx, sums == nullptr ? nullptr : sums + piece * x.cols, dy, x, weight.as<float>(), offset,
     rstd.as<float>(), begin, end);
  });
  if (sums != nullptr) {
    HWY_DYNAMIC_DISPATCH(add_column_sums)(dweight.as<float>(), sums, piece_count(x.rows), x.cols, 0, x.cols);
  }
}

void CpuBackend::layer_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                            float eps, const Tensor& mean, const Tensor& rstd) {
  for_row_pieces(x.rows, x.cols, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(layer_norm_rows)
    (out, x, weight.as<float>(), bias.absent() ? nullptr : bias.as<float>(), eps,
     mean.absent() ? nullptr : mean.as<float>(), rstd.absent() ? nullptr : rstd.as<float>(), begin, end);
  });
}

void CpuBackend::layer_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dbias,
                                     const Tensor& dy, const Tensor& x, const Tensor& weight,
                                     const Tensor& mean, const Tensor& rstd) {
  const int64_t pieces = piece_count(x.rows);
  float* sums = workspace_.get<float>(Workspace::partial, 2 * pieces * x.cols);
  float* dw = dweight.absent() ? nullptr : sums;
  float* db = dbias.absent() ? nullptr : sums + pieces * x.cols;
  for_pieces(x, [&](int64_t piece, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(layer_norm_backward_rows)
    (dx, dw == nullptr ? nullptr : dw + piece * x.cols, db == nullptr ? nullptr : db + piece * x.cols, dy, x,
     weight.as<float>(), mean.as<float>(), rstd.as<float>(), begin, end);
  });
  if (dw != nullptr)
    HWY_DYNAMIC_DISPATCH(add_column_sums)(dweight.as<float>(), dw, pieces, x.cols, 0, x.cols);
  if (db != nullptr) HWY_DYNAMIC_DISPATCH(add_column_sums)(dbias.as<float>(), db, pieces, x.cols, 0, x.cols);
}

void CpuBackend::bias_backward(const Tensor& dbias, const Tensor& dy) {
  float* sums = workspace_.get<float>(Workspace::partial, piece_count(dy.rows) * dy.cols);
  for_pieces(dy, [&](int64_t piece, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(sum_rows)(sums + piece * dy.cols, dy, begin, end);
  });
  HWY_DYNAMIC_DISPATCH(add_column_sums)(dbias.as<float>(), sums, piece_count(dy.rows), dy.cols, 0, dy.cols);
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
