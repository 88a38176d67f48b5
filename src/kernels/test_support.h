#pragma once
// For tests of kernels: tensors of random values in awkward places (odd strides, starts off every alignment),
// and comparisons of two backends.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "base/random.h"
#include "kernels/half.h"
#include "kernels/kernels.h"
#include "kernels/quant.h"

namespace fettle::testing {

inline Backend& cpu() {
  static const auto backend = make_cpu_backend();
  return *backend;
}
inline Backend& reference() {
  static const auto backend = make_reference_backend();
  return *backend;
}

/// A plan whose arrays stay where they are: for backends on host memory. `spans`, `ranges` and positions must outlive it.
class HostPlan {
 public:
  HostPlan(Backend& backend, const std::vector<Span>& spans, const std::vector<KeyRange>& ranges,
           const int32_t* query_positions, const int32_t* key_positions, int32_t kv_heads)
      : schedule_(backend.plan_attention(spans, ranges, kv_heads, true)) {
    const auto array = [](const void* data, int64_t rows, int64_t cols) {
      return data == nullptr ? Tensor() : Tensor(const_cast<void*>(data), DType::i32, rows, cols);
    };
    plan_.spans = array(spans.data(), static_cast<int64_t>(spans.size()), sizeof(Span) / sizeof(int32_t));
    plan_.ranges = array(ranges.data(), static_cast<int64_t>(ranges.size()), 2);
    plan_.query_positions = array(query_positions, 1, spans.back().q_end);
    plan_.key_positions = array(key_positions, 1, spans.back().q_end);
    plan_.schedule = array(schedule_.data(), 1, static_cast<int64_t>(schedule_.size()));
  }
  HostPlan(const HostPlan&) = delete;
  HostPlan& operator=(const HostPlan&) = delete;
  operator const AttentionPlan&() const { return plan_; }

 private:
  std::vector<int32_t> schedule_;
  AttentionPlan plan_;
};

/// A tensor with its memory. Copies are deep.
class Owned {
 public:
  Owned() = default;
  /// gap: elements between rows (whole blocks for quantised types); offset: bytes before the first element.
  Owned(DType dtype, int64_t rows, int64_t cols, int64_t gap = 0, int64_t offset = 0)
      : bytes_(static_cast<size_t>(row_bytes(dtype, std::max<int64_t>(rows, 1) * (cols + gap)) + offset)),
        offset_(offset) {
    tensor_ = Tensor(bytes_.data() + offset, dtype, rows, cols, cols + gap);
    // An empty tensor is a view too: only a null pointer means "none".
    if (bytes_.empty()) bytes_.resize(1), tensor_.data = bytes_.data();
  }
  Owned(const Owned& other) : bytes_(other.bytes_), offset_(other.offset_), tensor_(other.tensor_) {
    tensor_.data = bytes_.data() + offset_;
  }
  Owned& operator=(const Owned& other) {
    Owned copy(other);
    std::swap(bytes_, copy.bytes_);
    offset_ = copy.offset_;
    tensor_ = copy.tensor_;
    tensor_.data = bytes_.data() + offset_;
    return *this;
  }
  operator const Tensor&() const { return tensor_; }
  const Tensor& operator*() const { return tensor_; }
  const Tensor* operator->() const { return &tensor_; }
  float& at(int64_t i, int64_t j) const { return tensor_.row<float>(i)[j]; }

 private:
  std::vector<std::byte> bytes_;
  int64_t offset_ = 0;
  Tensor tensor_;
};

class Source {
 public:
  explicit Source(uint64_t seed = 1) : random_(seed) {}
  float normal(float sigma = 1.0F) { return static_cast<float>(random_.normal()) * sigma; }
  int32_t below(int32_t bound) { return static_cast<int32_t>(random_.below(static_cast<uint64_t>(bound))); }

  Owned floats(int64_t rows, int64_t cols, float sigma = 1.0F, int64_t gap = 0, int64_t offset = 0) {
    Owned x(DType::f32, rows, cols, gap, offset);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) x.at(i, j) = normal(sigma);
    }
    return x;
  }
  /// Of any type, by conversion.
  Owned of(DType dtype, int64_t rows, int64_t cols, float sigma = 1.0F, int64_t gap = 0) {
    const Owned values = floats(rows, cols, sigma);
    Owned x(dtype, rows, cols, gap);
    if (is_quantized(dtype) && !can_quantize(dtype)) {
      fill_blocks(x);
    } else {
      reference().copy(x, values);
    }
    return x;
  }
  Owned indices(int64_t n, int32_t bound) {
    Owned x(DType::i32, 1, n);
    for (int64_t i = 0; i < n; ++i) x->as<int32_t>()[i] = below(bound);
    return x;
  }

 private:
  /// Random blocks of a type that nothing here writes; the f16 scales at their end are small numbers.
  void fill_blocks(const Owned& x) {
    const auto layout = block_layout(x->dtype);
    const int64_t count = x->rows * x->stride / layout.elements;
    for (int64_t b = 0; b < count; ++b) {
      auto* block = reinterpret_cast<uint8_t*>(x->as<std::byte>()) + b * layout.bytes;
      for (int32_t i = 0; i < layout.bytes; ++i) block[i] = static_cast<uint8_t>(below(256));
      const int32_t scales = x->dtype == DType::q2_k ? 2 : 1;
      for (int32_t s = 1; s <= scales; ++s) {
        const uint16_t scale = float_to_f16(0.001F * static_cast<float>(1 + below(100)));
        std::memcpy(block + layout.bytes - 2 * s, &scale, 2);
      }
    }
  }
  Random random_;
};

/// Every element within absolute + relative * |expected|, NaN and infinities alike.
inline void expect_near(const Tensor& actual, const Tensor& expected, double absolute, double relative,
                        const char* what = "") {
  ASSERT_EQ(actual.rows, expected.rows);
  ASSERT_EQ(actual.cols, expected.cols);
  for (int64_t i = 0; i < actual.rows; ++i) {
    for (int64_t j = 0; j < actual.cols; ++j) {
      const double a = double{actual.row<float>(i)[j]}, e = double{expected.row<float>(i)[j]};
      const bool same =
          (std::isnan(a) && std::isnan(e)) || a == e || std::abs(a - e) <= absolute + relative * std::abs(e);
      ASSERT_TRUE(same) << what << " [" << i << ", " << j << "]: got " << a << ", expected " << e;
    }
  }
}

inline double largest(const Tensor& x) {
  double top = 0;
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j < x.cols; ++j) top = std::max(top, std::abs(double{x.row<float>(i)[j]}));
  }
  return top;
}

}  // namespace fettle::testing
