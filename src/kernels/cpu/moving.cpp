#include <cmath>
#include <cstring>

#include "kernels/cpu/runs.h"
#include "kernels/cpu/targets.h"
#include "kernels/quant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/moving.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

void to_float(const uint16_t* from, float* to, int64_t n, bool is_bf16) {
  if (is_bf16) {
    for (int64_t i = 0; i < n; i += lanes()) store(load_bf16(from + i, n - i), to + i, n - i);
  } else {
    for (int64_t i = 0; i < n; i += lanes()) store(load_f16(from + i, n - i), to + i, n - i);
  }
}

void from_float(const float* from, uint16_t* to, int64_t n, bool is_bf16) {
  if (is_bf16) {
    for (int64_t i = 0; i < n; i += lanes()) store_bf16(load(from + i, n - i), to + i, n - i);
  } else {
    for (int64_t i = 0; i < n; i += lanes()) store_f16(load(from + i, n - i), to + i, n - i);
  }
}

void add_to(float* y, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes())
    store(hn::Add(load(y + i, n - i), load(x + i, n - i)), y + i, n - i);
}

void fill_run(float* x, float value, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes()) store(set(value), x + i, n - i);
}

/// Turns rows [begin, end) by the table: rotary_dim/2 cosines, then as many sines, per row.
void rope_rows(const Tensor& x, const float* table, const Rope& o, int64_t begin, int64_t end) {
  const int64_t half = o.rotary_dim / 2;
  const float sign = o.inverse ? -1.0F : 1.0F;
  for (int64_t t = begin; t < end; ++t) {
    const float *cosine = table + t * o.rotary_dim, *sine = cosine + half;
    for (float* head = x.row<float>(t); head < x.row<float>(t) + x.cols; head += o.head_dim) {
      if (o.interleaved) {
        for (int64_t i = 0; i < half; ++i) {
          const float a = head[2 * i], b = head[2 * i + 1], s = sign * sine[i];
          head[2 * i] = a * cosine[i] - b * s;
          head[2 * i + 1] = b * cosine[i] + a * s;
        }
        continue;
      }
      for (int64_t i = 0; i < half; i += lanes()) {
        const Vec a = load(head + i, half - i), b = load(head + half + i, half - i);
        const Vec c = load(cosine + i, half - i), s = hn::Mul(set(sign), load(sine + i, half - i));
        store(hn::NegMulAdd(b, s, hn::Mul(a, c)), head + i, half - i);
        store(hn::MulAdd(b, c, hn::Mul(a, s)), head + half + i, half - i);
      }
    }
  }
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(to_float);
HWY_EXPORT(from_float);
HWY_EXPORT(add_to);
HWY_EXPORT(fill_run);
HWY_EXPORT(rope_rows);

namespace {

template <typename T>
void widen(const void* from, float* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(static_cast<const T*>(from)[i]);
}
template <typename T>
void narrow(const float* from, void* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<T*>(to)[i] = static_cast<T>(from[i]);
}

void decode(DType dtype, const void* from, float* to, int64_t n) {
  switch (dtype) {
    case DType::f32:
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::f16:
    case DType::bf16:
      HWY_DYNAMIC_DISPATCH(to_float)(static_cast<const uint16_t*>(from), to, n, dtype == DType::bf16);
      return;
    case DType::i32:
      return widen<int32_t>(from, to, n);
    case DType::u8:
      return widen<uint8_t>(from, to, n);
    case DType::i8:
      return widen<int8_t>(from, to, n);
    default:
      return dequantize_row(dtype, from, to, n);
  }
}

void encode(DType dtype, const float* from, void* to, int64_t n) {
  switch (dtype) {
    case DType::f32:
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::f16:
    case DType::bf16:
      HWY_DYNAMIC_DISPATCH(from_float)(from, static_cast<uint16_t*>(to), n, dtype == DType::bf16);
      return;
    case DType::i32:
      return narrow<int32_t>(from, to, n);
    case DType::u8:
      return narrow<uint8_t>(from, to, n);
    case DType::i8:
      return narrow<int8_t>(from, to, n);
    default:
      return quantize_row(dtype, from, to, n);
  }
}

/// One row, through a small buffer when neither side is f32.
void convert(DType to_type, std::byte* to, DType from_type, const std::byte* from, int64_t n) {
  if (to_type == from_type) {
    std::memcpy(to, from, static_cast<size_t>(row_bytes(to_type, n)));
  } else if (to_type == DType::f32) {
    decode(from_type, from, reinterpret_cast<float*>(to), n);
  } else if (from_type == DType::f32) {
    encode(to_type, reinterpret_cast<const float*>(from), to, n);
  } else {
    constexpr int64_t part = 256;  // a multiple of every block
    float values[part];
    for (int64_t i = 0; i < n; i += part) {
      const int64_t count = std::min(part, n - i);
      decode(from_type, from + row_bytes(from_type, i), values, count);
      encode(to_type, values, to + row_bytes(to_type, i), count);
    }
  }
}

std::byte* row_at(const Tensor& x, int64_t row) {
  return x.as<std::byte>() + row_bytes(x.dtype, row * x.stride);
}

}  // namespace

void CpuBackend::fill(const Tensor& x, float value) {
  if (x.dtype == DType::f32) {
    for_runs({&x}, [&](int64_t r, int64_t c, int64_t n) {
      HWY_DYNAMIC_DISPATCH(fill_run)(at(x, r, c), value, n);
    });
    return;
  }
  std::vector<float> row(static_cast<size_t>(x.cols), value);
  for (int64_t r = 0; r < x.rows; ++r) encode(x.dtype, row.data(), row_at(x, r), x.cols);
}

void CpuBackend::copy(const Tensor& dst, const Tensor& src) {
  FETTLE_CHECK(dst.rows == src.rows && dst.cols == src.cols);
  // One long row is split at multiples of every block.
  constexpr int64_t part = 4096;
  if (dst.contiguous() && src.contiguous() && (dst.rows == 1 || dst.cols % 256 == 0)) {
    parallel_for((src.size() + part - 1) / part, 8, [&](int64_t begin, int64_t end) {
      const int64_t from = begin * part, count = std::min(src.size(), end * part) - from;
      convert(dst.dtype, row_at(dst, 0) + row_bytes(dst.dtype, from), src.dtype,
              row_at(src, 0) + row_bytes(src.dtype, from), count);
    });
    return;
  }
  for_row_pieces(dst.rows, dst.cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      convert(dst.dtype, row_at(dst, r), src.dtype, row_at(src, r), dst.cols);
  });
}

