#include <algorithm>
#include <cmath>

#include "kernels/dynamic_map.h"
#include "kernels/reference/reference_backend.h"

namespace fettle::reference {
namespace {

/// One parameter's step; m and v are updated.
double adamw_step(double param, double grad, double& m, double& v, const AdamW& o) {
  const double beta1 = double{o.beta1}, beta2 = double{o.beta2}, rate = double{o.learning_rate};
  const auto step = static_cast<double>(o.step);
  grad *= double{o.grad_scale};
  m = beta1 * m + (1 - beta1) * grad;
  v = beta2 * v + (1 - beta2) * grad * grad;
  const double first = m / (1 - std::pow(beta1, step)), second = v / (1 - std::pow(beta2, step));
  return param * (1 - rate * double{o.weight_decay}) - rate * first / (std::sqrt(second) + double{o.eps});
}

}  // namespace

void ReferenceBackend::log_probabilities(const Tensor& logits, const Tensor& labels, const Tensor& logp,
                                         const Tensor& best, const Tensor& dlogp) {
  for (int64_t r = 0; r < logits.rows; ++r) {
    float* row = logits.row<float>(r);
    const int64_t label = labels.as<int32_t>()[r];
    FETTLE_CHECK(label >= 0 && label < logits.cols);
    const int64_t top = std::max_element(row, row + logits.cols) - row;
    double sum = 0;
    for (int64_t j = 0; j < logits.cols; ++j) sum += std::exp(double{row[j]} - double{row[top]});
    const double lse = double{row[top]} + std::log(sum);
    logp.as<float>()[r] = static_cast<float>(double{row[label]} - lse);
    if (!best.absent()) best.as<int32_t>()[r] = static_cast<int32_t>(top);
    for (int64_t j = 0; j < logits.cols && !dlogp.absent(); ++j) {
      row[j] = static_cast<float>(double{dlogp.as<float>()[r]} *
                                  ((j == label ? 1 : 0) - std::exp(double{row[j]} - lse)));
    }
  }
}

void ReferenceBackend::adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                             const AdamW& o) {
  for (int64_t i = 0; i < param.rows; ++i) {
    for (int64_t j = 0; j < param.cols; ++j) {
      double first = double{m.row<float>(i)[j]}, second = double{v.row<float>(i)[j]};
      float& p = param.row<float>(i)[j];
      p = static_cast<float>(adamw_step(double{p}, double{grad.row<float>(i)[j]}, first, second, o));
      m.row<float>(i)[j] = static_cast<float>(first);
      v.row<float>(i)[j] = static_cast<float>(second);
    }
  }
}

void ReferenceBackend::adamw_8bit(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                                  const Tensor& m_scale, const Tensor& v_scale, const AdamW& o) {
  const DynamicCodes &signed_codes = dynamic_codes(true), &unsigned_codes = dynamic_codes(false);
  const auto p = param.flat<float>(), g = grad.flat<float>();
  const auto m_codes = m.flat<uint8_t>(), v_codes = v.flat<uint8_t>();
  for (size_t begin = 0, block = 0; begin < p.size(); begin += dynamic_block, ++block) {
    const size_t end = std::min(p.size(), begin + dynamic_block);
    float &first_scale = m_scale.as<float>()[block], &second_scale = v_scale.as<float>()[block];
    std::vector<float> first, second;
    float first_top = 0, second_top = 0;
    for (size_t i = begin; i < end; ++i) {
      double a = double{signed_codes.value[m_codes[i]]} * double{first_scale};
      double b = double{unsigned_codes.value[v_codes[i]]} * double{second_scale};
      p[i] = static_cast<float>(adamw_step(double{p[i]}, double{g[i]}, a, b, o));
      first.push_back(static_cast<float>(a));
      second.push_back(static_cast<float>(b));
      first_top = std::max(first_top, std::abs(first.back()));
      second_top = std::max(second_top, second.back());
    }
    for (size_t i = begin; i < end; ++i) {
      m_codes[i] = signed_codes.nearest(first_top > 0 ? first[i - begin] * (1 / first_top) : 0);
      v_codes[i] = unsigned_codes.nearest(second_top > 0 ? second[i - begin] * (1 / second_top) : 0);
    }
    first_scale = first_top;
    second_scale = second_top;
  }
}

void ReferenceBackend::rmsprop(const Tensor& param, const Tensor& grad, const Tensor& square,
                               const Tensor& momentum, const RmsProp& o) {
  for (int64_t i = 0; i < param.rows; ++i) {
    for (int64_t j = 0; j < param.cols; ++j) {
      float &p = param.row<float>(i)[j], &s = square.row<float>(i)[j];
      const double g =
          double{grad.row<float>(i)[j]} * double{o.grad_scale} + double{o.weight_decay} * double{p};
      s = static_cast<float>(double{o.alpha} * double{s} + (1 - double{o.alpha}) * g * g);
      double move = g / (std::sqrt(double{s}) + double{o.eps});
      if (!momentum.absent()) {
        float& buffer = momentum.row<float>(i)[j];
        buffer = static_cast<float>(double{o.momentum} * double{buffer} + move);
        move = double{buffer};
      }
      p = static_cast<float>(double{p} - double{o.learning_rate} * move);
    }
  }
}

void ReferenceBackend::sgd(const Tensor& param, const Tensor& grad, const Tensor& momentum, const Sgd& o) {
  for (int64_t i = 0; i < param.rows; ++i) {
    for (int64_t j = 0; j < param.cols; ++j) {
      float& p = param.row<float>(i)[j];
      double move = double{grad.row<float>(i)[j]} * double{o.grad_scale} + double{o.weight_decay} * double{p};
      if (!momentum.absent()) {
        float& buffer = momentum.row<float>(i)[j];
        buffer = static_cast<float>(double{o.momentum} * double{buffer} + move);
        move = double{buffer};
      }
      p = static_cast<float>(double{p} - double{o.learning_rate} * move);
    }
  }
}

void ReferenceBackend::sum_squares(const Tensor& sum, const Tensor& x) {
  double total = 0;
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j < x.cols; ++j) total += double{x.row<float>(i)[j]} * double{x.row<float>(i)[j]};
  }
  *sum.as<float>() += static_cast<float>(total);
}

}  // namespace fettle::reference
