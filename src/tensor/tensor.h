#pragma once
// Tensor: a typed two-dimensional view. A decoder needs no more: activations are [tokens, features], weights
// [out, in], heads are runs of columns, vectors are one row.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "tensor/dtype.h"

namespace fettle {

/// Does not own its memory (an Arena, a Buffer or a mapped file does), which may be a device's: then only the device's backend
/// may look at it. Row-major; `stride` is the distance of two rows in elements (a multiple of the block for quantised types).
/// Copying copies the view. One that was made without arguments is absent: an operation that is given it does without.
/// One with a shape and no memory is unallocated: a plan of memory is being made (see Arena), and views of it are too.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  Tensor() = default;
  Tensor(void* data, DType dtype, int64_t rows, int64_t cols)
      : data(data), dtype(dtype), rows(rows), cols(cols), stride(cols) {}
  Tensor(void* data, DType dtype, int64_t rows, int64_t cols, int64_t stride)
      : data(data), dtype(dtype), rows(rows), cols(cols), stride(stride) {}

  bool absent() const { return rows == 0 && cols == 0; }
  bool allocated() const { return data != nullptr; }
  int64_t size() const { return rows * cols; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  /// Bytes from the first element to the last, gaps of the stride included.
  int64_t bytes() const { return rows == 0 ? 0 : row_bytes(dtype, (rows - 1) * stride + cols); }

  /// Rows [begin, end) and columns [begin, end) as views; column bounds at block borders for quantised types.
  Tensor row_slice(int64_t begin, int64_t end) const {
    FETTLE_CHECK(begin >= 0 && begin <= end && end <= rows);
    return {behind(row_bytes(dtype, begin * stride)), dtype, end - begin, cols, stride};
  }
  Tensor col_slice(int64_t begin, int64_t end) const {
    FETTLE_CHECK(begin >= 0 && begin <= end && end <= cols);
    return {behind(row_bytes(dtype, begin)), dtype, rows, end - begin, stride};
  }

  /// Host access with the type checked; T is float for f32, int32_t for i32, uint16_t for f16/bf16, std::byte for any.
  template <typename T>
  T* as() const;
  template <typename T>
  T* row(int64_t index) const {
    return as<T>() + index * stride;
  }
  /// The elements of a contiguous tensor.
  template <typename T>
  std::span<T> flat() const {
    FETTLE_CHECK(contiguous());
    return {as<T>(), static_cast<size_t>(size())};
  }

 private:
  void* behind(int64_t bytes) const { return allocated() ? static_cast<std::byte*>(data) + bytes : nullptr; }
};

template <>
inline float* Tensor::as<float>() const {
  FETTLE_CHECK(dtype == DType::f32);
  return static_cast<float*>(data);
}
template <>
inline int32_t* Tensor::as<int32_t>() const {
  FETTLE_CHECK(dtype == DType::i32);
  return static_cast<int32_t*>(data);
}
template <>
inline uint16_t* Tensor::as<uint16_t>() const {
  FETTLE_CHECK(dtype == DType::f16 || dtype == DType::bf16);
  return static_cast<uint16_t*>(data);
}
template <>
inline uint8_t* Tensor::as<uint8_t>() const {
  FETTLE_CHECK(dtype == DType::u8 || dtype == DType::i8);
  return static_cast<uint8_t*>(data);
}
template <>
inline std::byte* Tensor::as<std::byte>() const {
  return static_cast<std::byte*>(data);
}

}  // namespace fettle
