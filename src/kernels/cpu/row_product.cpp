// Every value of c is summed lane by lane in ascending order of k, one multiply-add after the other, and the lanes
// are added at the end in one fixed way. Tiles of rows and of weights hide the latency of those chains; cutting k
// keeps operands in the cache and does not change the chains, since their lanes are kept between the pieces.
#include "kernels/cpu/row_product.h"

#include <algorithm>

#include "kernels/cpu/targets.h"
#include "kernels/cpu/unpack.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_product.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

/// Sums in registers: 12 of AVX2's 16, 24 of AVX-512's 32.
constexpr int tile_rows = HWY_TARGET == HWY_AVX3 ? 6 : 3, tile_weights = 4;
/// Weight rows unpacked at a time; most columns of them, a multiple of every block; rows of c held meanwhile.
constexpr int64_t group_weights = 24, most_cols = 768, chunk_rows = 96;

/// to[i] = alpha * the sum of v[i]'s lanes + beta * to[i], i < count ≤ 4.
template <int count>
HWY_INLINE void write_sums(const Vec* v, float alpha, float beta, float* to) {
  HWY_ALIGN float sums[4];
  sums_of<count>(v, sums);
  for (int i = 0; i < count; ++i) to[i] = alpha * sums[i] + (beta == 0.0F ? 0.0F : beta * to[i]);
}

// ---- a few rows: from the stored weights into the sums

template <int rows, int weights>
struct Sums {
  Vec of[rows][weights];
  HWY_INLINE Sums() {
    for (auto& row : of) {
      for (Vec& v : row) v = zero();
    }
  }
};

/// The rows of a tile are read side by side, which the processor's own prefetching takes for no stream: ask for the
/// same place of the next tile.
HWY_INLINE void prefetch_next(const void* p, int64_t tile_bytes, int64_t bytes) {
  const auto* next = static_cast<const std::byte*>(p) + tile_bytes;
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(next + i);
}

/// weight(w, i, n) gives values [i, i + min(n, lanes)) of weight row w.
template <int rows, int weights, typename Weight>
HWY_INLINE Sums<rows, weights> add_loaded(Sums<rows, weights> sums, const float* a, int64_t a_stride, Weight weight,
                                          int64_t n) {
  const auto step = [&](int64_t i, int64_t count) HWY_ATTR {
    Vec left[rows];
    for (int r = 0; r < rows; ++r) left[r] = load(a + r * a_stride + i, count);
    for (int w = 0; w < weights; ++w) {
      const Vec right = weight(w, i, count);
      for (int r = 0; r < rows; ++r) sums.of[r][w] = hn::MulAdd(left[r], right, sums.of[r][w]);
    }
  };
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes()) step(i, lanes());
  if (i < n) step(i, n - i);
  return sums;
}

/// Blocks of 32 never leave the registers.
template <typename Decoder, int rows, int weights>
HWY_INLINE Sums<rows, weights> add_blocks(const float* a, int64_t a_stride, const uint8_t* blocks, int64_t row_bytes,
                                          int64_t n) {
  Sums<rows, weights> sums;
  for (int64_t i = 0; i < n; i += 32, blocks += Decoder::bytes) {
    for (int w = 0; w < weights; ++w) {
      Vec values[32 / lanes()];
      prefetch_next(blocks + w * row_bytes, weights * row_bytes, Decoder::bytes);
      Decoder::decode(blocks + w * row_bytes, [&](int64_t offset, Vec v) HWY_ATTR { values[offset / lanes()] = v; });
      for (int64_t j = 0; j < 32; j += lanes()) {
        for (int r = 0; r < rows; ++r) {
          sums.of[r][w] = hn::MulAdd(hn::LoadU(df, a + r * a_stride + i + j), values[j / lanes()], sums.of[r][w]);
        }
      }
    }
  }
  return sums;
}

