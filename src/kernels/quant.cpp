#include "kernels/quant.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/half.h"

namespace fettle {
namespace {

using Byte = uint8_t;

constexpr int small_block = 32;
constexpr int super_block = 256;

float load_f16(const Byte* p) {
  uint16_t half;
  std::memcpy(&half, p, sizeof half);
  return f16_to_float(half);
}

void store_f16(Byte* p, float value) {
  const uint16_t half = float_to_f16(value);
  std::memcpy(p, &half, sizeof half);
}

uint32_t load_u32(const Byte* p) {
  uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// ---- 32-element blocks: [d] [m] [high bits] nibbles, nibble j and j+16 in one byte

void decode_q8_0(const Byte* block, float* out) {
  const float d = load_f16(block);
  for (int j = 0; j < small_block; ++j) out[j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * d;
}

void encode_q8_0(const float* x, Byte* block) {
  float largest = 0.0F;
  for (int j = 0; j < small_block; ++j) largest = std::max(largest, std::fabs(x[j]));
  const float d = largest / 127.0F;
  const float inverse = d != 0.0F ? 1.0F / d : 0.0F;
  store_f16(block, d);
  for (int j = 0; j < small_block; ++j) {
    const float q = std::round(x[j] * inverse);
    block[2 + j] = static_cast<Byte>(static_cast<int8_t>(q > -128.0F && q < 128.0F ? q : 0.0F));
  }
}

/// q4_0, q4_1, q5_0, q5_1: `Bits` a value, with a minimum or centred on zero.
template <int Bits, bool Minimum>
struct Nibbles {
  static constexpr int high_at = Minimum ? 4 : 2;
  static constexpr int low_at = high_at + (Bits == 5 ? 4 : 0);
  static constexpr int levels = 1 << Bits;

  static void decode(const Byte* block, float* out) {
    const float d = load_f16(block);
    const float m = Minimum ? load_f16(block + 2) : 0.0F;
    const uint32_t high = Bits == 5 ? load_u32(block + high_at) : 0;
    for (int j = 0; j < small_block / 2; ++j) {
      const int first = static_cast<int>((block[low_at + j] & 0x0FU) | ((high >> j & 1U) << 4));
      const int second = static_cast<int>((block[low_at + j] >> 4U) | ((high >> (j + 16) & 1U) << 4));
      out[j] = value(first, d, m);
      out[j + 16] = value(second, d, m);
    }
  }

  static void encode(const float* x, Byte* block) {
    float origin = 0.0F, d = 0.0F;
    if constexpr (Minimum) {
      const auto [low, high] = std::minmax_element(x, x + small_block);
      origin = *low;
      d = (*high - *low) / static_cast<float>(levels - 1);
    } else {
      // The value of largest magnitude lands on the lowest level, which has no positive twin.
      const float* largest =
          std::max_element(x, x + small_block, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
      d = *largest / static_cast<float>(-levels / 2);
    }
    const float inverse = d != 0.0F ? 1.0F / d : 0.0F;
    store_f16(block, d);
    if constexpr (Minimum) store_f16(block + 2, origin);
    uint32_t high = 0;
    for (int j = 0; j < small_block / 2; ++j) {
      const uint32_t first = level((x[j] - origin) * inverse), second = level((x[j + 16] - origin) * inverse);
      block[low_at + j] = static_cast<Byte>((first & 0x0FU) | ((second & 0x0FU) << 4));
      high |= (first >> 4) << j | (second >> 4) << (j + 16);
    }
    if constexpr (Bits == 5) std::memcpy(block + high_at, &high, sizeof high);
  }

 private:
  static float value(int q, float d, float m) {
    return Minimum ? static_cast<float>(q) * d + m : static_cast<float>(q - levels / 2) * d;
  }
  static uint32_t level(float scaled) {
    const float shifted = scaled + (Minimum ? 0.5F : static_cast<float>(levels / 2) + 0.5F);
    return shifted > 0.0F ? static_cast<uint32_t>(std::min(shifted, static_cast<float>(levels - 1))) : 0U;
  }
};

// ---- 256-element super-blocks

void decode_q2_k(const Byte* block, float* out) {
  const Byte *scales = block, *q = block + 16;
  const float d = load_f16(block + 80), dmin = load_f16(block + 82);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(scales[group] & 0x0F);
    const float minimum = dmin * static_cast<float>(scales[group] >> 4);
    const Byte* from = q + group / 8 * 32 + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    for (int j = 0; j < 16; ++j) *out++ = scale * static_cast<float>(from[j] >> shift & 3) - minimum;
  }
}

void decode_q3_k(const Byte* block, float* out) {
  const Byte *high = block, *q = block + 32, *packed = block + 96;
  const float d = load_f16(block + 108);
  for (int group = 0; group < 16; ++group) {
    const int low_bits = packed[group % 8] >> (group / 8 * 4) & 0x0F;
    const int high_bits = packed[8 + group % 4] >> (group / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low_bits | high_bits << 4) - 32);
    const Byte* from = q + group / 8 * 32 + group % 2 * 16;
    const Byte* high_from = high + group % 2 * 16;
    const int shift = group % 8 / 2 * 2, bit = group / 2;
    for (int j = 0; j < 16; ++j) {
      const int value = (from[j] >> shift & 3) - ((high_from[j] >> bit & 1) != 0 ? 0 : 4);
      *out++ = scale * static_cast<float>(value);
    }
  }
}

/// The 6-bit scales and minima of the eight groups of a q4_k or q5_k block, in 12 bytes.
struct GroupScales {
  std::array<Byte, 8> scale, minimum;

  static GroupScales unpack(const Byte* p) {
    GroupScales s{};
    for (size_t j = 0; j < 4; ++j) {
      s.scale[j] = p[j] & 63;
      s.minimum[j] = p[j + 4] & 63;
      s.scale[j + 4] = static_cast<Byte>((p[j + 8] & 0x0F) | (p[j] >> 6) << 4);
      s.minimum[j + 4] = static_cast<Byte>(p[j + 8] >> 4 | (p[j + 4] >> 6) << 4);
    }
    return s;
  }
  void pack(Byte* p) const {
    for (size_t j = 0; j < 4; ++j) {
      p[j] = static_cast<Byte>(scale[j] | (scale[j + 4] >> 4) << 6);
      p[j + 4] = static_cast<Byte>(minimum[j] | (minimum[j + 4] >> 4) << 6);
      p[j + 8] = static_cast<Byte>((scale[j + 4] & 0x0F) | (minimum[j + 4] & 0x0F) << 4);
    }
  }
};

/// q4_k and q5_k: d, dmin, 12 bytes of scales, (32 bytes of fifth bits), 128 bytes of nibbles.
template <int Bits>
struct Grouped {
  static constexpr int high_at = 16;
  static constexpr int low_at = Bits == 5 ? 48 : 16;

  static void decode(const Byte* block, float* out) {
    const float d = load_f16(block), dmin = load_f16(block + 2);
    const auto scales = GroupScales::unpack(block + 4);
    for (int group = 0; group < 8; ++group) {
      const float scale = d * static_cast<float>(scales.scale[static_cast<size_t>(group)]);
      const float minimum = dmin * static_cast<float>(scales.minimum[static_cast<size_t>(group)]);
      const Byte* low = block + low_at + group / 2 * 32;
      for (int j = 0; j < 32; ++j) {
        int q = low[j] >> (group % 2 * 4) & 0x0F;
        if constexpr (Bits == 5) q |= (block[high_at + j] >> group & 1) << 4;
        *out++ = scale * static_cast<float>(q) - minimum;
      }
    }
  }

  static void encode(const float* x, Byte* block);
};

void decode_q6_k(const Byte* block, float* out) {
  const Byte *low = block, *high = block + 128;
  const Byte* scales = block + 192;
  const float d = load_f16(block + 208);
  for (int half = 0; half < 2; ++half) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      const Byte* from = low + half * 64 + quarter % 2 * 32;
      for (int j = 0; j < 32; ++j) {
        const int bits = (from[j] >> (quarter / 2 * 4) & 0x0F) | (high[half * 32 + j] >> (quarter * 2) & 3)
                                                                     << 4;
        const auto scale = static_cast<int8_t>(scales[half * 8 + quarter * 2 + j / 16]);
        *out++ = d * static_cast<float>(scale) * static_cast<float>(bits - 32);
      }
    }
  }
}

/// To the nearest integer, halves to even, as adding 1.5 * 2^23 does it. Some integer for what is too large
/// or NaN.
int nearest(float value) {
  const float shifted = value + 12582912.0F;
  return static_cast<int>(std::bit_cast<uint32_t>(shifted) & 0x007FFFFFU) - 0x00400000;
}

struct ScaleAndMinimum {
  float scale, minimum;  ///< x ≈ scale * level - minimum, both at least 0
};

/// The weighted least squares fit of a scale and a minimum to `n` values at `levels`+1 levels: `steps`
/// roundings with slightly different scales are tried, the one of the smallest squared error is kept.
/// Weights: rms + |x|. `chosen` takes the levels of the best.
ScaleAndMinimum fit_scale_and_minimum(const float* x, int levels, int* chosen) {
  constexpr int n = 32;
  const float from = levels == 15 ? -1.0F : -0.5F;
  const int last = levels == 15 ? 20 : 15;

  std::array<float, n> weight{};
  float squares = 0.0F;
  for (int i = 0; i < n; ++i) squares += x[i] * x[i];
  const float rms = std::sqrt(squares / static_cast<float>(n));
  for (int i = 0; i < n; ++i) weight[static_cast<size_t>(i)] = rms + std::fabs(x[i]);

  float low = x[0], high = x[0], sum_w = weight[0], sum_x = sum_w * x[0];
  for (int i = 1; i < n; ++i) {
    const float w = weight[static_cast<size_t>(i)];
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
    sum_w += w;
    sum_x += w * x[i];
  }
  std::fill_n(chosen, n, 0);
  if (low > 0.0F) low = 0.0F;
  if (high == low) return {0.0F, -low};

  const auto round_all = [&](float inverse, std::array<int, n>& q) {
    for (int i = 0; i < n; ++i)
      q[static_cast<size_t>(i)] = std::clamp(nearest(inverse * (x[i] - low)), 0, levels);
  };
  const auto error_of = [&](const std::array<int, n>& q, float scale, float offset) {
    float error = 0.0F;
    for (int i = 0; i < n; ++i) {
      const float difference = scale * static_cast<float>(q[static_cast<size_t>(i)]) + offset - x[i];
      error += weight[static_cast<size_t>(i)] * (difference * difference);
    }
    return error;
  };

  std::array<int, n> q{};
  const float inverse = static_cast<float>(levels) / (high - low);
  float scale = 1.0F / inverse, offset = low;
  round_all(inverse, q);
  std::copy(q.begin(), q.end(), chosen);
  float best = error_of(q, scale, offset);
  for (int attempt = 0; attempt <= last; ++attempt) {
    // Each rounding starts from the smallest value that the best fit so far implies.
    const float numerator = from + 0.1F * static_cast<float>(attempt) + static_cast<float>(levels);
    low = offset;
    round_all(numerator / (high - low), q);
    float sum_l = 0.0F, sum_l2 = 0.0F, sum_xl = 0.0F;
    for (int i = 0; i < n; ++i) {
      const float w = weight[static_cast<size_t>(i)], l = static_cast<float>(q[static_cast<size_t>(i)]);
      sum_l += w * l;
      sum_l2 += w * l * l;
      sum_xl += w * l * x[i];
    }
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0.0F)) continue;
    float fitted_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float fitted_offset = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (fitted_offset > 0.0F) {
      fitted_offset = 0.0F;
      fitted_scale = sum_xl / sum_l2;
    }
    const float error = error_of(q, fitted_scale, fitted_offset);
    if (error < best) {
      best = error;
      scale = fitted_scale;
      offset = fitted_offset;
      std::copy(q.begin(), q.end(), chosen);
    }
  }
  return {scale, -offset};
}

