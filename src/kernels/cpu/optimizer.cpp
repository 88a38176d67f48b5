#include <cmath>

#include "kernels/cpu/runs.h"
#include "kernels/cpu/targets.h"
#include "kernels/dynamic_map.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/optimizer.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

/// The factors of a step that all elements share.
struct AdamWFactors {
  float beta1, beta2, rest1, rest2, eps, grad_scale;
  float keep;           ///< of the parameter, after its decay
  float rate;           ///< learning rate over the first bias correction
  float second_factor;  ///< 1 / sqrt of the second bias correction
  explicit AdamWFactors(const AdamW& o)
      : beta1(o.beta1),
        beta2(o.beta2),
        rest1(static_cast<float>(1.0 - double{o.beta1})),
        rest2(static_cast<float>(1.0 - double{o.beta2})),
        eps(o.eps),
        grad_scale(o.grad_scale),
        keep(static_cast<float>(1.0 - double{o.learning_rate} * double{o.weight_decay})),
        rate(static_cast<float>(double{o.learning_rate} /
                                (1.0 - std::pow(double{o.beta1}, static_cast<double>(o.step))))),
        second_factor(static_cast<float>(
            1.0 / std::sqrt(1.0 - std::pow(double{o.beta2}, static_cast<double>(o.step))))) {}
};

/// m and v are updated; the new parameter comes back.
HWY_INLINE Vec adamw_step(const AdamWFactors& f, Vec param, Vec grad, Vec& m, Vec& v) {
  grad = hn::Mul(grad, set(f.grad_scale));
  m = hn::MulAdd(set(f.beta1), m, hn::Mul(set(f.rest1), grad));
  v = hn::MulAdd(set(f.beta2), v, hn::Mul(set(f.rest2), hn::Mul(grad, grad)));
  const Vec below = hn::MulAdd(hn::Sqrt(v), set(f.second_factor), set(f.eps));
  return hn::NegMulAdd(set(f.rate), hn::Div(m, below), hn::Mul(param, set(f.keep)));
}

void adamw_run(float* param, const float* grad, float* m, float* v, const AdamW& o, int64_t n) {
  const AdamWFactors f(o);
  for (int64_t i = 0; i < n; i += lanes()) {
    Vec first = load(m + i, n - i), second = load(v + i, n - i);
    store(adamw_step(f, load(param + i, n - i), load(grad + i, n - i), first, second), param + i, n - i);
    store(first, m + i, n - i);
    store(second, v + i, n - i);
  }
}

/// A block's values become codes; its largest magnitude is the scale.
HWY_INLINE float encode_block(const DynamicCodes& codes, const float* values, int64_t n, uint8_t* out) {
  Vec top = zero();
  for (int64_t i = 0; i < n; i += lanes()) top = hn::Max(top, hn::Abs(load(values + i, n - i)));
  const float scale = max_of(top), inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  for (int64_t i = 0; i < n; i += lanes()) {
    const Vec x = hn::Mul(load(values + i, n - i), set(inverse));
    const auto cell = hn::ShiftRight<DynamicCodes::cell_shift>(hn::BitCast(di, hn::Abs(x)));
    // Clamped above too: a gradient that is not finite must not index beyond the table.
    auto index = hn::Max(hn::Zero(di), hn::Sub(cell, hn::Set(di, DynamicCodes::first_cell)));
    index = hn::Min(index, hn::Set(di, DynamicCodes::cells - 1));
    const auto negative = hn::RebindMask(di, hn::Lt(x, zero()));
    index = hn::Add(index, hn::IfThenElseZero(negative, hn::Set(di, DynamicCodes::cells)));
    const auto lowest = hn::GatherIndex(di, codes.lowest.data(), index);
    const Vec limit = hn::GatherIndex(df, codes.above.data(), lowest);
    const auto next = hn::RebindMask(di, hn::Gt(x, limit));
    const auto code = hn::Add(lowest, hn::IfThenElseZero(next, hn::Set(di, 1)));
    store_part(hn::DemoteTo(U8(), code), U8(), out + i, n - i);
  }
  return scale;
}

HWY_INLINE Vec decode_codes(const DynamicCodes& codes, const uint8_t* from, int64_t n, float scale) {
  const auto index = hn::PromoteTo(di, load_part(U8(), from, n));
  return hn::Mul(hn::GatherIndex(df, codes.value.data(), index), set(scale));
}

void adamw_8bit_block(float* param, const float* grad, uint8_t* m, uint8_t* v, float* m_scale, float* v_scale,
                      const AdamW& o, int64_t n) {
  const AdamWFactors f(o);
  const DynamicCodes &signed_codes = dynamic_codes(true), &unsigned_codes = dynamic_codes(false);
  HWY_ALIGN float first_block[dynamic_block], second_block[dynamic_block];
  for (int64_t i = 0; i < n; i += lanes()) {
    Vec first = decode_codes(signed_codes, m + i, n - i, *m_scale),
        second = decode_codes(unsigned_codes, v + i, n - i, *v_scale);
    store(adamw_step(f, load(param + i, n - i), load(grad + i, n - i), first, second), param + i, n - i);
    hn::Store(first, df, first_block + i);
    hn::Store(second, df, second_block + i);
  }
  *m_scale = encode_block(signed_codes, first_block, n, m);
  *v_scale = encode_block(unsigned_codes, second_block, n, v);
}

