#include "kernels/cpu/few_rows.h"

#include <algorithm>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/few_rows.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

/// What a row of weights is unpacked to at a time; stays in the first cache.
constexpr int64_t part_elements = 1024;

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

/// sums[r] += Σ a[r, i] weight(i), i < n. Several accumulators hide the latency of the multiply-add.
template <int rows, typename Weight>
HWY_INLINE void dot_rows(const float* a, int64_t a_stride, Weight weight, int64_t n, float* sums) {
  constexpr int ways = rows == 1 ? 4 : rows <= 4 ? 2 : 1;
  Vec acc[rows][ways];
  for (int r = 0; r < rows; ++r) {
    for (int w = 0; w < ways; ++w) acc[r][w] = zero();
  }
  int64_t i = 0;
  for (; i + ways * lanes() <= n; i += ways * lanes()) {
    for (int w = 0; w < ways; ++w) {
      const Vec b = weight(i + w * lanes(), lanes());
      for (int r = 0; r < rows; ++r) {
        acc[r][w] = hn::MulAdd(hn::LoadU(df, a + r * a_stride + i + w * lanes()), b, acc[r][w]);
      }
    }
  }
  for (; i < n; i += lanes()) {
    const Vec b = weight(i, n - i);
    for (int r = 0; r < rows; ++r) acc[r][0] = hn::MulAdd(load(a + r * a_stride + i, n - i), b, acc[r][0]);
  }
  for (int r = 0; r < rows; ++r) {
    for (int w = 1; w < ways; ++w) acc[r][0] = hn::Add(acc[r][0], acc[r][w]);
    sums[r] += sum_of(acc[r][0]);
  }
}

template <typename Decoder>
HWY_INLINE void decode_part(const uint8_t* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += Decoder::elements, blocks += Decoder::bytes, out += Decoder::elements) {
    Decoder::decode(blocks, [out](int64_t offset, Vec v) HWY_ATTR { hn::StoreU(v, df, out + offset); });
  }
}

/// Blocks of 32: their values go from the decoder straight into the sums.
template <typename Decoder, int rows>
HWY_INLINE void dot_blocks(const float* a, int64_t a_stride, const uint8_t* blocks, int64_t n, float* sums) {
  Vec acc[rows][2];
  for (int r = 0; r < rows; ++r) acc[r][0] = acc[r][1] = zero();
  for (int64_t i = 0; i < n; i += Decoder::elements, blocks += Decoder::bytes) {
    Decoder::decode(blocks, [&](int64_t offset, Vec v) HWY_ATTR {
      const int way = offset < 16 ? 0 : 1;
      for (int r = 0; r < rows; ++r)
        acc[r][way] = hn::MulAdd(hn::LoadU(df, a + r * a_stride + i + offset), v, acc[r][way]);
    });
  }
  for (int r = 0; r < rows; ++r) sums[r] += sum_of(hn::Add(acc[r][0], acc[r][1]));
}

/// sums[r] += row `index` of b times each row of a.
template <int rows>
HWY_INLINE void dot_row(const Tensor& a, const Tensor& b, int64_t index, float* sums) {
  const float* x = a.as<float>();
  const std::byte* row = b.as<std::byte>() + row_bytes(b.dtype, index * b.stride);
  if (b.dtype == DType::f32)
    return dot_rows<rows>(x, a.stride, LoadFloat{reinterpret_cast<const float*>(row)}, b.cols, sums);
  const auto* half = reinterpret_cast<const uint16_t*>(row);
  if (b.dtype == DType::bf16) return dot_rows<rows>(x, a.stride, LoadBf16{half}, b.cols, sums);
  if (b.dtype == DType::f16) return dot_rows<rows>(x, a.stride, LoadF16{half}, b.cols, sums);
  with_decoder(b.dtype, [&]<typename Decoder>() HWY_ATTR {
    const auto* blocks = reinterpret_cast<const uint8_t*>(row);
    if constexpr (Decoder::elements == 32) {
      dot_blocks<Decoder, rows>(x, a.stride, blocks, b.cols, sums);
    } else {
      HWY_ALIGN float part[part_elements];
      for (int64_t i = 0; i < b.cols; i += part_elements) {
        const int64_t n = std::min(part_elements, b.cols - i);
        decode_part<Decoder>(blocks + i / Decoder::elements * Decoder::bytes, n, part);
        dot_rows<rows>(x + i, a.stride, LoadFloat{part}, n, sums);
      }
    }
  });
}

template <int rows>
void product_of(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta, int64_t begin,
                int64_t end) {
  for (int64_t j = begin; j < end; ++j) {
    float sums[rows] = {};
    dot_row<rows>(a, b, j, sums);
    for (int r = 0; r < rows; ++r) {
      float& result = c.row<float>(r)[j];
      result = alpha * sums[r] + (beta == 0.0F ? 0.0F : beta * result);
    }
  }
}

void few_rows_kernel(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta,
                     int64_t begin, int64_t end) {
  switch (a.rows) {
    case 1:
      return product_of<1>(c, a, b, alpha, beta, begin, end);
    case 2:
      return product_of<2>(c, a, b, alpha, beta, begin, end);
    case 3:
      return product_of<3>(c, a, b, alpha, beta, begin, end);
    case 4:
      return product_of<4>(c, a, b, alpha, beta, begin, end);
    case 5:
      return product_of<5>(c, a, b, alpha, beta, begin, end);
    case 6:
      return product_of<6>(c, a, b, alpha, beta, begin, end);
    case 7:
      return product_of<7>(c, a, b, alpha, beta, begin, end);
    case 8:
      return product_of<8>(c, a, b, alpha, beta, begin, end);
    default:
      check_failed("few rows", __FILE__, __LINE__);
  }
}

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
    const std::byte* row = src.as<std::byte>() + row_bytes(src.dtype, r * src.stride);
    std::byte* to = static_cast<std::byte*>(dst) + (r - begin) * n * (bf16 ? 2 : 4);
    if (src.dtype == DType::f32) {
      write_row(LoadFloat{reinterpret_cast<const float*>(row)}, n, to, bf16);
    } else if (src.dtype == DType::bf16) {
      write_row(LoadBf16{reinterpret_cast<const uint16_t*>(row)}, n, to, bf16);
    } else if (src.dtype == DType::f16) {
      write_row(LoadF16{reinterpret_cast<const uint16_t*>(row)}, n, to, bf16);
    } else {
      with_decoder(src.dtype, [&]<typename Decoder>() HWY_ATTR {
        const auto* block = reinterpret_cast<const uint8_t*>(row);
        if (!bf16) return decode_part<Decoder>(block, n, reinterpret_cast<float*>(to));
        auto* half = reinterpret_cast<uint16_t*>(to);
        for (int64_t i = 0; i < n;
             i += Decoder::elements, block += Decoder::bytes, half += Decoder::elements) {
          Decoder::decode(block,
                          [half](int64_t offset, Vec v) HWY_ATTR { store_bf16(v, half + offset, lanes()); });
        }
      });
    }
  }
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(few_rows_kernel);
HWY_EXPORT(unpack_kernel);

void few_rows_product(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta,
                      int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(few_rows_kernel)(c, a, b, alpha, beta, begin, end);
}

void unpack_rows(const Tensor& src, void* dst, bool bf16, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(unpack_kernel)(src, dst, bf16, begin, end);
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