template <int Bits>
void Grouped<Bits>::encode(const float* x, Byte* block) {
  constexpr int levels = (1 << Bits) - 1;
  std::array<int, super_block> fitted{};
  std::array<ScaleAndMinimum, 8> fits{};
  float max_scale = 0.0F, max_minimum = 0.0F;
  for (size_t group = 0; group < 8; ++group) {
    fits[group] = fit_scale_and_minimum(x + 32 * group, levels, fitted.data() + 32 * group);
    max_scale = std::max(max_scale, fits[group].scale);
    max_minimum = std::max(max_minimum, fits[group].minimum);
  }
  const float inverse_scale = max_scale > 0.0F ? 63.0F / max_scale : 0.0F;
  const float inverse_minimum = max_minimum > 0.0F ? 63.0F / max_minimum : 0.0F;
  GroupScales scales{};
  for (size_t group = 0; group < 8; ++group) {
    const auto six_bits = [](float value) { return std::min<Byte>(63, static_cast<Byte>(nearest(value))); };
    scales.scale[group] = six_bits(inverse_scale * fits[group].scale);
    scales.minimum[group] = six_bits(inverse_minimum * fits[group].minimum);
  }
  std::memset(block, 0, static_cast<size_t>(low_at) + 128);
  store_f16(block, max_scale / 63.0F);
  store_f16(block + 2, max_minimum / 63.0F);
  scales.pack(block + 4);

  const float d = load_f16(block), dmin = load_f16(block + 2);
  for (size_t group = 0; group < 8; ++group) {
    const float scale = d * static_cast<float>(scales.scale[group]);
    const float minimum = dmin * static_cast<float>(scales.minimum[group]);
    Byte* low = block + low_at + group / 2 * 32;
    for (size_t j = 0; j < 32; ++j) {
      const size_t i = 32 * group + j;
      const int q = scale != 0.0F ? std::clamp(nearest((x[i] + minimum) / scale), 0, levels) : fitted[i];
      low[j] = static_cast<Byte>(low[j] | (q & 0x0F) << (group % 2 * 4));
      if constexpr (Bits == 5) block[high_at + j] = static_cast<Byte>(block[high_at + j] | (q >> 4) << group);
    }
  }
}

