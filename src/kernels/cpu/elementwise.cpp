#include <cmath>

#include "kernels/cpu/runs.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

void add_run(float* y, const float* x, float alpha, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes()) {
    store(hn::MulAdd(set(alpha), load(x + i, n - i), load(y + i, n - i)), y + i, n - i);
  }
}

void scale_run(float* x, float factor, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes()) store(hn::Mul(set(factor), load(x + i, n - i)), x + i, n - i);
}

void clamp_run(float* x, float limit, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes()) {
    store(hn::Min(set(limit), hn::Max(set(-limit), load(x + i, n - i))), x + i, n - i);
  }
}

void clamp_backward_run(float* dx, const float* x, float limit, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes()) {
    const auto outside = hn::Gt(hn::Abs(load(x + i, n - i)), set(limit));
    store(hn::IfThenZeroElse(outside, load(dx + i, n - i)), dx + i, n - i);
  }
}

/// Elements [first, first + n) of the tensor. The rounds of philox run over arrays, which the compiler turns
/// into vectors.
void dropout_run(float* x, int64_t first, int64_t n, float probability, uint64_t seed, uint64_t stream) {
  constexpr int64_t width = 32;  // counters at a time
  const auto threshold = static_cast<uint64_t>(double{probability} * 0x1.0p32);
  const float kept = 1.0F / (1.0F - probability);
  for (int64_t counter = first / 4; counter * 4 < first + n; counter += width) {
    uint32_t word[4][width];
    for (int64_t i = 0; i < width; ++i) {
      const auto c = static_cast<uint64_t>(counter + i);
      word[0][i] = static_cast<uint32_t>(c);
      word[1][i] = static_cast<uint32_t>(c >> 32);
      word[2][i] = static_cast<uint32_t>(stream);
      word[3][i] = static_cast<uint32_t>(stream >> 32);
    }
    auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
      for (int64_t i = 0; i < width; ++i) {
        const uint64_t p0 = uint64_t{0xD2511F53} * word[0][i], p1 = uint64_t{0xCD9E8D57} * word[2][i];
        word[0][i] = static_cast<uint32_t>(p1 >> 32) ^ word[1][i] ^ k0;
        word[1][i] = static_cast<uint32_t>(p1);
        word[2][i] = static_cast<uint32_t>(p0 >> 32) ^ word[3][i] ^ k1;
        word[3][i] = static_cast<uint32_t>(p0);
      }
    }
    const int64_t begin = std::max(first, counter * 4), end = std::min(first + n, (counter + width) * 4);
    for (int64_t i = begin; i < end; ++i) {
      float& value = x[i - first];
      value = word[i % 4][i / 4 - counter] >= threshold ? value * kept : 0.0F;
    }
  }
}

// ---- activations

constexpr float tanh_factor = 0.7978845608028654F;  // √(2/π)
constexpr float tanh_cubic = 0.044715F;

template <Activation kind>
HWY_INLINE Vec value_of(Vec x) {
  if constexpr (kind == Activation::silu) return hn::Mul(x, sigmoid_of(x));
  if constexpr (kind == Activation::gelu) return hn::Mul(x, normal_cdf(x));
  if constexpr (kind == Activation::gelu_tanh) {
    // (1 + tanh u) / 2 is the logistic function of 2u.
    const Vec inner = hn::MulAdd(hn::Mul(set(tanh_cubic), hn::Mul(x, x)), x, x);
    return hn::Mul(x, sigmoid_of(hn::Mul(set(2 * tanh_factor), inner)));
  }
  if constexpr (kind == Activation::gelu_quick) return hn::Mul(x, sigmoid_of(hn::Mul(set(1.702F), x)));
  return hn::Max(zero(), x);
}

/// d/dx of x·s(u(x)) where s is the logistic function: s + x s (1-s) u'.
HWY_INLINE Vec logistic_slope(Vec x, Vec u, Vec du) {
  const Vec s = sigmoid_of(u);
  return hn::MulAdd(hn::Mul(hn::Mul(x, du), s), hn::Sub(set(1.0F), s), s);
}

template <Activation kind>
HWY_INLINE Vec slope_of(Vec x) {
  if constexpr (kind == Activation::silu) return logistic_slope(x, x, set(1.0F));
  if constexpr (kind == Activation::gelu) {
    const Vec density = hn::Mul(set(0.3989422804014327F), exp_of(hn::Mul(set(-0.5F), hn::Mul(x, x))));
    return hn::MulAdd(x, density, normal_cdf(x));
  }
  if constexpr (kind == Activation::gelu_tanh) {
    const Vec square = hn::Mul(x, x), factor = set(2 * tanh_factor);
    const Vec inner = hn::MulAdd(hn::Mul(set(tanh_cubic), square), x, x);
    const Vec slope = hn::MulAdd(set(3 * tanh_cubic), square, set(1.0F));
    return logistic_slope(x, hn::Mul(factor, inner), hn::Mul(factor, slope));
  }
  if constexpr (kind == Activation::gelu_quick)
    return logistic_slope(x, hn::Mul(set(1.702F), x), set(1.702F));
  return hn::IfThenElseZero(hn::Gt(x, zero()), set(1.0F));
}

