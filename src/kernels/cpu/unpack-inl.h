// Rows of stored weights to floats, inside the kernels that multiply them.
#if defined(FETTLE_KERNELS_CPU_UNPACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FETTLE_KERNELS_CPU_UNPACK_INL_H_
#undef FETTLE_KERNELS_CPU_UNPACK_INL_H_
#else
#define FETTLE_KERNELS_CPU_UNPACK_INL_H_
#endif

#include "kernels/cpu/convert-inl.h"
#include "tensor/tensor.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

struct LoadFloat {
  const float* p;
  HWY_INLINE Vec operator()(int64_t i, int64_t n) const { return load(p + i, n); }
};
struct LoadBf16 {
  const uint16_t* p;
  HWY_INLINE Vec operator()(int64_t i, int64_t n) const { return load_bf16(p + i, n); }
};
struct LoadF16 {
  const uint16_t* p;
  HWY_INLINE Vec operator()(int64_t i, int64_t n) const { return load_f16(p + i, n); }
};

/// Calls f(loader) for a row of f32, bf16 or f16; loader(i, n) gives values [i, i + min(n, lanes)).
template <typename F>
HWY_INLINE void with_loader(DType dtype, const std::byte* row, F f) {
  if (dtype == DType::f32) return f(LoadFloat{reinterpret_cast<const float*>(row)});
  if (dtype == DType::bf16) return f(LoadBf16{reinterpret_cast<const uint16_t*>(row)});
  if (dtype == DType::f16) return f(LoadF16{reinterpret_cast<const uint16_t*>(row)});
  check_failed("a type of weights", __FILE__, __LINE__);
}

template <typename Decoder>
HWY_INLINE void decode_row(const uint8_t* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += Decoder::elements, blocks += Decoder::bytes, out += Decoder::elements) {
    Decoder::decode(blocks, [out](int64_t offset, Vec v) HWY_ATTR { hn::StoreU(v, df, out + offset); });
  }
}

HWY_INLINE const std::byte* stored_row(const Tensor& x, int64_t row) {
  return x.as<std::byte>() + row_bytes(x.dtype, row * x.stride);
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard per instruction set
