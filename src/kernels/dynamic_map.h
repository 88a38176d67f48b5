#pragma once
// The 256 values of block-wise dynamic quantisation (Dettmers et al., "8-bit Optimizers via Block-wise
// Quantization", 2022, section 3): a decimal exponent of up to 7 digits, the rest of the bits a linear
// fraction in [0.1, 1). Ascending.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

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

/// The map and what finds a value's nearest entry fast. The code of x is the number of midpoints between
/// neighbours that lie below x; a cell of floats that share their upper bits holds at most one midpoint.
struct DynamicCodes {
  static constexpr int cell_shift = 16;  ///< 7 bits of mantissa stay
  static constexpr int32_t first_cell =
      0x32000000 >> 16;  ///< 2^-27, below every midpoint
  static constexpr int32_t cells = (0x3F800000 >> 16) - first_cell + 1;

  std::array<float, 256> value{};
  std::array<float, 256> above{};  ///< midpoint to the next value; infinity for the last
  std::array<int32_t, 2 * cells>
      lowest{};  ///< code of the lowest value in a cell; negative values in the second half

  uint8_t nearest(float x) const {
    const auto code = std::lower_bound(above.begin(), above.end(), x) - above.begin();
    return static_cast<uint8_t>(std::min<std::ptrdiff_t>(code, 255));
  }

  explicit DynamicCodes(bool is_signed) : value(dynamic_map(is_signed)) {
    for (size_t i = 0; i + 1 < 256; ++i) above[i] = 0.5F * (value[i] + value[i + 1]);
    above[255] = std::numeric_limits<float>::infinity();
    for (int32_t cell = 0; cell < cells; ++cell) {
      const uint32_t begin = static_cast<uint32_t>(first_cell + cell) << cell_shift;
      const float smallest = cell == 0 ? 0.0F : std::bit_cast<float>(begin);
      const float largest = std::bit_cast<float>(begin | ((1U << cell_shift) - 1));
      lowest[static_cast<size_t>(cell)] = nearest(smallest);
      lowest[static_cast<size_t>(cells + cell)] = nearest(-largest);
    }
  }
};

inline const DynamicCodes& dynamic_codes(bool is_signed) {
  static const DynamicCodes with_sign(true), without_sign(false);
  return is_signed ? with_sign : without_sign;
}

}  // namespace fettle