/// A group whose largest magnitude is below this counts as zero.
constexpr float negligible = 1e-15F;

/// The scale of 16 values at levels -32…31 that loses least, weighted by x²: a few roundings are tried, and
/// the best by least squares is kept. `chosen` takes its levels, from 0.
float fit_signed_scale(const float* x, int* chosen) {
  constexpr int n = 16, top = 32;
  float largest = 0.0F, magnitude = 0.0F;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > magnitude) {
      magnitude = std::fabs(x[i]);
      largest = x[i];
    }
  }
  std::fill_n(chosen, n, 0);
  if (magnitude < negligible) return 0.0F;
  float scale = 0.0F, best = 0.0F;
  for (int attempt = 0; attempt < 19; ++attempt) {
    // The plain rounding first, then the nine on either side of it, from below.
    const int offset = attempt == 0 ? 0 : attempt <= 9 ? attempt - 10 : attempt - 9;
    const float inverse = -(static_cast<float>(top) + 0.1F * static_cast<float>(offset)) / largest;
    float sum_xl = 0.0F, sum_l2 = 0.0F;
    std::array<int, n> q{};
    for (int i = 0; i < n; ++i) {
      q[static_cast<size_t>(i)] = std::clamp(nearest(inverse * x[i]), -top, top - 1);
      const auto l = static_cast<float>(q[static_cast<size_t>(i)]);
      const float w = x[i] * x[i];
      sum_xl += w * x[i] * l;
      sum_l2 += w * l * l;
    }
    if (attempt > 0 && !(sum_l2 > 0.0F && sum_xl * sum_xl > best * sum_l2)) continue;
    scale = sum_l2 != 0.0F ? sum_xl / sum_l2 : 0.0F;
    best = scale * sum_xl;
    for (size_t i = 0; i < q.size(); ++i) chosen[i] = q[i] + top;
  }
  return scale;
}

