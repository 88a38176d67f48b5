#pragma once
// A tensor as it stands in a file, and one that is to be written: what safetensors, GGUF and the rest have in
// common.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensor/tensor.h"

namespace fettle {

/// One tensor of a file that is mapped. `bytes` lies in the map: read-only, alive as long as its TensorSet's
/// owner.
struct StoredTensor {
  std::string name;
  std::string type;            ///< as the file spells it: "BF16", "Q4_K", "F64"
  std::optional<DType> dtype;  ///< none for a type that fettle does not compute with
  std::vector<int64_t> shape;  ///< outermost first, as in PyTorch; empty for a scalar
  std::span<const std::byte> bytes;

  int64_t elements() const;
  int64_t rows() const;  ///< elements / cols
  int64_t cols() const;  ///< the innermost dimension; 1 for a scalar
  /// [rows, cols] over the file's own bytes (never write to it). Throws Error naming the file when the dtype
  /// is none.
  Tensor view(std::string_view where) const;
  /// Whether the bytes lie as the dtype needs them in memory.
  bool aligned() const;
};

/// The tensors of a file (or of several), in the file's order, with what keeps their memory.
class TensorSet {
 public:
  /// Throws Error(where) when the name is there already.
  void add(StoredTensor tensor, std::string_view where);
  void keep_alive(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }

  const std::vector<StoredTensor>& all() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;
  /// Throws Error naming the tensor and the nearest name there is.
  const StoredTensor& require(std::string_view name, std::string_view where) const;
  const std::vector<std::shared_ptr<const void>>& owners() const { return owners_; }

 private:
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::shared_ptr<const void>> owners_;
};

/// One tensor of a file to be written. `fill` is called once, in the file's order, with exactly its bytes, so
/// that a whole model is never converted in memory at once.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  ///< outermost first
  std::function<void(std::span<std::byte>)> fill;

  int64_t bytes() const;
};

/// `value` converted to `dtype` while it is written; `shape` as the file should say ([rows, cols] when
/// empty). The tensor's memory must stay until then. Throws Error when `dtype` cannot be made or its block
/// does not divide the row.
TensorToWrite tensor_to_write(std::string name, const Tensor& value, DType dtype,
                              std::vector<int64_t> shape = {});

/// Elements of a shape, or nothing when the product leaves int64 or a dimension is negative.
std::optional<int64_t> checked_elements(std::span<const int64_t> shape);

/// dst[rows, cols] = src, any readable dtype to any dtype that can be quantised to; contiguous destination
/// bytes.
void convert_rows(const Tensor& source, DType dtype, std::span<std::byte> destination);

std::string shape_text(std::span<const int64_t> shape);  ///< "[32, 64]"

}  // namespace fettle