/// Larger blocks are decoded one at a time.
template <typename Decoder, int rows, int weights>
HWY_INLINE Sums<rows, weights> add_super_blocks(const float* a, int64_t a_stride, const uint8_t* blocks,
                                                int64_t row_bytes, int64_t n) {
  HWY_ALIGN float values[weights][Decoder::elements];
  Sums<rows, weights> sums;
  for (int64_t i = 0; i < n; i += Decoder::elements, blocks += Decoder::bytes) {
    for (int w = 0; w < weights; ++w) {
      prefetch_next(blocks + w * row_bytes, weights * row_bytes, Decoder::bytes);
      decode_row<Decoder>(blocks + w * row_bytes, Decoder::elements, values[w]);
    }
    const auto weight = [&](int w, int64_t j, int64_t) HWY_ATTR { return hn::Load(df, values[w] + j); };
    sums = add_loaded(sums, a + i, a_stride, weight, Decoder::elements);
  }
  return sums;
}

template <int rows, int weights>
HWY_INLINE void direct_tile(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta, int64_t j) {
  const auto* x = a.as<float>();
  const std::byte* first = stored_row(b, j);
  const int64_t step = row_bytes(b.dtype, b.stride);
  const auto finish = [&](const Sums<rows, weights>& sums) HWY_ATTR {
    for (int r = 0; r < rows; ++r) {
      constexpr int each = std::min(4, weights);
      for (int w = 0; w < weights; w += each) {
        write_sums<each>(sums.of[r] + w, alpha, beta, c.row<float>(r) + j + w);
      }
    }
  };
  if (!is_quantized(b.dtype)) {
    return with_loader(b.dtype, first, [&](auto loader) HWY_ATTR {
      using Loader = decltype(loader);
      const auto weight = [=](int w, int64_t i, int64_t n) HWY_ATTR {
        const Loader row{reinterpret_cast<decltype(loader.p)>(first + w * step)};
        prefetch_next(row.p + i, weights * step, 1);
        return row(i, n);
      };
      finish(add_loaded(Sums<rows, weights>(), x, a.stride, weight, b.cols));
    });
  }
  with_decoder(b.dtype, [&]<typename Decoder>() HWY_ATTR {
    const auto* blocks = reinterpret_cast<const uint8_t*>(first);
    if constexpr (Decoder::elements == 32) {
      finish(add_blocks<Decoder, rows, weights>(x, a.stride, blocks, step, b.cols));
    } else {
      finish(add_super_blocks<Decoder, rows, weights>(x, a.stride, blocks, step, b.cols));
    }
  });
}

/// Eight sums at once hide the latency of the multiply-add.
template <int rows>
HWY_NOINLINE void direct_product(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta,
                                 int64_t begin, int64_t end) {
  constexpr int weights = rows == 1 ? row_product_unit : rows == 2 ? 4 : 2;
  int64_t j = begin;
  for (; j + weights <= end; j += weights) direct_tile<rows, weights>(c, a, b, alpha, beta, j);
  for (; j < end; ++j) direct_tile<rows, 1>(c, a, b, alpha, beta, j);
}

// ---- more rows: a group of weights is decoded once for many of them

struct Tile {
  const float* a;
  int64_t a_stride;
  const float* weights;
  int64_t weight_stride;
  int64_t cols;
  float* sums;       ///< [rows][group_weights] vectors, between the pieces of k
  bool first, last;  ///< whether the sums begin here, and end here in c
  float* c;
  int64_t c_stride;
  float alpha, beta;
};

