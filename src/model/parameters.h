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
  Tensor value;  ///< f32 when trainable; f16, bf16 or quantised when frozen is fine
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

  std::vector<std::unique_ptr<Parameter>>& all() { return parameters_; }
  const std::vector<std::unique_ptr<Parameter>>& all() const { return parameters_; }
  int64_t count(bool trainable_only = false) const;  ///< elements
  int64_t value_bytes() const;

 private:
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::unordered_map<std::string, Parameter*> by_name_;
  std::vector<std::shared_ptr<void>> owners_;
};

/// Every name and shape the config asks for, in order.
struct ParameterShape {
  std::string name;
  int64_t rows, cols;
};
std::vector<ParameterShape> parameter_shapes(const ModelConfig& config);

/// Zeroed f32 tensors of these names and shapes, owned.
Parameters allocate_parameters(const std::vector<ParameterShape>& shapes);

/// Fresh f32 weights: normal(0, 0.02), residual projections scaled by 1/sqrt(2 layers), norms one, biases
/// zero.
Parameters random_parameters(const ModelConfig& config, uint64_t seed);

/// A deep f32 copy (dequantised), owned.
Parameters to_f32(const Parameters& source);

}  // namespace fettle
