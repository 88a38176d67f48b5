// Vector helpers and elementary functions, compiled once per instruction set. NaN goes in, NaN comes out.
#if defined(FETTLE_KERNELS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FETTLE_KERNELS_CPU_SIMD_INL_H_
#undef FETTLE_KERNELS_CPU_SIMD_INL_H_
#else
#define FETTLE_KERNELS_CPU_SIMD_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using I32 = hn::ScalableTag<int32_t>;
using Vec = hn::Vec<F32>;
using Mask = hn::Mask<F32>;
constexpr F32 df;
constexpr I32 di;
HWY_INLINE constexpr int64_t lanes() {
  return static_cast<int64_t>(hn::MaxLanes(F32()));
}

HWY_INLINE Vec zero() {
  return hn::Zero(df);
}
HWY_INLINE Vec set(float x) {
  return hn::Set(df, x);
}

/// The first min(n, lanes) values, zeros after them; never touches memory beyond.
HWY_INLINE Vec load(const float* p, int64_t n) {
  if (HWY_LIKELY(n >= lanes())) return hn::LoadU(df, p);
  HWY_ALIGN float part[HWY_MAX_BYTES / 4] = {};
  for (int64_t i = 0; i < n; ++i) part[i] = p[i];
  return hn::Load(df, part);
}
HWY_INLINE void store(Vec v, float* p, int64_t n) {
  if (HWY_LIKELY(n >= lanes())) {
    hn::StoreU(v, df, p);
    return;
  }
  HWY_ALIGN float part[HWY_MAX_BYTES / 4];
  hn::Store(v, df, part);
  for (int64_t i = 0; i < n; ++i) p[i] = part[i];
}

HWY_INLINE float sum_of(Vec v) {
  return hn::GetLane(hn::SumOfLanes(df, v));
}
#if HWY_TARGET != HWY_SCALAR
/// The upper half of a vector is added to the lower one until four lanes are left.
template <typename D>
HWY_INLINE auto fold(D, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return fold(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
#endif

/// to[i] = the sum of v[i]'s lanes, i < count ≤ 4, each added in the same order whatever `count` and i are.
template <int count>
HWY_INLINE void sums_of(const Vec* v, float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < count; ++i) to[i] = hn::GetLane(v[i]);
#else
  const hn::CappedTag<float, 4> four;
  const hn::Repartition<double, F32> pairs;
  const Vec b = count > 1 ? v[1] : zero(), c = count > 2 ? v[2] : zero(), d = count > 3 ? v[3] : zero();
  const auto ab = hn::BitCast(pairs, hn::Add(hn::InterleaveLower(df, v[0], b), hn::InterleaveUpper(df, v[0], b)));
  const auto cd = hn::BitCast(pairs, hn::Add(hn::InterleaveLower(df, c, d), hn::InterleaveUpper(df, c, d)));
  const auto sums = fold(df, hn::Add(hn::BitCast(df, hn::InterleaveLower(pairs, ab, cd)),
                                     hn::BitCast(df, hn::InterleaveUpper(pairs, ab, cd))));
  if constexpr (count == 4) {
    hn::StoreU(sums, four, to);
  } else {
    HWY_ALIGN float part[4];
    hn::Store(sums, four, part);
    for (int i = 0; i < count; ++i) to[i] = part[i];
  }
#endif
}

HWY_INLINE float max_of(Vec v) {
  return hn::GetLane(hn::MaxOfLanes(df, v));
}
/// The sum of the lanes in double precision.
HWY_INLINE double wide_sum(Vec v) {
  HWY_ALIGN float part[HWY_MAX_BYTES / 4];
  hn::Store(v, df, part);
  double sum = 0;
  for (int64_t i = 0; i < lanes(); ++i) sum += double{part[i]};
  return sum;
}

/// exp(x) / 2^n where n is x/log(2) rounded: Cody–Waite reduction and the polynomial of Cephes' expf.
HWY_INLINE Vec exp_of_reduced(Vec x, Vec n) {
  const Vec r = hn::NegMulAdd(n, set(-2.12194440e-4F), hn::NegMulAdd(n, set(0.693359375F), x));
  Vec p = set(1.9875691500e-4F);
  p = hn::MulAdd(p, r, set(1.3981999507e-3F));
  p = hn::MulAdd(p, r, set(8.3334519073e-3F));
  p = hn::MulAdd(p, r, set(4.1665795894e-2F));
  p = hn::MulAdd(p, r, set(1.6666665459e-1F));
  p = hn::MulAdd(p, r, set(5.0000001201e-1F));
  return hn::Add(hn::MulAdd(hn::Mul(p, r), r, r), set(1.0F));
}

/// Subnormal results come out right; above 88.72 infinity.
HWY_INLINE Vec exp_of(Vec x) {
  x = hn::Min(set(89.0F), hn::Max(set(-104.0F), x));
  const auto whole = hn::NearestInt(hn::Mul(x, set(1.44269504088896341F)));
  const Vec p = exp_of_reduced(x, hn::ConvertTo(df, whole));
  // Two factors, since 2^n alone leaves the range of normal numbers at both ends.
  const auto half = hn::ShiftRight<1>(whole);
  const auto bias = hn::Set(di, 127);
  const Vec first = hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const Vec second = hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(hn::Sub(whole, half), bias)));
  return hn::Mul(hn::Mul(p, first), second);
}