void CpuBackend::gather_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) {
  FETTLE_CHECK(dst.cols == src.cols && rows.size() == dst.rows);
  const int32_t* index = rows.as<int32_t>();
  for_row_pieces(dst.rows, dst.cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      FETTLE_CHECK(index[r] >= 0 && index[r] < src.rows);
      decode(src.dtype, row_at(src, index[r]), dst.row<float>(r), dst.cols);
    }
  });
}

void CpuBackend::scatter_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) {
  FETTLE_CHECK(dst.cols == src.cols && rows.size() == src.rows);
  const int32_t* index = rows.as<int32_t>();
  for_row_pieces(src.rows, src.cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      FETTLE_CHECK(index[r] >= 0 && index[r] < dst.rows);
      convert(dst.dtype, row_at(dst, index[r]), src.dtype, row_at(src, r), dst.cols);
    }
  });
}

void CpuBackend::scatter_add_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) {
  FETTLE_CHECK(dst.cols == src.cols && rows.size() == src.rows);
  const int32_t* index = rows.as<int32_t>();
  // A thread owns columns, so that rows add up in their order.
  constexpr int64_t line = 16;
  const int64_t grain = std::max<int64_t>(1, 2048 / std::max<int64_t>(1, src.rows));
  parallel_for((src.cols + line - 1) / line, grain, [&](int64_t begin, int64_t end) {
    const int64_t from = begin * line, count = std::min(src.cols, end * line) - from;
    for (int64_t r = 0; r < src.rows; ++r) {
      FETTLE_CHECK(index[r] >= 0 && index[r] < dst.rows);
      HWY_DYNAMIC_DISPATCH(add_to)(at(dst, index[r], from), at(src, r, from), count);
    }
  });
}

const float* CpuBackend::rotation_table(const Tensor& positions, const Tensor& inverse_frequencies,
                                        float magnitude) {
  const auto where = positions.flat<int32_t>();
  const auto frequency = inverse_frequencies.flat<float>();
  const int64_t rows = positions.size(), half = inverse_frequencies.size();
  auto* table = workspace_.get<float>(Workspace::rotation, rows * half * 2);
  std::vector<float> key(frequency.begin(), frequency.end());
  key.push_back(magnitude);
  if (key == rotation_key_ &&
      std::equal(where.begin(), where.end(), rotation_positions_.begin(), rotation_positions_.end())) {
    return table;
  }
  rotation_key_ = std::move(key);
  rotation_positions_.assign(where.begin(), where.end());
  parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = double{frequency[static_cast<size_t>(i)]} * where[static_cast<size_t>(t)];
        table[t * 2 * half + i] = static_cast<float>(std::cos(angle) * double{magnitude});
        table[t * 2 * half + half + i] = static_cast<float>(std::sin(angle) * double{magnitude});
      }
    }
  });
  return table;
}

void CpuBackend::rope(const Tensor& x, const Tensor& positions, const Tensor& inverse_frequencies,
                      const Rope& o) {
  FETTLE_CHECK(o.head_dim > 0 && x.cols % o.head_dim == 0 && o.rotary_dim % 2 == 0 &&
               o.rotary_dim <= o.head_dim);
  FETTLE_CHECK(positions.size() == x.rows && inverse_frequencies.size() * 2 == o.rotary_dim);
  const float* table = rotation_table(positions, inverse_frequencies, o.magnitude);
  for_row_pieces(x.rows, x.cols, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(rope_rows)(x, table, o, begin, end);
  });
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
