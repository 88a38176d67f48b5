#include <cmath>
#include <limits>

#include "base/threads.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/loss.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

float highest_of(const float* row, int64_t n) {
  Vec top = set(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes()) top = hn::Max(top, hn::LoadU(df, row + i));
  float highest = max_of(top);
  for (; i < n; ++i) highest = row[i] > highest ? row[i] : highest;
  return highest;
}

/// Σ exp(row - highest); floats are summed over short parts, the parts in double precision. With `keep` the
/// exponentials replace the row.
template <bool keep>
HWY_INLINE double sum_of_exponentials(float* row, int64_t n, float highest) {
  constexpr int64_t part = 2048;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += part) {
    const int64_t end = begin + part < n ? begin + part : n;
    Vec first = zero(), second = zero();
    int64_t i = begin;
    for (; i + 2 * lanes() <= end; i += 2 * lanes()) {
      const Vec a = exp_of_negative(hn::Sub(hn::LoadU(df, row + i), set(highest)));
      const Vec b = exp_of_negative(hn::Sub(hn::LoadU(df, row + i + lanes()), set(highest)));
      if (keep) hn::StoreU(a, df, row + i);
      if (keep) hn::StoreU(b, df, row + i + lanes());
      first = hn::Add(first, a);
      second = hn::Add(second, b);
    }
    total += wide_sum(hn::Add(first, second));
    for (; i < end; i += lanes()) {
      HWY_ALIGN float last[HWY_MAX_BYTES / 4];
      const Vec a = exp_of_negative(hn::Sub(load(row + i, end - i), set(highest)));
      hn::Store(a, df, last);
      if (keep) store(a, row + i, end - i);
      for (int64_t j = 0; j < lanes() && i + j < end; ++j) total += double{last[j]};
    }
  }
  return total;
}

void log_probability_rows(const Tensor& logits, const int32_t* labels, float* logp, int32_t* best,
                          const float* dlogp, int64_t begin, int64_t end) {
  const int64_t n = logits.cols;
  for (int64_t r = begin; r < end; ++r) {
    float* row = logits.row<float>(r);
    const int64_t label = labels[r];
    FETTLE_CHECK(label >= 0 && label < n);
    const float highest = highest_of(row, n), value = row[label];
    if (best != nullptr) {
      int64_t index = 0;
      while (index + 1 < n && !(row[index] == highest)) ++index;
      best[r] = static_cast<int32_t>(index);
    }
    const bool gradient = dlogp != nullptr && dlogp[r] != 0.0F;
    const double sum =
        gradient ? sum_of_exponentials<true>(row, n, highest) : sum_of_exponentials<false>(row, n, highest);
    logp[r] = static_cast<float>(double{value} - double{highest} - std::log(sum));
    if (gradient) {
      const Vec factor = set(static_cast<float>(-double{dlogp[r]} / sum));
      for (int64_t i = 0; i < n; i += lanes()) store(hn::Mul(factor, load(row + i, n - i)), row + i, n - i);
      // Not by adding to what stands there: where the label is nearly sure, the difference would lose its
      // digits.
      const double probability = std::exp(double{value} - double{highest}) / sum;
      row[label] = static_cast<float>(double{dlogp[r]} * (1.0 - probability));
    } else if (dlogp != nullptr) {
      std::memset(row, 0, static_cast<size_t>(n) * sizeof(float));
    }
  }
}

/// Σ x² of a run, in double precision.
double squares_of(const float* x, int64_t n) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  const auto step = static_cast<int64_t>(hn::Lanes(dd));
  auto first = hn::Zero(dd), second = hn::Zero(dd);
  int64_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    const auto a = hn::PromoteTo(dd, hn::LoadU(half, x + i)),
               b = hn::PromoteTo(dd, hn::LoadU(half, x + i + step));
    first = hn::MulAdd(a, a, first);
    second = hn::MulAdd(b, b, second);
  }
  double total = hn::GetLane(hn::SumOfLanes(dd, hn::Add(first, second)));
  for (; i < n; ++i) total += double{x[i]} * double{x[i]};
  return total;
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(log_probability_rows);
HWY_EXPORT(squares_of);

void CpuBackend::log_probabilities(const Tensor& logits, const Tensor& labels, const Tensor& logp,
                                   const Tensor& best, const Tensor& dlogp) {
  FETTLE_CHECK(labels.size() == logits.rows && logp.size() == logits.rows);
  for_row_pieces(logits.rows, logits.cols, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(log_probability_rows)
    (logits, labels.as<int32_t>(), logp.as<float>(), best.absent() ? nullptr : best.as<int32_t>(),
     dlogp.absent() ? nullptr : dlogp.as<float>(), begin, end);
  });
}

void CpuBackend::sum_squares(const Tensor& sum, const Tensor& x) {
  // Runs of fixed length, summed in order: the result does not depend on the number of threads.
  constexpr int64_t run = 1 << 15;
  const bool flat = x.contiguous();
  const int64_t length = flat ? x.size() : x.cols, rows = flat ? 1 : x.rows;
  const int64_t runs_in_row = (length + run - 1) / run, runs = runs_in_row * rows;
  auto* parts = workspace_.get<double>(Workspace::partial, runs);
  parallel_for(runs, std::max<int64_t>(1, run / std::max<int64_t>(1, length)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t from = i % runs_in_row * run;
                   parts[i] = HWY_DYNAMIC_DISPATCH(squares_of)(
                       x.as<float>() + i / runs_in_row * x.stride + from, std::min(run, length - from));
                 }
               });
  double total = 0;
  for (int64_t i = 0; i < runs; ++i) total += parts[i];
  *sum.as<float>() += static_cast<float>(total);
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
