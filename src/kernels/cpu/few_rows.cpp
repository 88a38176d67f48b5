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
HWY_INLINE void dot_values(const float* a, int64_t a_stride, const uint8_t* blocks, int64_t n, float* sums) {
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

/// Cheaper for one row or two: whole numbers times a, then the block's scale once, and its minimum times the
/// sum of a.
template <typename Decoder, int rows>
HWY_INLINE void dot_whole_numbers(const float* a, int64_t a_stride, const float* block_sums, const uint8_t* blocks,
                           int64_t n, float* sums) {
  // Short chains of additions: the processor looks only a few blocks ahead.
  Vec acc[rows], minima[rows];
  for (int r = 0; r < rows; ++r) acc[r] = minima[r] = zero();
  const int64_t count = n / Decoder::elements;
  for (int64_t i = 0; i < count; ++i, blocks += Decoder::bytes, a += Decoder::elements) {
    Vec part[rows][2];
    Decoder::decode_whole(blocks, [&](int64_t offset, Vec q) HWY_ATTR {
      const int way = offset < 16 ? 0 : 1;
      for (int r = 0; r < rows; ++r) {
        const Vec x = hn::LoadU(df, a + r * a_stride + offset);
        part[r][way] = offset % 16 == 0 ? hn::Mul(x, q) : hn::MulAdd(x, q, part[r][way]);
      }
    });
    const Vec d = halves_at(blocks);
    for (int r = 0; r < rows; ++r) acc[r] = hn::MulAdd(hn::Add(part[r][0], part[r][1]), d, acc[r]);
    if constexpr (Decoder::has_minimum) {
      const Vec m = Decoder::minimum(blocks);
      for (int r = 0; r < rows; ++r) minima[r] = hn::MulAdd(m, set(block_sums[r * count + i]), minima[r]);
    }
  }
  for (int r = 0; r < rows; ++r) sums[r] += sum_of(hn::Add(acc[r], minima[r]));
}

template <typename Decoder, int rows>
HWY_INLINE void dot_super_blocks(const float* a, int64_t a_stride, const uint8_t* blocks, int64_t n,
                                 float* sums) {
  HWY_ALIGN float part[part_elements];
  for (int64_t i = 0; i < n; i += part_elements) {
    const int64_t count = std::min(part_elements, n - i);
    decode_part<Decoder>(blocks + i / Decoder::elements * Decoder::bytes, count, part);
    dot_rows<rows>(a + i, a_stride, LoadFloat{part}, count, sums);
  }
}

template <int rows>
HWY_NOINLINE void product_of(const Tensor& c, const Tensor& a, const float* block_sums, const Tensor& b,
                             float alpha, float beta, int64_t begin, int64_t end) {
  const float* x = a.as<float>();
  const auto for_weight_rows = [&](auto dot) HWY_ATTR {
    for (int64_t j = begin; j < end; ++j) {
      float sums[rows] = {};
      dot(b.as<std::byte>() + row_bytes(b.dtype, j * b.stride), sums);
      for (int r = 0; r < rows; ++r) {
        float& result = c.row<float>(r)[j];
        result = alpha * sums[r] + (beta == 0.0F ? 0.0F : beta * result);
      }
    }
  };
  if (b.dtype == DType::f32) {
    return for_weight_rows([&](const std::byte* row, float* sums) HWY_ATTR {
      dot_rows<rows>(x, a.stride, LoadFloat{reinterpret_cast<const float*>(row)}, b.cols, sums);
    });
  }
  if (b.dtype == DType::bf16) {
    return for_weight_rows([&](const std::byte* row, float* sums) HWY_ATTR {
      dot_rows<rows>(x, a.stride, LoadBf16{reinterpret_cast<const uint16_t*>(row)}, b.cols, sums);
    });
  }
  if (b.dtype == DType::f16) {
    return for_weight_rows([&](const std::byte* row, float* sums) HWY_ATTR {
      dot_rows<rows>(x, a.stride, LoadF16{reinterpret_cast<const uint16_t*>(row)}, b.cols, sums);
    });
  }
  with_decoder(b.dtype, [&]<typename Decoder>() HWY_ATTR {
    for_weight_rows([&](const std::byte* row, float* sums) HWY_ATTR {
      const auto* blocks = reinterpret_cast<const uint8_t*>(row);
      if constexpr (Decoder::elements == 32 && rows <= 2) {
        dot_whole_numbers<Decoder, rows>(x, a.stride, block_sums, blocks, b.cols, sums);
      } else if constexpr (Decoder::elements == 32) {
        dot_values<Decoder, rows>(x, a.stride, blocks, b.cols, sums);
      } else {
        dot_super_blocks<Decoder, rows>(x, a.stride, blocks, b.cols, sums);
      }
    });
  });
}

/// Of every 32 values, divided among the lanes of a vector that will be summed.
void sum_blocks_kernel(const Tensor& a, float* sums) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* x = a.row<float>(r);
    for (int64_t i = 0; i < a.cols / 32; ++i, x += 32) {
      Vec sum = zero();
      for (int64_t j = 0; j < 32; j += lanes()) sum = hn::Add(sum, hn::LoadU(df, x + j));
      *sums++ = sum_of(sum) / static_cast<float>(lanes());
    }
  }
}

void few_rows_kernel(const Tensor& c, const Tensor& a, const float* block_sums, const Tensor& b, float alpha,
                     float beta, int64_t begin, int64_t end) {
  switch (a.rows) {
    case 1:
      return product_of<1>(c, a, block_sums, b, alpha, beta, begin, end);
    case 2:
      return product_of<2>(c, a, block_sums, b, alpha, beta, begin, end);
    case 3:
      return product_of<3>(c, a, block_sums, b, alpha, beta, begin, end);
    case 4:
      return product_of<4>(c, a, block_sums, b, alpha, beta, begin, end);
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
HWY_EXPORT(sum_blocks_kernel);
HWY_EXPORT(unpack_kernel);

void sum_blocks(const Tensor& a, float* sums) { HWY_DYNAMIC_DISPATCH(sum_blocks_kernel)(a, sums); }

void few_rows_product(const Tensor& c, const Tensor& a, const float* block_sums, const Tensor& b, float alpha,
                      float beta, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(few_rows_kernel)(c, a, block_sums, b, alpha, beta, begin, end);
}

void unpack_rows(const Tensor& src, void* dst, bool bf16, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(unpack_kernel)(src, dst, bf16, begin, end);
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
