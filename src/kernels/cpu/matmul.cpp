// Which kernel computes a product, and the conversion of its operands to what that kernel takes.
#include <algorithm>

#include "base/threads.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/row_product.h"
#include "kernels/cpu/unpack.h"

namespace fettle::cpu {
namespace {

/// Converted operands are made in slices of about this size, so that the product reads them from the cache.
constexpr int64_t slice_bytes = 8 << 20;

enum class Dimension : uint8_t { none, m, n, k };

struct Plan {
  int64_t m, n, k;
  DType type;  ///< what oneDNN multiplies in
  bool convert_a, convert_b;
  Dimension sliced = Dimension::none;
  int64_t slice = 0;  ///< its length along that dimension
};

/// Along the longest dimension that a converted operand has: the other operand, if it is converted whole, is
/// then small.
void slice(Plan& plan) {
  const int64_t width = plan.type == DType::bf16 ? 2 : 4;
  const int64_t a_bytes = plan.convert_a ? plan.m * plan.k * width : 0;
  const int64_t b_bytes = plan.convert_b ? plan.n * plan.k * width : 0;
  if (a_bytes + b_bytes <= slice_bytes) return;
  int64_t longest = 0, bytes = 0;
  const auto offer = [&](bool possible, Dimension dimension, int64_t length, int64_t its_bytes) {
    if (!possible || length <= longest) return;
    plan.sliced = dimension;
    longest = length;
    bytes = its_bytes;
  };
  offer(true, Dimension::k, plan.k, a_bytes + b_bytes);
  offer(plan.convert_a, Dimension::m, plan.m, a_bytes);
  offer(plan.convert_b, Dimension::n, plan.n, b_bytes);
  const int64_t pieces = (bytes + slice_bytes - 1) / slice_bytes;
  constexpr int64_t unit = 256;  // a multiple of every quantised block
  plan.slice = ((longest + pieces - 1) / pieces + unit - 1) / unit * unit;
}

/// Rows and columns of `x` as stored that a slice [begin, end) of the product's dimension takes.
Tensor slice_of(const Tensor& x, bool by_rows, int64_t begin, int64_t end) {
  return by_rows ? x.row_slice(begin, end) : x.col_slice(begin, end);
}

}  // namespace

void CpuBackend::matmul(const Tensor& c, const Tensor& a, const Tensor& b, const MatMul& o) {
  Plan plan{};
  plan.m = c.rows;
  plan.n = c.cols;
  plan.k = o.transpose_a ? a.rows : a.cols;
  FETTLE_CHECK(plan.m == (o.transpose_a ? a.cols : a.rows) && plan.n == (o.transpose_b ? b.rows : b.cols));
  FETTLE_CHECK(plan.k == (o.transpose_b ? b.cols : b.rows));
  if (plan.m == 0 || plan.n == 0) return;
  if (plan.k == 0) return o.beta == 0.0F ? fill(c, 0.0F) : scale(c, o.beta);

  const auto unpacked = [&](const Tensor& x, bool bf16, Workspace::Slot slot) {
    void* to = workspace_.get<std::byte>(slot, x.size() * (bf16 ? 2 : 4));
    const int64_t row = x.cols * (bf16 ? 2 : 4);
    for_row_pieces(x.rows, x.cols, [&](int64_t begin, int64_t end) {
      unpack_rows(x, static_cast<std::byte*>(to) + begin * row, bf16, begin, end);
    });
    return Tensor(to, bf16 ? DType::bf16 : DType::f32, x.rows, x.cols);
  };

  // A narrow product reads more than it multiplies: rounding its operands first would cost more than it
  // saves.
  constexpr int64_t narrow = 32, one_or_few = 4;
  const bool worth_rounding = std::min({plan.m, plan.n, plan.k}) > narrow ||
                              (plan.m > one_or_few && (a.dtype == DType::bf16 || b.dtype == DType::bf16));
  plan.type = o.product == Product::bf16 && has_bf16() && worth_rounding ? DType::bf16 : DType::f32;
  const bool in_place = o.batch_invariant || plan.m <= most_rows_in_place;
  if (in_place && plan.type == DType::f32 && !o.transpose_a && o.transpose_b) {
    const Tensor rows = a.dtype == DType::f32 ? a : unpacked(a, false, Workspace::converted_a);
    constexpr int64_t unit = row_product_unit;
    const int64_t grain = std::max<int64_t>(1, (1 << 16) / (plan.k * plan.m) / unit);
    parallel_for((plan.n + unit - 1) / unit, grain, [&](int64_t begin, int64_t end) {
      row_product(c, rows, b, o.alpha, o.beta, begin * unit, std::min(plan.n, end * unit));
    });
    return;
  }
  plan.convert_a = a.dtype != plan.type;
  plan.convert_b = b.dtype != plan.type;
  slice(plan);

  const bool bf16 = plan.type == DType::bf16;
  const auto convert = [&](const Tensor& x, bool wanted, Workspace::Slot slot) {
    return wanted ? unpacked(x, bf16, slot) : x;
  };
  const auto product = [&](const Tensor& to, const Tensor& left, const Tensor& right, float beta) {
    engine_.run(to.as<float>(), to.stride, to.rows, to.cols, o.transpose_a ? left.rows : left.cols,
                {left.data, left.stride, o.transpose_a, bf16},
                {right.data, right.stride, o.transpose_b, bf16}, o.alpha, beta, workspace_);
  };
  if (plan.sliced == Dimension::none) {
    return product(c, convert(a, plan.convert_a, Workspace::converted_a),
                   convert(b, plan.convert_b, Workspace::converted_b), o.beta);
  }
  const bool a_whole = plan.sliced == Dimension::n, b_whole = plan.sliced == Dimension::m;
  Tensor left = a_whole ? convert(a, plan.convert_a, Workspace::converted_a) : Tensor();
  Tensor right = b_whole ? convert(b, plan.convert_b, Workspace::converted_b) : Tensor();
  const int64_t length = plan.sliced == Dimension::m ? plan.m : plan.sliced == Dimension::n ? plan.n : plan.k;
  for (int64_t begin = 0; begin < length; begin += plan.slice) {
    const int64_t end = std::min(length, begin + plan.slice);
    // m are the rows of op(a), k its columns; k are the rows of op(b), n its columns.
    if (!a_whole) {
      const bool by_rows = (plan.sliced == Dimension::m) != o.transpose_a;
      left = convert(slice_of(a, by_rows, begin, end), plan.convert_a, Workspace::converted_a);
    }
    if (!b_whole) {
      const bool by_rows = (plan.sliced == Dimension::k) != o.transpose_b;
      right = convert(slice_of(b, by_rows, begin, end), plan.convert_b, Workspace::converted_b);
    }
    const Tensor to = plan.sliced == Dimension::m   ? c.row_slice(begin, end)
                      : plan.sliced == Dimension::n ? c.col_slice(begin, end)
                                                    : c;
    product(to, left, right, plan.sliced == Dimension::k && begin > 0 ? 1.0F : o.beta);
  }
}

}  // namespace fettle::cpu
