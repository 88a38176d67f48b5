#include "checkpoint/stored_tensor.h"

#include <cstring>

#include "base/mapped_file.h"
#include "base/threads.h"
#include "kernels/quant.h"

namespace fettle {
namespace {

/// The widest scalar inside an element or block.
int64_t alignment_of(DType dtype) {
  if (is_quantized(dtype)) return 2;
  return block_layout(dtype).bytes;
}

}  // namespace

std::optional<int64_t> checked_elements(std::span<const int64_t> shape) {
  int64_t product = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(product, dimension, &product)) return std::nullopt;
  }
  return product;
}

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

int64_t StoredTensor::elements() const {
  return checked_elements(shape).value_or(0);
}
int64_t StoredTensor::cols() const {
  return shape.empty() ? 1 : shape.back();
}
int64_t StoredTensor::rows() const {
  return cols() == 0 ? 0 : elements() / cols();
}

Tensor StoredTensor::view(std::string_view where) const {
  if (!dtype)
    fail(where, "tensor '{}' has the type {}, which fettle does not compute with; convert the model first",
         name, type);
  return {const_cast<std::byte*>(bytes.data()), *dtype, rows(), cols()};
}

bool StoredTensor::aligned() const {
  return dtype &&
         reinterpret_cast<uintptr_t>(bytes.data()) % static_cast<uintptr_t>(alignment_of(*dtype)) == 0;
}

void TensorSet::add(StoredTensor tensor, std::string_view where) {
  if (!index_.emplace(tensor.name, tensors_.size()).second)
    fail(where, "tensor '{}' is there twice", tensor.name);
  tensors_.push_back(std::move(tensor));
}

const StoredTensor* TensorSet::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const StoredTensor& TensorSet::require(std::string_view name, std::string_view where) const {
  if (const StoredTensor* found = find(name)) return *found;
  std::vector<std::string> names;
  for (const auto& tensor : tensors_) names.push_back(tensor.name);
  const std::string near = nearest_name(name, names);
  fail(where, "tensor '{}' is missing among its {} tensors{}", name, tensors_.size(),
       near.empty() ? std::string() : fmt::format(" (the nearest name is '{}')", near));
}

int64_t TensorToWrite::bytes() const {
  const int64_t cols = shape.empty() ? 1 : shape.back();
  const int64_t elements = checked_elements(shape).value_or(0);
  return cols == 0 ? 0 : elements / cols * row_bytes(dtype, cols);
}

void convert_rows(const Tensor& source, DType dtype, std::span<std::byte> destination) {
  const int64_t to_bytes = row_bytes(dtype, source.cols);
  const int64_t from_bytes = row_bytes(source.dtype, source.stride);
  FETTLE_CHECK(static_cast<int64_t>(destination.size()) == source.rows * to_bytes);
  const auto* from = static_cast<const std::byte*>(source.data);
  if (source.dtype == dtype) {
    for (int64_t row = 0; row < source.rows; ++row) {
      std::memcpy(destination.data() + row * to_bytes, from + row * from_bytes,
                  static_cast<size_t>(to_bytes));
    }
    return;
  }
  FETTLE_CHECK(can_quantize(dtype));
  parallel_for(source.rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, source.cols)),
               [&](int64_t begin, int64_t end) {
                 std::vector<float> values(static_cast<size_t>(source.cols));
                 for (int64_t row = begin; row < end; ++row) {
                   dequantize_row(source.dtype, from + row * from_bytes, values.data(), source.cols);
                   quantize_row(dtype, values.data(), destination.data() + row * to_bytes, source.cols);
                 }
               });
}

TensorToWrite tensor_to_write(std::string name, const Tensor& value, DType dtype,
                              std::vector<int64_t> shape) {
  if (shape.empty()) shape = {value.rows, value.cols};
  FETTLE_CHECK(checked_elements(shape) == value.size() &&
               (shape.back() == value.cols || !is_quantized(dtype)));
  const auto layout = block_layout(dtype);
  if (value.dtype != dtype && !can_quantize(dtype)) {
    fail(name, "cannot be written as {}: fettle reads that type and does not make it; choose q4_k or q6_k",
         dtype_name(dtype));
  }
  if (value.cols % layout.elements != 0) {
    fail(name, "has rows of {} values, which the blocks of {} of {} do not divide", value.cols,
         layout.elements, dtype_name(dtype));
  }
  return {std::move(name), dtype, std::move(shape),
          [value, dtype](std::span<std::byte> out) {
            convert_rows(value, dtype, out);
            check_mapped(value.data);
          }};
}

}  // namespace fettle
