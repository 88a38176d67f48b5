#include "kernels/cpu/unpack.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/unpack.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

template <typename Weight>
HWY_INLINE void write_row(Weight weight, int64_t n, void* to, bool bf16) {
  if (bf16) {
    for (int64_t i = 0; i < n; i += lanes())
      store_bf16(weight(i, n - i), static_cast<uint16_t*>(to) + i, n - i);
  } else {
    for (int64_t i = 0; i < n; i += lanes()) store(weight(i, n - i), static_cast<float*>(to) + i, n - i);
  }
}

void unpack_kernel(const Tensor& src, void* dst, bool bf16, int64_t begin, int64_t end) {
  const int64_t n = src.cols;
  for (int64_t r = begin; r < end; ++r) {
    const std::byte* row = stored_row(src, r);
    std::byte* to = static_cast<std::byte*>(dst) + (r - begin) * n * (bf16 ? 2 : 4);
    if (!is_quantized(src.dtype)) {
      with_loader(src.dtype, row, [&](auto loader) HWY_ATTR { write_row(loader, n, to, bf16); });
      continue;
    }
    with_decoder(src.dtype, [&]<typename Decoder>() HWY_ATTR {
      const auto* block = reinterpret_cast<const uint8_t*>(row);
      if (!bf16) return decode_row<Decoder>(block, n, reinterpret_cast<float*>(to));
      auto* half = reinterpret_cast<uint16_t*>(to);
      for (int64_t i = 0; i < n; i += Decoder::elements, block += Decoder::bytes, half += Decoder::elements) {
        Decoder::decode(
            block, [half](int64_t offset, Vec v) HWY_ATTR { store_bf16(v, half + offset, lanes()); });
      }
    });
  }
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(unpack_kernel);

void unpack_rows(const Tensor& src, void* dst, bool bf16, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(unpack_kernel)(src, dst, bf16, begin, end);
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
