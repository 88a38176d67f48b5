#include "kernels/host_backend.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/random.h"
#include "base/threads.h"

namespace fettle {
namespace {

/// Calls body(group, begin, end) for every group that has rows.
template <typename Body>
void for_each_group(size_t groups, const Tensor& begin, Body body) {
  FETTLE_CHECK(begin.size() == static_cast<int64_t>(groups) + 1);
  const auto bounds = begin.flat<int32_t>();
  for (size_t group = 0; group < groups; ++group)
    if (bounds[group] < bounds[group + 1]) body(group, int64_t{bounds[group]}, int64_t{bounds[group + 1]});
}

/// Rows [begin, end) and the first `cols` columns.
Tensor part(const Tensor& x, int64_t begin, int64_t end, int64_t cols) {
  return x.row_slice(begin, end).col_slice(0, cols);
}

}  // namespace

void HostBackend::copy_to_host(void* destination, const Tensor& source) {
  FETTLE_CHECK(source.contiguous());
  if (source.bytes() > 0) std::memcpy(destination, source.data, static_cast<size_t>(source.bytes()));
}

void HostBackend::copy_from_host(const Tensor& destination, const void* source) {
  FETTLE_CHECK(destination.contiguous());
  if (destination.bytes() > 0) std::memcpy(destination.data, source, static_cast<size_t>(destination.bytes()));
}

void HostBackend::multiply(const Tensor& x, const Tensor& factors) {
  FETTLE_CHECK(factors.cols == x.cols && (factors.rows == x.rows || factors.rows == 1));
  const int64_t grain = std::max<int64_t>(1, 65536 / std::max<int64_t>(x.cols, 1));
  parallel_for(x.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* to = x.row<float>(row);
      const float* by = factors.row<float>(factors.rows == 1 ? 0 : row);
      for (int64_t col = 0; col < x.cols; ++col) to[col] *= by[col];
    }
  });
}

// ---- groups

void HostBackend::group_picks(const Tensor& begin, const Tensor& order, const Tensor& tokens, const Tensor& counts,
                              const Tensor& picks) {
  FETTLE_CHECK(picks.contiguous() && order.size() == picks.size() && tokens.size() == picks.size());
  const auto chosen = picks.flat<int32_t>();
  const auto bounds = begin.flat<int32_t>();
  std::fill(bounds.begin(), bounds.end(), 0);
  for (const int32_t expert : chosen) ++bounds[static_cast<size_t>(expert) + 1];
  if (!counts.absent())
    for (size_t e = 0; e + 1 < bounds.size(); ++e) counts.flat<int32_t>()[e] += bounds[e + 1];
  for (size_t e = 0; e + 1 < bounds.size(); ++e) bounds[e + 1] += bounds[e];
  std::vector<int32_t> next(bounds.begin(), bounds.end() - 1);
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int32_t row = next[static_cast<size_t>(chosen[i])]++;
    order.as<int32_t>()[row] = static_cast<int32_t>(i);
    tokens.as<int32_t>()[row] = static_cast<int32_t>(static_cast<int64_t>(i) / picks.cols);
  }
}

void HostBackend::grouped_matmul(const Tensor& c, const Tensor& a, std::span<const GroupMatrix> b, const Tensor& begin,
                                 const MatMul& options) {
  FETTLE_CHECK(!options.transpose_a);
  for_each_group(b.size(), begin, [&](size_t group, int64_t from, int64_t to) {
    const Tensor& matrix = b[group].matrix;
    if (matrix.absent()) return;
    MatMul one = options;
    one.alpha *= b[group].alpha;
    const int64_t in = one.transpose_b ? matrix.cols : matrix.rows, out = one.transpose_b ? matrix.rows : matrix.cols;
    matmul(part(c, from, to, out), part(a, from, to, in), matrix, one);
  });
}

void HostBackend::grouped_matmul_gradient(std::span<const GroupMatrix> db, const Tensor& dc, const Tensor& a,
                                          const Tensor& begin, Product product) {
  for_each_group(db.size(), begin, [&](size_t group, int64_t from, int64_t to) {
    const Tensor& gradient = db[group].matrix;
    if (gradient.absent()) return;
    matmul(gradient, part(dc, from, to, gradient.rows), part(a, from, to, gradient.cols),
           {.transpose_a = true, .alpha = db[group].alpha, .beta = 1.0F, .product = product});
  });
}

void HostBackend::grouped_multiply(const Tensor& x, std::span<const Tensor> factors, const Tensor& begin) {
  for_each_group(factors.size(), begin, [&](size_t group, int64_t from, int64_t to) {
    if (!factors[group].absent()) multiply(x.row_slice(from, to), factors[group]);
  });
}

void HostBackend::grouped_column_sums(std::span<const Tensor> sums, const Tensor& x, const Tensor& begin) {
  for_each_group(sums.size(), begin, [&](size_t group, int64_t from, int64_t to) {
    if (!sums[group].absent()) bias_backward(sums[group], x.row_slice(from, to));
  });
}

void HostBackend::grouped_dropout(const Tensor& x, float probability, uint64_t seed, std::span<const uint64_t> streams,
                                  const Tensor& begin) {
  for_each_group(streams.size(), begin, [&](size_t group, int64_t from, int64_t to) {
    if (streams[group] != 0) dropout(x.row_slice(from, to), probability, seed, streams[group]);
  });
}

// ---- the rest

void HostBackend::draw(const DrawResult& out, const Tensor& logits, const DrawBatch& batch) {
  draw_rows(out, logits, batch);
}

void HostBackend::adapted_norms(const Tensor& norms, const Tensor& weight, const Tensor& a, const Tensor& b, float scale,
                                bool by_column) {
  FETTLE_CHECK(norms.size() == (by_column ? weight.cols : weight.rows));
  adapted_norms_of(norms.as<float>(), weight, a, b, scale, by_column);
}

void HostBackend::round_stochastically(const Tensor& dst, const Tensor& src, uint64_t seed, uint64_t stream) {
  FETTLE_CHECK(dst.size() == src.size() && dst.contiguous() && src.contiguous());
  const auto from = src.flat<float>();
  const auto to = dst.flat<uint16_t>();
  constexpr int64_t each = 8;  // 16 random bits for an element, 128 from one call
  parallel_for((src.size() + each - 1) / each, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto random = philox(seed, stream, static_cast<uint64_t>(block));
      const auto first = static_cast<size_t>(block * each), last = std::min(first + each, from.size());
      for (size_t i = first; i < last; ++i) {
        const auto bits = std::bit_cast<uint32_t>(from[i]);
        const uint32_t chance = (random[(i - first) / 2] >> (16 * ((i - first) % 2))) & 0xFFFF;
        const bool finite = (bits & 0x7F800000) != 0x7F800000;
        // What is not finite stays so; NaN keeps a bit of its mantissa.
        const uint32_t rounded = finite ? bits + chance : bits | ((bits & 0x7FFFFF) != 0 ? 0x400000U : 0U);
        to[i] = static_cast<uint16_t>(rounded >> 16);
      }
    }
  });
}

}  // namespace fettle