void encode_q6_k(const float* x, Byte* block) {
  std::memset(block, 0, 210);
  std::array<int, super_block> q{};
  std::array<float, 16> scales{};
  float max_scale = 0.0F;
  for (size_t group = 0; group < 16; ++group) {
    scales[group] = fit_signed_scale(x + 16 * group, q.data() + 16 * group);
    if (std::fabs(scales[group]) > std::fabs(max_scale)) max_scale = scales[group];
  }
  if (std::fabs(max_scale) < negligible) return;
  const float inverse = -128.0F / max_scale;
  store_f16(block + 208, 1.0F / inverse);
  const float d = load_f16(block + 208);
  for (size_t group = 0; group < 16; ++group) {
    const auto step = static_cast<int8_t>(std::clamp(nearest(inverse * scales[group]), -128, 127));
    block[192 + group] = static_cast<Byte>(step);
    const float scale = d * static_cast<float>(step);
    if (scale == 0.0F) continue;
    for (size_t j = 16 * group; j < 16 * (group + 1); ++j)
      q[j] = std::clamp(nearest(x[j] / scale), -32, 31) + 32;
  }
  for (size_t half = 0; half < 2; ++half) {
    for (size_t j = 0; j < 32; ++j) {
      const int* v = q.data() + half * 128 + j;
      block[half * 64 + j] = static_cast<Byte>((v[0] & 0x0F) | (v[64] & 0x0F) << 4);
      block[half * 64 + 32 + j] = static_cast<Byte>((v[32] & 0x0F) | (v[96] & 0x0F) << 4);
      block[128 + half * 32 + j] =
          static_cast<Byte>(v[0] >> 4 | (v[32] >> 4) << 2 | (v[64] >> 4) << 4 | (v[96] >> 4) << 6);
    }
  }
}

