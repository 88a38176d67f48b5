// Vectors from and to stored types: 16-bit floats, and the decoding of quantised blocks. Every decoder
// multiplies and adds in the order of quant.cpp, so its values have the same bits.
#if defined(FETTLE_KERNELS_CPU_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FETTLE_KERNELS_CPU_CONVERT_INL_H_
#undef FETTLE_KERNELS_CPU_CONVERT_INL_H_
#else
#define FETTLE_KERNELS_CPU_CONVERT_INL_H_
#endif

#include "kernels/cpu/simd-inl.h"
#include "kernels/half.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

using U16 = hn::Rebind<uint16_t, F32>;
using U32 = hn::Rebind<uint32_t, F32>;
using U8 = hn::Rebind<uint8_t, F32>;

template <typename T, typename Tag>
HWY_INLINE hn::Vec<Tag> load_part(Tag d, const T* p, int64_t n) {
  if (HWY_LIKELY(n >= lanes())) return hn::LoadU(d, p);
  HWY_ALIGN T part[HWY_MAX_BYTES / 4] = {};
  for (int64_t i = 0; i < n; ++i) part[i] = p[i];
  return hn::LoadU(d, part);
}
template <typename T, typename Tag>
HWY_INLINE void store_part(hn::Vec<Tag> v, Tag d, T* p, int64_t n) {
  if (HWY_LIKELY(n >= lanes())) {
    hn::StoreU(v, d, p);
    return;
  }
  HWY_ALIGN T part[HWY_MAX_BYTES / 4];
  hn::StoreU(v, d, part);
  for (int64_t i = 0; i < n; ++i) p[i] = part[i];
}

HWY_INLINE Vec load_bf16(const uint16_t* p, int64_t n) {
  return hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(U32(), load_part(U16(), p, n))));
}

HWY_INLINE Vec load_f16(const uint16_t* p, int64_t n) {
  const hn::Rebind<hwy::float16_t, F32> dh;
  return hn::PromoteTo(df, hn::BitCast(dh, load_part(U16(), p, n)));
}

/// To nearest even; NaN becomes quiet.
HWY_INLINE void store_bf16(Vec v, uint16_t* p, int64_t n) {
  const U32 du;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFF))));
  const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40));
  rounded = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded);
  store_part(hn::DemoteTo(U16(), hn::BitCast(I32(), rounded)), U16(), p, n);
}

HWY_INLINE void store_f16(Vec v, uint16_t* p, int64_t n) {
#if HWY_TARGET == HWY_SCALAR
  if (n > 0) *p = float_to_f16(hn::GetLane(v));
#else
  const hn::Rebind<hwy::float16_t, F32> dh;
  store_part(hn::BitCast(U16(), hn::DemoteTo(dh, v)), U16(), p, n);
#endif
}

// ---- quantised blocks. decode(block, f) calls f(offset, values) for every vector of the block, `offset`
// ascending within each group.

/// N bytes as 32-bit integers.
HWY_INLINE hn::Vec<I32> load_bytes(const uint8_t* p) {
  return hn::PromoteTo(di, hn::LoadU(U8(), p));
}
HWY_INLINE hn::Vec<I32> load_signed(const uint8_t* p) {
  const hn::Rebind<int8_t, F32> d;
  return hn::PromoteTo(di, hn::BitCast(d, hn::LoadU(U8(), p)));
}
HWY_INLINE hn::Vec<I32> low_nibble(hn::Vec<I32> v) {
  return hn::And(v, hn::Set(di, 15));
}
HWY_INLINE uint16_t half_bits(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}
HWY_INLINE float half_at(const uint8_t* p) {
  return f16_to_float(half_bits(p));
}
/// The same in every lane.
HWY_INLINE Vec halves_at(const uint8_t* p) {
  const hn::Rebind<hwy::float16_t, F32> dh;
  return hn::PromoteTo(df, hn::BitCast(dh, hn::Set(U16(), half_bits(p))));
}

/// The 16 values that a nibble may stand for, and their choice by index: one permutation where a vector holds
/// all of them. The scale has so few digits that its products with a nibble are exact.
struct NibbleValues {
  Vec scale, offset, table;
  HWY_INLINE NibbleValues(Vec scale, Vec offset)
      : scale(scale), offset(offset), table(hn::MulAdd(hn::Iota(df, 0.0F), scale, offset)) {}
  HWY_INLINE Vec operator()(hn::Vec<I32> index) const {
#if HWY_TARGET == HWY_AVX3
    return hn::TableLookupLanes(table, hn::IndicesFromVec(df, index));
#else
    return hn::MulAdd(hn::ConvertTo(df, index), scale, offset);
#endif
  }
};
/// Bit `at + lane` of the word, as 16 or 0 in each lane.
HWY_INLINE hn::Vec<I32> fifth_bit(uint32_t word, int64_t at) {
  const U32 du;
  const auto lane = hn::Iota(du, 0);
  const auto one = hn::Shl(hn::Set(du, 1), lane);
  const auto set_bits = hn::TestBit(hn::Set(du, word >> at), one);
  return hn::BitCast(di, hn::IfThenElseZero(set_bits, hn::Set(du, 16)));
}

