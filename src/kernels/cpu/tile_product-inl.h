// Small matrix products on tiles that lie in the cache: c[m, n] (+)= a[m, k] b[k, n]. b and c are rows of
// whole vectors; a is read one value at a time, so that it may be transposed.
#if defined(FETTLE_KERNELS_CPU_TILE_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FETTLE_KERNELS_CPU_TILE_PRODUCT_INL_H_
#undef FETTLE_KERNELS_CPU_TILE_PRODUCT_INL_H_
#else
#define FETTLE_KERNELS_CPU_TILE_PRODUCT_INL_H_
#endif

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

struct TileA {
  const float* data;
  int64_t row, col;  ///< steps
};
struct TileB {
  const float* data;
  int64_t row;
};
struct TileC {
  float* data;
  int64_t row;
  bool add;  ///< c += …
};

/// rows × vectors accumulators stay in registers over the whole of k.
template <int rows, int vectors>
HWY_INLINE void tile_block(int64_t k, TileA a, TileB b, TileC c) {
  Vec acc[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v)
      acc[r][v] = c.add ? hn::LoadU(df, c.data + r * c.row + v * lanes()) : zero();
  }
  for (int64_t i = 0; i < k; ++i) {
    Vec right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = hn::LoadU(df, b.data + i * b.row + v * lanes());
    for (int r = 0; r < rows; ++r) {
      const Vec left = set(a.data[r * a.row + i * a.col]);
      for (int v = 0; v < vectors; ++v) acc[r][v] = hn::MulAdd(left, right[v], acc[r][v]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) hn::StoreU(acc[r][v], df, c.data + r * c.row + v * lanes());
  }
}

template <int vectors>
HWY_INLINE void tile_columns(int64_t m, int64_t k, TileA a, TileB b, TileC c) {
  int64_t i = 0;
  const auto rest = [&]<int rows>() HWY_ATTR {
    for (; i + rows <= m; i += rows) {
      tile_block<rows, vectors>(k, {a.data + i * a.row, a.row, a.col}, b, {c.data + i * c.row, c.row, c.add});
    }
  };
  rest.template operator()<6>();
  rest.template operator()<3>();
  rest.template operator()<1>();
}

/// n is a multiple of the vector. 6 rows by 4 vectors fill the 32 registers of AVX-512, 6 by 2 the 16 of
/// AVX2.
HWY_NOINLINE void tile_product(int64_t m, int64_t n, int64_t k, TileA a, TileB b, TileC c) {
  constexpr int widest = HWY_TARGET == HWY_AVX3 ? 4 : 2;
  int64_t j = 0;
  for (; j + widest * lanes() <= n; j += widest * lanes()) {
    tile_columns<widest>(m, k, a, {b.data + j, b.row}, {c.data + j, c.row, c.add});
  }
  for (; j + 2 * lanes() <= n; j += 2 * lanes()) {
    tile_columns<2>(m, k, a, {b.data + j, b.row}, {c.data + j, c.row, c.add});
  }
  for (; j < n; j += lanes()) tile_columns<1>(m, k, a, {b.data + j, b.row}, {c.data + j, c.row, c.add});
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard per instruction set