using Decode = void (*)(const Byte*, float*);
using Encode = void (*)(const float*, Byte*);

Decode decoder_of(DType dtype) {
  switch (dtype) {
    case DType::q8_0:
      return decode_q8_0;
    case DType::q4_0:
      return Nibbles<4, false>::decode;
    case DType::q4_1:
      return Nibbles<4, true>::decode;
    case DType::q5_0:
      return Nibbles<5, false>::decode;
    case DType::q5_1:
      return Nibbles<5, true>::decode;
    case DType::q2_k:
      return decode_q2_k;
    case DType::q3_k:
      return decode_q3_k;
    case DType::q4_k:
      return Grouped<4>::decode;
    case DType::q5_k:
      return Grouped<5>::decode;
    case DType::q6_k:
      return decode_q6_k;
    default:
      return nullptr;
  }
}

Encode encoder_of(DType dtype) {
  switch (dtype) {
    case DType::q8_0:
      return encode_q8_0;
    case DType::q4_0:
      return Nibbles<4, false>::encode;
    case DType::q4_1:
      return Nibbles<4, true>::encode;
    case DType::q5_0:
      return Nibbles<5, false>::encode;
    case DType::q5_1:
      return Nibbles<5, true>::encode;
    case DType::q4_k:
      return Grouped<4>::encode;
    case DType::q5_k:
      return Grouped<5>::encode;
    case DType::q6_k:
      return encode_q6_k;
    default:
      return nullptr;
  }
}

template <typename Convert>
void widen(const Byte* row, float* out, int64_t n, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t value;
    std::memcpy(&value, row + 2 * i, sizeof value);
    out[i] = convert(value);
  }
}

template <typename Convert>
void narrow(const float* values, Byte* row, int64_t n, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t value = convert(values[i]);
    std::memcpy(row + 2 * i, &value, sizeof value);
  }
}

}  // namespace

void dequantize_row(DType dtype, const void* row, float* out, int64_t n) {
  const auto* bytes = static_cast<const Byte*>(row);
  if (dtype == DType::f32) {
    std::memcpy(out, row, static_cast<size_t>(n) * sizeof(float));
  } else if (dtype == DType::f16) {
    widen(bytes, out, n, f16_to_float);
  } else if (dtype == DType::bf16) {
    widen(bytes, out, n, bf16_to_float);
  } else {
    const Decode decode = decoder_of(dtype);
    const auto layout = block_layout(dtype);
    FETTLE_CHECK(decode != nullptr && n % layout.elements == 0);
    for (int64_t i = 0; i < n / layout.elements; ++i)
      decode(bytes + i * layout.bytes, out + i * layout.elements);
  }
}

bool can_quantize(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || encoder_of(dtype) != nullptr;
}

void quantize_row(DType dtype, const float* values, void* row, int64_t n) {
  auto* bytes = static_cast<Byte*>(row);
  if (dtype == DType::f32) {
    std::memcpy(row, values, static_cast<size_t>(n) * sizeof(float));
  } else if (dtype == DType::f16) {
    narrow(values, bytes, n, float_to_f16);
  } else if (dtype == DType::bf16) {
    narrow(values, bytes, n, float_to_bf16);
  } else {
    const Encode encode = encoder_of(dtype);
    const auto layout = block_layout(dtype);
    FETTLE_CHECK(encode != nullptr && n % layout.elements == 0);
    for (int64_t i = 0; i < n / layout.elements; ++i)
      encode(values + i * layout.elements, bytes + i * layout.bytes);
  }
}

}  // namespace fettle
