#include <cmath>

#include "base/random.h"
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

/// Words of philox for the counters first … first + 15, word by word: bits[16 * word + counter].
HWY_INLINE void philox_words(uint64_t seed, uint64_t stream, uint64_t first, uint32_t* bits) {
#if HWY_TARGET == HWY_SCALAR
  for (uint64_t i = 0; i < 16; ++i) {
    const auto words = philox(seed, stream, first + i);
    for (uint64_t w = 0; w < 4; ++w) bits[16 * w + i] = words[w];
  }
#else
  const hn::ScalableTag<uint32_t> d;
  const hn::Repartition<uint64_t, decltype(d)> wide;
  const auto odd = hn::Eq(hn::And(hn::Iota(d, 0), hn::Set(d, 1)), hn::Set(d, 1));
  // Both halves of the 64-bit products of all lanes.
  const auto multiply = [&](auto a, uint32_t factor, auto& low, auto& high) HWY_ATTR {
    const auto b = hn::Set(d, factor);
    const auto even_product = hn::MulEven(a, b);
    const auto odd_product = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, a))), b);
    low = hn::IfThenElse(odd, hn::BitCast(d, hn::ShiftLeft<32>(odd_product)), hn::BitCast(d, even_product));
    high = hn::IfThenElse(odd, hn::BitCast(d, odd_product), hn::BitCast(d, hn::ShiftRight<32>(even_product)));
  };
  for (int64_t i = 0; i < 16; i += lanes()) {
    // `first` is a multiple of 16, so that the sum does not carry into the upper word.
    auto c0 = hn::Add(hn::Set(d, static_cast<uint32_t>(first)), hn::Iota(d, static_cast<uint32_t>(i)));
    auto c1 = hn::Set(d, static_cast<uint32_t>(first >> 32)), c2 = hn::Set(d, static_cast<uint32_t>(stream));
    auto c3 = hn::Set(d, static_cast<uint32_t>(stream >> 32)), low0 = c0, high0 = c0, low1 = c0, high1 = c0;
    auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
      multiply(c0, 0xD2511F53, low0, high0);
      multiply(c2, 0xCD9E8D57, low1, high1);
      c0 = hn::Xor(hn::Xor(high1, c1), hn::Set(d, k0));
      c2 = hn::Xor(hn::Xor(high0, c3), hn::Set(d, k1));
      c1 = low1;
      c3 = low0;
    }
    hn::StoreU(c0, d, bits + i);
    hn::StoreU(c1, d, bits + 16 + i);
    hn::StoreU(c2, d, bits + 32 + i);
    hn::StoreU(c3, d, bits + 48 + i);
  }
#endif
}

/// Elements [first, first + n) of the tensor: 16 random bits each, of counter i/128*16 + i%16 the i/16%8th 16
/// bits.
void dropout_run(float* x, int64_t first, int64_t n, float probability, uint64_t seed, uint64_t stream) {
  const auto threshold = static_cast<uint32_t>(double{probability} * 65536.0 + 0.5);
  const float kept = 1.0F / (1.0F - probability);
  for (int64_t block = first / 128; block * 128 < first + n; ++block) {
    uint32_t bits[64];
    float factor[128];
    philox_words(seed, stream, static_cast<uint64_t>(block) * 16, bits);
    for (int64_t i = 0; i < 128; ++i) {
      factor[i] = (bits[i / 32 * 16 + i % 16] >> (i / 16 % 2 * 16) & 0xFFFF) >= threshold ? kept : 0.0F;
    }
    const int64_t begin = std::max(first, block * 128), end = std::min(first + n, block * 128 + 128);
    for (int64_t i = begin; i < end; ++i) x[i - first] *= factor[i - block * 128];
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