struct DecodeQ8_0 {
  static constexpr int64_t elements = 32, bytes = 34;
  template <typename F>
  static HWY_INLINE void decode(const uint8_t* block, F f) {
    const Vec d = halves_at(block);
    for (int64_t j = 0; j < 32; j += lanes()) f(j, hn::Mul(hn::ConvertTo(df, load_signed(block + 2 + j)), d));
  }
};

/// q4_0, q4_1, q5_0, q5_1: nibble j and j+16 in one byte.
template <int bits, bool has_stored_minimum>
struct DecodeNibbles {
  static constexpr int64_t high_at = has_stored_minimum ? 4 : 2, low_at = high_at + (bits == 5 ? 4 : 0);
  static constexpr int64_t elements = 32, bytes = low_at + 16;
  static HWY_INLINE Vec value(hn::Vec<I32> q, Vec d, Vec m) {
    if constexpr (has_stored_minimum) return hn::MulAdd(hn::ConvertTo(df, q), d, m);
    return hn::Mul(hn::ConvertTo(df, hn::Sub(q, hn::Set(di, 1 << (bits - 1)))), d);
  }
  template <typename F>
  static HWY_INLINE void decode(const uint8_t* block, F f) {
    const Vec d = halves_at(block), m = has_stored_minimum ? halves_at(block + 2) : hn::Mul(d, set(-8.0F));
    // Centred on zero: q * d - 8 * d is (q - 8) * d but for the sign of a zero, since both products are exact.
    const NibbleValues values(d, m);
    uint32_t high = 0;
    if constexpr (bits == 5) std::memcpy(&high, block + high_at, sizeof high);
    for (int64_t j = 0; j < 16; j += lanes()) {
      const auto both = load_bytes(block + low_at + j);
      const auto first = low_nibble(both), second = hn::ShiftRight<4>(both);
      if constexpr (bits == 5) {
        f(j, value(hn::Or(first, fifth_bit(high, j)), d, m));
        f(j + 16, value(hn::Or(second, fifth_bit(high, j + 16)), d, m));
      } else {
        f(j, values(first));
        f(j + 16, values(second));
      }
    }
  }
};

/// Lane-wise v >> count for one count.
HWY_INLINE hn::Vec<I32> shifted(hn::Vec<I32> v, int count) {
  return hn::ShiftRightSame(v, count);
}

struct DecodeQ2K {
  static constexpr int64_t elements = 256, bytes = 84;
  template <typename F>
  static HWY_INLINE void decode(const uint8_t* block, F f) {
    const float d = half_at(block + 80), dmin = half_at(block + 82);
    for (int group = 0; group < 16; ++group) {
      const Vec scale = set(d * static_cast<float>(block[group] & 15)),
                m = set(dmin * static_cast<float>(block[group] >> 4));
      const uint8_t* from = block + 16 + group / 8 * 32 + group % 2 * 16;
      for (int64_t j = 0; j < 16; j += lanes()) {
        const auto q = hn::And(shifted(load_bytes(from + j), group % 8 / 2 * 2), hn::Set(di, 3));
        f(group * 16 + j, hn::MulSub(scale, hn::ConvertTo(df, q), m));
      }
    }
  }
};

struct DecodeQ3K {
  static constexpr int64_t elements = 256, bytes = 110;
  template <typename F>
  static HWY_INLINE void decode(const uint8_t* block, F f) {
    const float d = half_at(block + 108);
    const uint8_t* packed = block + 96;
    for (int group = 0; group < 16; ++group) {
      const int low_bits = packed[group % 8] >> (group / 8 * 4) & 15,
                high_bits = packed[8 + group % 4] >> (group / 4 * 2) & 3;
      const Vec scale = set(d * static_cast<float>((low_bits | high_bits << 4) - 32));
      const uint8_t *from = block + 32 + group / 8 * 32 + group % 2 * 16, *high = block + group % 2 * 16;
      for (int64_t j = 0; j < 16; j += lanes()) {
        const auto low = hn::And(shifted(load_bytes(from + j), group % 8 / 2 * 2), hn::Set(di, 3));
        const auto bit = hn::And(shifted(load_bytes(high + j), group / 2), hn::Set(di, 1));
        const auto q = hn::Sub(hn::Add(low, hn::ShiftLeft<2>(bit)), hn::Set(di, 4));
        f(group * 16 + j, hn::Mul(scale, hn::ConvertTo(df, q)));
      }
    }
  }
};