/// The buffer of momentum takes the move in, and is then the move; null without momentum.
HWY_INLINE Vec with_momentum(float* buffer, float momentum, Vec move, int64_t n) {
  if (buffer == nullptr) return move;
  move = hn::MulAdd(set(momentum), load(buffer, n), move);
  store(move, buffer, n);
  return move;
}

void rmsprop_run(float* param, const float* grad, float* square, float* momentum, const RmsProp& o,
                 int64_t n) {
  for (int64_t i = 0; i < n; i += lanes()) {
    const Vec p = load(param + i, n - i);
    const Vec g = hn::MulAdd(set(o.weight_decay), p, hn::Mul(load(grad + i, n - i), set(o.grad_scale)));
    const Vec s =
        hn::MulAdd(set(o.alpha), load(square + i, n - i), hn::Mul(set(1.0F - o.alpha), hn::Mul(g, g)));
    store(s, square + i, n - i);
    const Vec step = hn::Div(g, hn::Add(hn::Sqrt(s), set(o.eps)));
    const Vec move = with_momentum(momentum == nullptr ? nullptr : momentum + i, o.momentum, step, n - i);
    store(hn::NegMulAdd(set(o.learning_rate), move, p), param + i, n - i);
  }
}

void sgd_run(float* param, const float* grad, float* momentum, const Sgd& o, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes()) {
    const Vec p = load(param + i, n - i);
    const Vec g = hn::MulAdd(set(o.weight_decay), p, hn::Mul(load(grad + i, n - i), set(o.grad_scale)));
    const Vec move = with_momentum(momentum == nullptr ? nullptr : momentum + i, o.momentum, g, n - i);
    store(hn::NegMulAdd(set(o.learning_rate), move, p), param + i, n - i);
  }
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(adamw_run);
HWY_EXPORT(adamw_8bit_block);
HWY_EXPORT(rmsprop_run);
HWY_EXPORT(sgd_run);

void CpuBackend::adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                       const AdamW& o) {
  for_runs({&param, &grad, &m, &v}, [&](int64_t r, int64_t c, int64_t n) {
    HWY_DYNAMIC_DISPATCH(adamw_run)(at(param, r, c), at(grad, r, c), at(m, r, c), at(v, r, c), o, n);
  });
}

void CpuBackend::adamw_8bit(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                            const Tensor& m_scale, const Tensor& v_scale, const AdamW& o) {
  const auto p = param.flat<float>(), g = grad.flat<float>();
  const auto first = m.flat<uint8_t>(), second = v.flat<uint8_t>();
  const auto first_scale = m_scale.flat<float>(), second_scale = v_scale.flat<float>();
  const auto n = static_cast<int64_t>(p.size());
  const int64_t blocks = (n + dynamic_block - 1) / dynamic_block;
  FETTLE_CHECK(g.size() == p.size() && first.size() == p.size() && second.size() == p.size());
  FETTLE_CHECK(m_scale.size() == blocks && v_scale.size() == blocks);
  parallel_for(blocks, 32, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t i = block * dynamic_block;
      HWY_DYNAMIC_DISPATCH(adamw_8bit_block)
      (p.data() + i, g.data() + i, first.data() + i, second.data() + i, first_scale.data() + block,
       second_scale.data() + block, o, std::min(dynamic_block, n - i));
    }
  });
}

void CpuBackend::rmsprop(const Tensor& param, const Tensor& grad, const Tensor& square,
                         const Tensor& momentum, const RmsProp& o) {
  const Tensor& last = momentum.absent() ? param : momentum;
  for_runs({&param, &grad, &square, &last}, [&](int64_t r, int64_t c, int64_t n) {
    float* buffer = momentum.absent() ? nullptr : at(momentum, r, c);
    HWY_DYNAMIC_DISPATCH(rmsprop_run)(at(param, r, c), at(grad, r, c), at(square, r, c), buffer, o, n);
  });
}

void CpuBackend::sgd(const Tensor& param, const Tensor& grad, const Tensor& momentum, const Sgd& o) {
  const Tensor& last = momentum.absent() ? param : momentum;
  for_runs({&param, &grad, &last}, [&](int64_t r, int64_t c, int64_t n) {
    float* buffer = momentum.absent() ? nullptr : at(momentum, r, c);
    HWY_DYNAMIC_DISPATCH(sgd_run)(at(param, r, c), at(grad, r, c), buffer, o, n);
  });
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