/// For x <= 0, as softmax has it: below -87 zero. Cheaper, since the power of two stays a normal number.
HWY_INLINE Vec exp_of_negative(Vec x) {
  const Vec bounded = hn::Max(set(-87.0F), x);
  const auto whole = hn::NearestInt(hn::Mul(bounded, set(1.44269504088896341F)));
  const Vec p = exp_of_reduced(bounded, hn::ConvertTo(df, whole));
  const Vec power = hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(whole, hn::Set(di, 127))));
  return hn::IfThenZeroElse(hn::Lt(x, set(-87.0F)), hn::Mul(p, power));
}

HWY_INLINE Vec sigmoid_of(Vec x) {
  return hn::Div(set(1.0F), hn::Add(set(1.0F), exp_of(hn::Neg(x))));
}

/// The normal distribution function, (1 + erf(x/√2)) / 2. Near zero an odd polynomial, outside the
/// exponential of a polynomial that was fitted to log(erfc); absolute error below 1e-7.
HWY_INLINE Vec normal_cdf(Vec x) {
  const Vec s = hn::Mul(x, x), t = hn::Min(set(6.0F), hn::Abs(x));
  Vec p = set(-2.7900632915134338e-08F);
  for (const float c :
       {6.297797767729207e-07F, -9.391619641974103e-06F, 1.1539100523805246e-04F, -1.187308575026691e-03F,
        9.973553009331226e-03F, -6.649038195610046e-02F, 0.3989422917366028F}) {
    p = hn::MulAdd(p, s, set(c));
  }
  const Vec near = hn::MulAdd(x, p, set(0.5F));
  Vec q = set(-2.82203238555212e-09F);
  for (const float c : {1.8783340749450872e-07F, -5.190528099774383e-06F, 8.289278048323467e-05F,
                        -8.795810281299055e-04F, 6.718459539115429e-03F, -3.913435712456703e-02F,
                        -0.3156605362892151F, -0.7993612885475159F, 3.66279564332217e-04F}) {
    q = hn::MulAdd(q, t, set(c));
  }
  Vec tail = hn::Mul(set(0.5F), exp_of(q));
  tail = hn::IfThenZeroElse(hn::Ge(hn::Abs(x), set(6.0F)), tail);
  const Vec far = hn::IfThenElse(hn::Lt(x, zero()), tail, hn::Sub(set(1.0F), tail));
  return hn::IfThenElse(hn::Gt(hn::Abs(x), set(1.32F)), far, near);
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard per instruction set