/// q4_k and q5_k: d, dmin, 12 bytes of 6-bit scales and minima, (32 bytes of fifth bits), nibbles.
template <int bits>
struct DecodeGrouped {
  static constexpr int64_t low_at = bits == 5 ? 48 : 16;
  static constexpr int64_t elements = 256, bytes = low_at + 128;

  struct Factors {
    Vec scale, offset;
  };
  /// Of group 0 to 7.
  static HWY_INLINE Factors factors(const uint8_t* p, int group, float d, float dmin) {
    const int j = group & 3;
    const int s = group < 4 ? p[j] & 63 : (p[j + 8] & 15) | (p[j] >> 6) << 4;
    const int m = group < 4 ? p[j + 4] & 63 : p[j + 8] >> 4 | (p[j + 4] >> 6) << 4;
    return {set(d * static_cast<float>(s)), set(-(dmin * static_cast<float>(m)))};
  }
  template <typename F>
  static HWY_INLINE void decode(const uint8_t* block, F f) {
    const float d = half_at(block), dmin = half_at(block + 2);
    for (int pair = 0; pair < 4; ++pair) {
      const Factors a = factors(block + 4, 2 * pair, d, dmin), b = factors(block + 4, 2 * pair + 1, d, dmin);
      const NibbleValues first(a.scale, a.offset), second(b.scale, b.offset);
      const uint8_t* low = block + low_at + pair * 32;
      for (int64_t j = 0; j < 32; j += lanes()) {
        const auto both = load_bytes(low + j);
        auto q0 = low_nibble(both), q1 = hn::ShiftRight<4>(both);
        if constexpr (bits == 5) {
          const auto fifth = shifted(load_bytes(block + 16 + j), 2 * pair);
          q0 = hn::Or(q0, hn::ShiftLeft<4>(hn::And(fifth, hn::Set(di, 1))));
          q1 = hn::Or(q1, hn::ShiftLeft<3>(hn::And(fifth, hn::Set(di, 2))));
          f(pair * 64 + j, hn::MulAdd(hn::ConvertTo(df, q0), a.scale, a.offset));
          f(pair * 64 + 32 + j, hn::MulAdd(hn::ConvertTo(df, q1), b.scale, b.offset));
        } else {
          f(pair * 64 + j, first(q0));
          f(pair * 64 + 32 + j, second(q1));
        }
      }
    }
  }
};

struct DecodeQ6K {
  static constexpr int64_t elements = 256, bytes = 210;
  template <typename F>
  static HWY_INLINE void decode(const uint8_t* block, F f) {
    const float d = half_at(block + 208);
    for (int half = 0; half < 2; ++half) {
      const uint8_t *low = block + half * 64, *high = block + 128 + half * 32;
      for (int64_t j = 0; j < 32; j += lanes()) {
        const auto a = load_bytes(low + j), b = load_bytes(low + 32 + j), top = load_bytes(high + j);
        const auto two = hn::Set(di, 48);  // the two upper bits of six
        const auto emit = [&](int quarter, hn::Vec<I32> four, hn::Vec<I32> upper) HWY_ATTR {
          const auto scale = static_cast<int8_t>(block[192 + half * 8 + quarter * 2 + j / 16]);
          const auto q = hn::Sub(hn::Or(four, hn::And(upper, two)), hn::Set(di, 32));
          f(half * 128 + quarter * 32 + j, hn::Mul(set(d * static_cast<float>(scale)), hn::ConvertTo(df, q)));
        };
        emit(0, low_nibble(a), hn::ShiftLeft<4>(top));
        emit(1, low_nibble(b), hn::ShiftLeft<2>(top));
        emit(2, hn::ShiftRight<4>(a), top);
        emit(3, hn::ShiftRight<4>(b), hn::ShiftRight<2>(top));
      }
    }
  }
};

/// Calls f.template operator()<Decoder>() for a quantised type.
template <typename F>
HWY_INLINE void with_decoder(DType dtype, F f) {
  switch (dtype) {
    case DType::q8_0:
      return f.template operator()<DecodeQ8_0>();
    case DType::q4_0:
      return f.template operator()<DecodeNibbles<4, false>>();
    case DType::q4_1:
      return f.template operator()<DecodeNibbles<4, true>>();
    case DType::q5_0:
      return f.template operator()<DecodeNibbles<5, false>>();
    case DType::q5_1:
      return f.template operator()<DecodeNibbles<5, true>>();
    case DType::q2_k:
      return f.template operator()<DecodeQ2K>();
    case DType::q3_k:
      return f.template operator()<DecodeQ3K>();
    case DType::q4_k:
      return f.template operator()<DecodeGrouped<4>>();
    case DType::q5_k:
      return f.template operator()<DecodeGrouped<5>>();
    case DType::q6_k:
      return f.template operator()<DecodeQ6K>();
    default:
      check_failed("a quantised type", __FILE__, __LINE__);
  }
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard per instruction set
