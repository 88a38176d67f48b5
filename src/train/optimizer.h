#pragma once
// The optimiser step over a model's trainable parameters: gradient norm, clipping, update. States lie in one
// block and are saved and restored by name.
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "model/parameters.h"
#include "train/config.h"

namespace fettle::train {

/// Throws Error(usage) when the name is none of adamw, adamw8bit, rmsprop, sgd, or a number makes no sense.
void validate(const OptimizerSettings& settings);

/// Keeps references to the backend and to the parameters' memory. Not thread-safe.
class Optimizer {
 public:
  /// Takes memory for the gradients of every trainable parameter (and sets Parameter::grad) and for the
  /// states, all zero. `seed` is of the rounding of parameters without an f32 master (bf16), which with the step and the
  /// parameter's place decides how each element is rounded.
  Optimizer(const OptimizerSettings& settings, Parameters& parameters, Backend& backend, uint64_t seed = 0);

  /// Bytes of gradients and of states for that many trainable elements, without taking them.
  static int64_t gradient_bytes(const Parameters& parameters);
  static int64_t state_bytes(const OptimizerSettings& settings, const Parameters& parameters);

  void zero_gradients();
  /// Of all parameters, one behind another, f32 [1, elements]: what ranks add up.
  Tensor gradients() const { return all_gradients_; }
  /// The 2-norm of all gradients.
  double gradient_norm();
  /// One update; gradients are multiplied by grad_scale first. `step` counts from 1.
  void update(int64_t step, double learning_rate, double grad_scale);

  /// What has to be saved beside the parameters to go on: "<parameter>.<state>".
  struct State {
    std::string name;
    Tensor value;
  };
  std::vector<State> states() const;

 private:
  /// All flat, [1, elements], or a part of them.
  struct Slot {
    Tensor value, grad;
    bool decay;
    Tensor first, second, first_scale, second_scale;
  };
  struct Owned {
    Parameter* parameter;
    Slot slot;
  };
  void update(const Slot& slot, int64_t step, float rate, float scale);
  void update_rounded(const Slot& slot, uint64_t stream, int64_t step, float rate, float scale);
  OptimizerSettings settings_;
  Backend& backend_;
  Buffer gradients_, memory_;
  Tensor all_gradients_, norm_;
  Buffer scratch_;
  Tensor widened_;  ///< a part of a bf16 parameter in f32 while it is updated; absent when all are f32
  uint64_t seed_;
  std::vector<Owned> slots_;
};

/// What the norm is clipped to becomes a factor on the gradient, as torch's clip_grad_norm_ has it: min(1,
/// max / (norm + 1e-6)).
double clip_factor(double norm, double max_norm);

}  // namespace fettle::train
