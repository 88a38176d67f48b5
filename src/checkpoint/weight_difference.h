#pragma once
// The difference between two models of one architecture, and a model made from a base and a difference (how
// weights whose licence forbids copies were published: WizardLM, Vicuna).
#include <string>
#include <vector>

#include "checkpoint/load.h"

namespace fettle {

struct TensorDifference {
  std::string name;  ///< fettle's own
  int64_t elements = 0, changed = 0;
  double largest = 0.0;   ///< of |b - a|
  double norm = 0.0;      ///< sqrt(Σ (b - a)²)
  double relative = 0.0;  ///< norm / sqrt(Σ a²); infinite where a is zero and b is not
};

/// Compares in f32. Throws Error when the architectures differ in more than the number of tokens; rows of
/// tokens that only one model has count as zero in the other.
std::vector<TensorDifference> compare_weights(const LoadedModel& a, const LoadedModel& b);

/// f32 weights of b - a (sign -1), or a + b (sign +1), in the shape of the larger vocabulary. `b` gives
/// config and tokenizer.
Parameters combine_weights(const LoadedModel& a, const LoadedModel& b, float sign);

}  // namespace fettle
