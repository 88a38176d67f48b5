#pragma once
// One parameter of a model with an adapter in it, row by row: for merging and writing.
#include <string_view>
#include <unordered_map>

#include "model/adapter.h"

namespace fettle {

/// base + factor * (adapted - base). Keeps references to what it is given.
class AdaptedWeight {
 public:
  /// adapter: null for the base alone. Throws Error when the parameter is missing or the adapter does not fit.
  AdaptedWeight(const Parameters& base, const Adapter* adapter, float factor, std::string_view parameter);

  int64_t rows() const { return value_.rows; }
  int64_t cols() const { return value_.cols; }
  DType dtype() const { return value_.dtype; }
  /// Whether the row is stored as it is; then bytes() are its own.
  bool plain(int64_t row) const;
  const std::byte* bytes(int64_t row) const;
  /// The row in f32. `scratch` has cols() elements.
  void values(int64_t row, float* out, float* scratch) const;

 private:
  void add_lora(int64_t row, float* out, float* scratch) const;

  Tensor value_;  ///< the base's, or what replaces it whole
  const Tensor* blend_ = nullptr;  ///< replaces value_ by its factor
  float factor_;
  LoraPair lora_;
  bool embedding_ = false;
  std::vector<float> norms_;  ///< DoRA's, of an embedding's columns
  const Tensor* token_rows_ = nullptr;
  std::unordered_map<int64_t, int64_t> row_of_;  ///< by token
};

}  // namespace fettle
