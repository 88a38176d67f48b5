#pragma once
// The 256 values of block-wise dynamic quantisation (Dettmers et al., "8-bit Optimizers via Block-wise
// Quantization", 2022, section 3): a decimal exponent of up to 7 digits, the rest of the bits a linear
// fraction in [0.1, 1). Ascending.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace fettle {

constexpr int64_t dynamic_block = 256;  ///< consecutive elements that share one scale

/// Signed for the first moment, unsigned for the second. Both hold 0 and 1.
inline std::array<float, 256> dynamic_map(bool is_signed) {
  std::array<float, 256> map{};
  size_t count = 0;
  for (int digits = 0; digits < 7; ++digits) {
    const int fractions = 1 << (is_signed ? digits : digits + 1);
    for (int i = 0; i < fractions; ++i) {
      const double middle = 0.1 + 0.9 * (i + 0.5) / fractions;
      const auto value = static_cast<float>(std::pow(10.0, digits - 6) * middle);
      map[count++] = value;
      if (is_signed) map[count++] = -value;
    }
  }
  map[count++] = 0.0F;
  map[count++] = 1.0F;
  std::sort(map.begin(), map.end());
  return map;
}

/// The index of the nearest value; of two equally near ones the lower.
inline uint8_t nearest_in_map(const std::array<float, 256>& map, float value) {
  const auto above = std::lower_bound(map.begin(), map.end(), value);
  if (above == map.begin()) return 0;
  if (above == map.end()) return 255;
  const auto index = static_cast<int>(above - map.begin());
  return static_cast<uint8_t>(value - map[index - 1] <= map[index] - value ? index - 1 : index);
}

}  // namespace fettle
