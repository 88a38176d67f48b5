// Routers of mixtures of experts. Rows are as short as there are experts, so that plain loops do.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/cpu_backend.h"

namespace fettle::cpu {
namespace {

/// The first k of `order` become the columns of the largest values, the first of equals before the others.
void largest_columns(const float* values, std::vector<int32_t>& order, int64_t k) {
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int32_t a, int32_t b) {
    return values[a] > values[b] || (values[a] == values[b] && a < b);
  });
}

/// out[i] = exp(values[i] - highest) / their sum.
void softmax(const float* values, int64_t n, float* out) {
  const float highest = *std::max_element(values, values + n);
  float sum = 0.0F;
  for (int64_t i = 0; i < n; ++i) sum += out[i] = std::exp(values[i] - highest);
  for (int64_t i = 0; i < n; ++i) out[i] /= sum;
}

float dot(const float* a, const float* b, int64_t n) {
  constexpr int64_t lanes = 8;
  float sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

}  // namespace

void CpuBackend::route(const Tensor& picks, const Tensor& weights, const Tensor& probabilities,
                       const Tensor& logits) {
  const int64_t experts = logits.cols, k = picks.cols;
  FETTLE_CHECK(k > 0 && k <= experts && weights.cols == k && probabilities.cols == experts);
  for_row_pieces(logits.rows, experts * 8, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> order(static_cast<size_t>(experts));
    std::vector<float> chosen(static_cast<size_t>(k));
    for (int64_t t = begin; t < end; ++t) {
      const float* row = logits.row<float>(t);
      largest_columns(row, order, k);
      for (int64_t i = 0; i < k; ++i) chosen[static_cast<size_t>(i)] = row[order[static_cast<size_t>(i)]];
      std::copy_n(order.begin(), k, picks.row<int32_t>(t));
      softmax(chosen.data(), k, weights.row<float>(t));
      softmax(row, experts, probabilities.row<float>(t));
    }
  });
}

void CpuBackend::route_backward(const Tensor& dlogits, const Tensor& dweights, const Tensor& dprobabilities,
                                const Tensor& picks, const Tensor& weights, const Tensor& probabilities) {
  const int64_t experts = dlogits.cols, k = picks.cols;
  for_row_pieces(dlogits.rows, experts * 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* out = dlogits.row<float>(t);
      std::fill_n(out, experts, 0.0F);
      if (!dprobabilities.absent()) {
        const float *p = probabilities.row<float>(t), *dp = dprobabilities.row<float>(0);
        const float mean = dot(p, dp, experts);
        for (int64_t e = 0; e < experts; ++e) out[e] = p[e] * (dp[e] - mean);
      }
      const float *w = weights.row<float>(t), *dw = dweights.row<float>(t);
      const float mean = dot(w, dw, k);
      for (int64_t i = 0; i < k; ++i) out[picks.row<int32_t>(t)[i]] += w[i] * (dw[i] - mean);
    }
  });
}

void CpuBackend::scale_rows(const Tensor& x, const Tensor& factors) {
  FETTLE_CHECK(factors.size() == x.rows);
  const auto by = factors.flat<float>();
  for_row_pieces(x.rows, x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = x.row<float>(t);
      const float factor = by[static_cast<size_t>(t)];
      for (int64_t i = 0; i < x.cols; ++i) row[i] *= factor;
    }
  });
}

void CpuBackend::row_dots(const Tensor& out, const Tensor& a, const Tensor& b) {
  FETTLE_CHECK(a.rows == b.rows && a.cols == b.cols && out.size() == a.rows);
  const auto to = out.flat<float>();
  for_row_pieces(a.rows, a.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      to[static_cast<size_t>(t)] = dot(a.row<float>(t), b.row<float>(t), a.cols);
  });
}

}  // namespace fettle::cpu
