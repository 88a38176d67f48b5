#pragma once
// Between the tensors of a file and the decoder's parameters, along a family's WeightMap.
#include <string_view>

#include "checkpoint/stored_tensor.h"
#include "model/adapter.h"
#include "model/families/families.h"
#include "model/parameters.h"

namespace fettle {

/// The parameters of a map from the tensors of a file. A matrix is a view of the file where its rows stand
/// together and aligned; otherwise its rows are copied in their own dtype. Vectors (norms, biases) become
/// f32. Throws Error naming the tensor when one is missing, has another shape, or has no place in the map.
/// `tensors` may go; its map is kept.
Parameters read_weights(const WeightMap& map, const TensorSet& tensors, std::string_view where);

/// The tensor that the map publishes as `name`, with its optional prefix or without; null when there is none.
const StoredTensor* find_published(const TensorSet& tensors, const WeightMap& map, const std::string& name);

/// One entry's parameters from one tensor, whatever its name; its owners must be kept by the caller.
void read_entry(Parameters& parameters, const WeightEntry& entry, const StoredTensor& stored, std::string_view where);

/// Whether both hold the same values, in whatever types.
bool same_values(const Tensor& a, const Tensor& b);

/// Parameters and what is added to them while they are written.
struct WeightSource {
  const Parameters* parameters = nullptr;
  const Adapter* adapter = nullptr;  ///< merged in f32: w + factor * (adapted w - w)
  float factor = 1.0F;
};

/// One published tensor of `entry` in `dtype`. Throws Error when a parameter is missing or cannot be written
/// so.
TensorToWrite weight_to_write(const WeightEntry& entry, const WeightSource& source, DType dtype);

}  // namespace fettle
