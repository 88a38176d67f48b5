#pragma once
// The host's arrays of one step, laid side by side, so that they reach the backend in one copy.
#include <cstring>
#include <vector>

#include "kernels/kernels.h"

namespace fettle {

/// First add() every array, then send() once for all, then at() gives each its tensor. The host's words may change as soon as
/// send() returns; the tensors live as long as what the arena dealt at that moment.
class StepUpload {
 public:
  /// Where an array will stand. A default one gives an absent tensor.
  struct Place {
    int64_t begin = 0, rows = 0, cols = 0;
    DType dtype = DType::i32;
  };

  /// rows * cols words of 32 bits, i32 or f32. A tensor with a shape and no words is present and empty.
  Place add(const void* words, int64_t rows, int64_t cols, DType dtype = DType::i32) {
    const Place place{static_cast<int64_t>(words_.size()), rows, cols, dtype};
    const auto count = static_cast<size_t>(rows * cols);
    words_.resize((words_.size() + count + line - 1) / line * line);
    if (count > 0) std::memcpy(words_.data() + place.begin, words, count * sizeof(int32_t));
    return place;
  }
  /// One row.
  Place add(std::span<const int32_t> words) { return add(words.data(), 1, static_cast<int64_t>(words.size())); }
  /// A structure of such words is a row.
  template <typename T>
  Place add_rows(std::span<const T> values) {
    static_assert(sizeof(T) % sizeof(int32_t) == 0);
    return add(values.data(), static_cast<int64_t>(values.size()), sizeof(T) / sizeof(int32_t));
  }

  int64_t words() const { return static_cast<int64_t>(words_.size()); }  ///< that send() takes of an arena

  void send(Arena& arena, Backend& backend) {
    all_ = arena.take(DType::i32, 1, static_cast<int64_t>(words_.size()));
    if (!words_.empty()) backend.copy_from_host(all_, words_.data());
  }

  Tensor at(const Place& place) const {
    if (place.cols == 0 && place.rows == 0) return {};
    return {all_.col_slice(place.begin, all_.cols).data, place.dtype, place.rows, place.cols};
  }

 private:
  static constexpr size_t line = 16;  ///< words that every array begins at a multiple of: 64 bytes, as an arena deals
  std::vector<int32_t> words_;
  Tensor all_;
};

}  // namespace fettle
