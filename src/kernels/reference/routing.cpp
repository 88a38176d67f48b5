#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/reference/reference_backend.h"

namespace fettle::reference {
namespace {

std::vector<double> softmax_of(const std::vector<double>& values) {
  const double highest = *std::max_element(values.begin(), values.end());
  std::vector<double> result;
  double sum = 0;
  for (const double value : values) {
    result.push_back(std::exp(value - highest));
    sum += result.back();
  }
  for (double& value : result) value /= sum;
  return result;
}

std::vector<double> doubles(const float* values, int64_t n) {
  return {values, values + n};
}

}  // namespace

void ReferenceBackend::route(const Tensor& picks, const Tensor& weights, const Tensor& probabilities,
                             const Tensor& logits) {
  for (int64_t t = 0; t < logits.rows; ++t) {
    const std::vector<double> row = doubles(logits.row<float>(t), logits.cols);
    std::vector<int32_t> order(row.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)];
    });
    std::vector<double> chosen;
    for (int64_t i = 0; i < picks.cols; ++i) {
      picks.row<int32_t>(t)[i] = order[static_cast<size_t>(i)];
      chosen.push_back(row[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    }
    const std::vector<double> some = softmax_of(chosen), all = softmax_of(row);
    std::copy(some.begin(), some.end(), weights.row<float>(t));
    std::copy(all.begin(), all.end(), probabilities.row<float>(t));
  }
}

void ReferenceBackend::route_backward(const Tensor& dlogits, const Tensor& dweights, const Tensor& dprobabilities,
                                      const Tensor& picks, const Tensor& weights, const Tensor& probabilities) {
  for (int64_t t = 0; t < dlogits.rows; ++t) {
    std::vector<double> out(static_cast<size_t>(dlogits.cols));
    if (!dprobabilities.absent()) {
      const std::vector<double> p = doubles(probabilities.row<float>(t), dlogits.cols),
                                dp = doubles(dprobabilities.row<float>(0), dlogits.cols);
      const double mean = std::inner_product(p.begin(), p.end(), dp.begin(), 0.0);
      for (size_t e = 0; e < out.size(); ++e) out[e] += p[e] * (dp[e] - mean);
    }
    const std::vector<double> w = doubles(weights.row<float>(t), picks.cols),
                              dw = doubles(dweights.row<float>(t), picks.cols);
    const double mean = std::inner_product(w.begin(), w.end(), dw.begin(), 0.0);
    for (size_t i = 0; i < w.size(); ++i)
      out[static_cast<size_t>(picks.row<int32_t>(t)[i])] += w[i] * (dw[i] - mean);
    std::copy(out.begin(), out.end(), dlogits.row<float>(t));
  }
}

void ReferenceBackend::scale_rows(const Tensor& x, const Tensor& factors) {
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t i = 0; i < x.cols; ++i) x.row<float>(t)[i] *= factors.flat<float>()[static_cast<size_t>(t)];
}

void ReferenceBackend::row_dots(const Tensor& out, const Tensor& a, const Tensor& b) {
  for (int64_t t = 0; t < a.rows; ++t) {
    double sum = 0;
    for (int64_t i = 0; i < a.cols; ++i) sum += double{a.row<float>(t)[i]} * double{b.row<float>(t)[i]};
    out.flat<float>()[static_cast<size_t>(t)] = static_cast<float>(sum);
  }
}

}  // namespace fettle::reference
