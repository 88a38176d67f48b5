#pragma once
// The weights of a model under fettle's own names, whatever the family: M.weight and M.bias of every module M in
// modules.h. Matrices are [out, in]. Fused published weights (qkv, gate_up) are split by the family's map.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/config.h"
#include "tensor/memory.h"

namespace fettle {

struct Parameter {
  std::string name;
  /// When trainable f32, or bf16 without an f32 master; f16, bf16 or quantised when frozen is fine. Products read `bf16` where
  /// there is one.
  Tensor value;
  Tensor grad;   ///< f32, same shape; empty when frozen
  Tensor bf16;   ///< a rounded copy for bf16 products, kept fresh by the decoder; empty if unused
  bool trainable = false;
};

/// An ordered set of parameters and whatever owns their memory (buffers, mapped files). Addresses of
/// Parameters are stable.
class Parameters {
 public:
  Parameter& add(std::string name, const Tensor& value);
  Parameter* find(std::string_view name);
  const Parameter* find(std::string_view name) const;
  /// Throws Error naming the missing weight and the shape it should have.
  Parameter& require(std::string_view name, int64_t rows, int64_t cols);
  /// There must be one of that name.
  void remove(std::string_view name);
  void keep_alive(std::shared_ptr<void> owner) { owners_.push_back(std::move(owner)); }
  /// Lets go of what the values lay in until now: they lie in `memory`, in blocks of these owners. See move_to() in device.h.
  void moved(const Memory& memory, std::vector<std::shared_ptr<void>> owners) {
    memory_ = &memory;
    owners_ = std::move(owners);
  }
  /// Whose memory the values lie in; null: the host's.
  const Memory* memory() const { return memory_; }

  std::vector<std::unique_ptr<Parameter>>& all() { return parameters_; }
  const std::vector<std::unique_ptr<Parameter>>& all() const { return parameters_; }
  int64_t count(bool trainable_only = false) const;  ///< elements
  int64_t value_bytes() const;

 private:
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::unordered_map<std::string, Parameter*> by_name_;
  std::vector<std::shared_ptr<void>> owners_;
  const Memory* memory_ = nullptr;
};

/// Every name and shape the config asks for, in order.
struct ParameterShape {
  std::string name;
  int64_t rows, cols;
  DType dtype = DType::f32;
};
std::vector<ParameterShape> parameter_shapes(const ModelConfig& config);

/// Zeroed tensors of these names and shapes, owned; f32 unless a shape says otherwise.
Parameters allocate_parameters(const std::vector<ParameterShape>& shapes);

/// Fresh f32 weights: normal(0, 0.02), residual projections scaled by 1/sqrt(2 layers), norms one, biases
/// zero.
Parameters random_parameters(const ModelConfig& config, uint64_t seed);

/// A deep f32 copy (dequantised), owned.
Parameters to_f32(const Parameters& source);

/// A deep copy to train, owned: vectors in f32, matrices in `matrices`, f32 or bf16.
Parameters to_trainable(const Parameters& source, DType matrices);

}  // namespace fettle