/// sums[r][w] += a[r] weights[w], lane by lane.
template <int rows, int weights>
HWY_INLINE void add_tile(const Tile& t) {
  Vec acc[rows][weights];
  for (int r = 0; r < rows; ++r) {
    for (int w = 0; w < weights; ++w) {
      acc[r][w] = t.first ? zero() : hn::Load(df, t.sums + (r * group_weights + w) * lanes());
    }
  }
  int64_t k = 0;
  for (; k + lanes() <= t.cols; k += lanes()) {
    Vec right[weights];
    for (int w = 0; w < weights; ++w) right[w] = hn::LoadU(df, t.weights + w * t.weight_stride + k);
    for (int r = 0; r < rows; ++r) {
      const Vec left = hn::LoadU(df, t.a + r * t.a_stride + k);
      for (int w = 0; w < weights; ++w) acc[r][w] = hn::MulAdd(left, right[w], acc[r][w]);
    }
  }
  if (k < t.cols) {
    for (int r = 0; r < rows; ++r) {
      const Vec left = load(t.a + r * t.a_stride + k, t.cols - k);
      for (int w = 0; w < weights; ++w) {
        acc[r][w] = hn::MulAdd(left, load(t.weights + w * t.weight_stride + k, t.cols - k), acc[r][w]);
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    if (t.last) {
      write_sums<weights>(acc[r], t.alpha, t.beta, t.c + r * t.c_stride);
    } else {
      for (int w = 0; w < weights; ++w) hn::Store(acc[r][w], df, t.sums + (r * group_weights + w) * lanes());
    }
  }
}

template <int weights>
HWY_NOINLINE void add_rows(Tile t, int64_t rows) {
  const auto step = [&]<int count>() HWY_ATTR {
    add_tile<count, weights>(t);
    rows -= count;
    t.a += count * t.a_stride;
    t.sums += count * group_weights * lanes();
    t.c += count * t.c_stride;
  };
  while (rows >= tile_rows + 2 || rows == tile_rows) step.template operator()<tile_rows>();
  // A row alone would wait for its sums.
  while (rows > 4 || rows == 3) step.template operator()<3>();
  while (rows >= 2) step.template operator()<2>();
  if (rows == 1) step.template operator()<1>();
}

/// Pieces of k of about the same length.
HWY_INLINE int64_t piece_of(int64_t cols, int64_t unit) {
  const int64_t pieces = (cols + most_cols - 1) / most_cols;
  return ((cols + pieces - 1) / pieces + unit - 1) / unit * unit;
}

HWY_NOINLINE void chunk_product(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta,
                                int64_t begin, int64_t end) {
  HWY_ALIGN float unpacked[group_weights * most_cols];
  HWY_ALIGN float sums[chunk_rows * group_weights * (HWY_MAX_BYTES / 4)];
  const int64_t piece = piece_of(b.cols, std::max<int64_t>(block_layout(b.dtype).elements, lanes()));
  for (int64_t first = begin; first < end; first += group_weights) {
    const int64_t weights = std::min(group_weights, end - first);
    for (int64_t col = 0; col < b.cols; col += piece) {
      const int64_t cols = std::min(piece, b.cols - col);
      Tile tile{a.as<float>() + col, a.stride, unpacked, cols, cols, sums, col == 0, col + cols == b.cols,
                c.as<float>() + first, c.stride, alpha, beta};
      if (b.dtype == DType::f32) {
        tile.weights = b.row<float>(first) + col;
        tile.weight_stride = b.stride;
      } else {
        unpack_rows(b.row_slice(first, first + weights).col_slice(col, col + cols), unpacked, false, 0, weights);
      }
      int64_t w = 0;
      const auto next = [&](int64_t count) {
        tile.weights += count * tile.weight_stride;
        tile.sums += count * lanes();
        tile.c += count;
      };
      for (; w + tile_weights <= weights; w += tile_weights) {
        add_rows<tile_weights>(tile, c.rows);
        next(tile_weights);
      }
      for (; w < weights; ++w) {
        add_rows<1>(tile, c.rows);
        next(1);
      }
    }
  }
}

void row_product_kernel(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta, int64_t begin,
                        int64_t end) {
  // Weights for so few rows are not worth storing after they were decoded.
  if (c.rows == 1) return direct_product<1>(c, a, b, alpha, beta, begin, end);
  if (c.rows == 2) return direct_product<2>(c, a, b, alpha, beta, begin, end);
  if (c.rows == 3) return direct_product<3>(c, a, b, alpha, beta, begin, end);
  if (c.rows == 4) return direct_product<4>(c, a, b, alpha, beta, begin, end);
  for (int64_t r = 0; r < c.rows; r += chunk_rows) {
    const int64_t last = std::min(c.rows, r + chunk_rows);
    chunk_product(c.row_slice(r, last), a.row_slice(r, last), b, alpha, beta, begin, end);
  }
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(row_product_kernel);

void row_product(const Tensor& c, const Tensor& a, const Tensor& b, float alpha, float beta, int64_t begin,
                 int64_t end) {
  HWY_DYNAMIC_DISPATCH(row_product_kernel)(c, a, b, alpha, beta, begin, end);
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
