#pragma once
// The few functions every preference loss is made of, in double precision and without overflow.
#include <algorithm>
#include <cmath>
#include <span>

namespace fettle::train {

inline double log_sigmoid(double x) {
  return x < 0.0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x));
}
inline double sigmoid(double x) {
  if (x >= 0.0) return 1.0 / (1.0 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1.0 + e);
}

inline double sum(std::span<const float> values) {
  double total = 0.0;
  for (const float value : values) total += value;
  return total;
}
inline double mean(std::span<const float> values) {
  return sum(values) / static_cast<double>(values.size());
}

/// Every token of an answer has the same gradient when a loss sees the answer's sum alone.
inline void fill(std::span<float> gradient, double value) {
  std::fill(gradient.begin(), gradient.end(), static_cast<float>(value));
}

}  // namespace fettle::train
