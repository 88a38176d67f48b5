#include "kernels/cpu/narrow_product.h"

#include <algorithm>

#include "kernels/cpu/few_rows.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/narrow_product.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

// A panel is up to three vectors of a's rows, columns of a one after the other. Sums of weight rows × vectors
// stay in registers: 12 of AVX2's 16, 24 of AVX-512's 32.
constexpr int64_t panel_vectors = 2;
constexpr int sums_in_registers = HWY_TARGET == HWY_AVX3 ? 24 : 12;
/// Weight rows unpacked at a time, and most of their columns; a multiple of every tile and every block.
constexpr int64_t tile_rows = 24, tile_cols = 512;

struct Panel {
  int64_t first, vectors;  ///< of a's rows, in vectors
};

/// Calls body(panel) for the panels of `rows` rows. A last vector alone would leave registers empty.
template <typename Body>
HWY_INLINE void for_panels(int64_t rows, Body body) {
  const int64_t all = (rows + lanes() - 1) / lanes();
  for (int64_t first = 0; first < all;) {
    const int64_t vectors = all - first == 3 ? 3 : std::min(panel_vectors, all - first);
    body(Panel{first, vectors});
    first += vectors;
  }
}

void pack_rows_kernel(const Tensor& a, float* packed, int64_t begin, int64_t end) {
  for_panels(a.rows, [&](Panel panel) HWY_ATTR {
    const int64_t width = panel.vectors * lanes(), first_row = panel.first * lanes();
    float* to = packed + first_row * a.cols;
    const int64_t rows = std::min(width, a.rows - first_row);
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = a.row<float>(first_row + r);
      for (int64_t k = begin; k < end; ++k) to[k * width + r] = from[k];
    }
    for (int64_t k = begin; k < end && rows < width; ++k) std::fill(to + k * width + rows, to + (k + 1) * width, 0.0F);
  });
}

struct Tile {
  const float* weights;
  int64_t weight_stride;
  const float* panel;  ///< [cols][vectors]
  int64_t cols;
  float* sums;
  int64_t sum_stride;
};

/// sums[r][v] += Σ weights[r][k] panel[k][v]. The new sum is added as one, which keeps long sums exact.
template <int rows, int vectors>
HWY_INLINE void add_tile(const Tile& t) {
  Vec acc[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) acc[r][v] = zero();
  }
  const float* right_at = t.panel;
  for (int64_t k = 0; k < t.cols; ++k, right_at += vectors * lanes()) {
    Vec right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = hn::LoadU(df, right_at + v * lanes());
    for (int r = 0; r < rows; ++r) {
      const Vec left = set(t.weights[r * t.weight_stride + k]);
      for (int v = 0; v < vectors; ++v) acc[r][v] = hn::MulAdd(left, right[v], acc[r][v]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    float* to = t.sums + r * t.sum_stride;
    for (int v = 0; v < vectors; ++v, to += lanes()) hn::StoreU(hn::Add(hn::LoadU(df, to), acc[r][v]), df, to);
  }
}

template <int vectors>
HWY_NOINLINE void add_rows(Tile t, int64_t rows) {
  const auto step = [&]<int count>() HWY_ATTR {
    for (; rows >= count; rows -= count) {
      add_tile<count, vectors>(t);
      t.weights += count * t.weight_stride;
      t.sums += count * t.sum_stride;
    }
  };
  step.template operator()<sums_in_registers / vectors>();
  step.template operator()<2>();
  step.template operator()<1>();
}

void narrow_product_kernel(const Tensor& c, const float* packed, const Tensor& b, float alpha, float beta,
                           int64_t begin, int64_t end) {
  HWY_ALIGN float weights[tile_rows * tile_cols];
  HWY_ALIGN float sums[tile_rows * (most_narrow_rows + HWY_MAX_BYTES / 4)];
  const int64_t sum_stride = (c.rows + lanes() - 1) / lanes() * lanes();
  // Pieces of about the same length whose part of a panel leaves room in the first cache.
  constexpr int64_t wanted_cols = 384;
  const int64_t unit = block_layout(b.dtype).elements;
  const int64_t pieces = (b.cols + wanted_cols - 1) / wanted_cols;
  const int64_t piece = ((b.cols + pieces - 1) / pieces + unit - 1) / unit * unit;
  for (int64_t row = begin; row < end; row += tile_rows) {
    const int64_t rows = std::min(tile_rows, end - row);
    std::fill(sums, sums + rows * sum_stride, 0.0F);
    for (int64_t col = 0; col < b.cols; col += piece) {
      const int64_t cols = std::min(piece, b.cols - col);
      Tile tile{weights, cols, nullptr, cols, sums, sum_stride};
      if (b.dtype == DType::f32) {
        tile.weights = b.row<float>(row) + col;
        tile.weight_stride = b.stride;
      } else {
        unpack_rows(b.row_slice(row, row + rows).col_slice(col, col + cols), weights, false, 0, rows);
      }
      for_panels(c.rows, [&](Panel panel) HWY_ATTR {
        tile.panel = packed + panel.first * lanes() * b.cols + col * panel.vectors * lanes();
        tile.sums = sums + panel.first * lanes();
        if (panel.vectors == 1) return add_rows<1>(tile, rows);
        if (panel.vectors == 2) return add_rows<2>(tile, rows);
        add_rows<3>(tile, rows);
      });
    }
    for (int64_t i = 0; i < c.rows; ++i) {
      float* to = c.row<float>(i) + row;
      for (int64_t j = 0; j < rows; ++j) {
        to[j] = alpha * sums[j * sum_stride + i] + (beta == 0.0F ? 0.0F : beta * to[j]);
      }
    }
  }
}

int64_t packed_rows_size_kernel(int64_t rows, int64_t cols) {
  return (rows + lanes() - 1) / lanes() * lanes() * cols;
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(pack_rows_kernel);
HWY_EXPORT(narrow_product_kernel);
HWY_EXPORT(packed_rows_size_kernel);

int64_t packed_rows_size(const Tensor& a) {
  return HWY_DYNAMIC_DISPATCH(packed_rows_size_kernel)(a.rows, a.cols);
}

void pack_rows(const Tensor& a, float* packed, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(pack_rows_kernel)(a, packed, begin, end);
}

void narrow_product(const Tensor& c, const float* packed, const Tensor& b, float alpha, float beta,
                    int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(narrow_product_kernel)(c, packed, b, alpha, beta, begin, end);
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