/// Calls f.template operator()<kind>() for the kind at run time.
template <typename F>
HWY_INLINE void with_kind(Activation kind, F f) {
  switch (kind) {
    case Activation::silu:
      return f.template operator()<Activation::silu>();
    case Activation::gelu:
      return f.template operator()<Activation::gelu>();
    case Activation::gelu_tanh:
      return f.template operator()<Activation::gelu_tanh>();
    case Activation::gelu_quick:
      return f.template operator()<Activation::gelu_quick>();
    case Activation::relu:
      return f.template operator()<Activation::relu>();
  }
}

void activation_run(float* out, const float* x, Activation kind, int64_t n) {
  with_kind(kind, [=]<Activation k>() HWY_ATTR {
    for (int64_t i = 0; i < n; i += lanes()) store(value_of<k>(load(x + i, n - i)), out + i, n - i);
  });
}

void activation_backward_run(float* dx, const float* dy, const float* x, Activation kind, int64_t n) {
  with_kind(kind, [=]<Activation k>() HWY_ATTR {
    for (int64_t i = 0; i < n; i += lanes()) {
      store(hn::Mul(load(dy + i, n - i), slope_of<k>(load(x + i, n - i))), dx + i, n - i);
    }
  });
}

void gated_run(float* out, const float* gate, const float* up, Activation kind, int64_t n) {
  with_kind(kind, [=]<Activation k>() HWY_ATTR {
    for (int64_t i = 0; i < n; i += lanes()) {
      store(hn::Mul(value_of<k>(load(gate + i, n - i)), load(up + i, n - i)), out + i, n - i);
    }
  });
}

void gated_backward_run(float* dgate, float* dup, const float* dy, const float* gate, const float* up,
                        Activation kind, int64_t n) {
  with_kind(kind, [=]<Activation k>() HWY_ATTR {
    for (int64_t i = 0; i < n; i += lanes()) {
      const Vec d = load(dy + i, n - i), g = load(gate + i, n - i), u = load(up + i, n - i);
      store(hn::Mul(hn::Mul(d, u), slope_of<k>(g)), dgate + i, n - i);
      store(hn::Mul(d, value_of<k>(g)), dup + i, n - i);
    }
  });
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(add_run);
HWY_EXPORT(scale_run);
HWY_EXPORT(clamp_run);
HWY_EXPORT(clamp_backward_run);
HWY_EXPORT(dropout_run);
HWY_EXPORT(activation_run);
HWY_EXPORT(activation_backward_run);
HWY_EXPORT(gated_run);
HWY_EXPORT(gated_backward_run);

void CpuBackend::add(const Tensor& y, const Tensor& x, float alpha) {
  for_runs({&y, &x}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(add_run)(at(y, r, c), at(x, r, c), alpha, n);
  });
}

void CpuBackend::scale(const Tensor& x, float factor) {
  for_runs({&x}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(scale_run)(at(x, r, c), factor, n);
  });
}

void CpuBackend::add_bias(const Tensor& x, const Tensor& bias) {
  FETTLE_CHECK(bias.size() == x.cols);
  for_row_pieces(x.rows, x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      HWY_DYNAMIC_DISPATCH(add_run)(x.row<float>(r), bias.as<float>(), 1.0F, x.cols);
  });
}

void CpuBackend::clamp(const Tensor& x, float limit) {
  for_runs({&x}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(clamp_run)(at(x, r, c), limit, n);
  });
}

void CpuBackend::clamp_backward(const Tensor& dx, const Tensor& x, float limit) {
  for_runs({&dx, &x}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(clamp_backward_run)(at(dx, r, c), at(x, r, c), limit, n);
  });
}

void CpuBackend::dropout(const Tensor& x, float probability, uint64_t seed, uint64_t stream) {
  for_runs({&x}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(dropout_run)(at(x, r, c), r * x.cols + c, n, probability, seed, stream);
  });
}

void CpuBackend::activation(const Tensor& out, const Tensor& x, Activation kind) {
  for_runs({&out, &x}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(activation_run)(at(out, r, c), at(x, r, c), kind, n);
  });
}

void CpuBackend::activation_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, Activation kind) {
  for_runs({&dx, &dy, &x}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(activation_backward_run)(at(dx, r, c), at(dy, r, c), at(x, r, c), kind, n);
  });
}

void CpuBackend::gated(const Tensor& out, const Tensor& gate, const Tensor& up, Activation kind) {
  for_runs({&out, &gate, &up}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(gated_run)(at(out, r, c), at(gate, r, c), at(up, r, c), kind, n);
  });
}

void CpuBackend::gated_backward(const Tensor& dgate, const Tensor& dup, const Tensor& dy, const Tensor& gate,
                                const Tensor& up, Activation kind) {
  for_runs({&dgate, &dup, &dy, &gate, &up}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(gated_backward_run)
    (at(dgate, r, c), at(dup, r, c), at(dy, r, c), at(gate, r, c), at(up, r, c), kind, n);
  });
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
