#include "model/parameters.h"

#include <cmath>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/quant.h"
#include "model/mapped_parameters.h"
#include "model/modules.h"

namespace fettle {

Parameter& Parameters::add(std::string name, const Tensor& value) {
  FETTLE_CHECK(find(name) == nullptr);
  parameters_.push_back(std::make_unique<Parameter>());
  Parameter& parameter = *parameters_.back();
  parameter.name = std::move(name);
  parameter.value = value;
  by_name_[parameter.name] = &parameter;
  return parameter;
}

Parameter* Parameters::find(std::string_view name) {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : found->second;
}

const Parameter* Parameters::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : found->second;
}

void Parameters::remove(std::string_view name) {
  const Parameter* parameter = find(name);
  FETTLE_CHECK(parameter != nullptr);
  by_name_.erase(std::string(name));
  std::erase_if(parameters_, [&](const auto& owned) { return owned.get() == parameter; });
}

Parameter& Parameters::require(std::string_view name, int64_t rows, int64_t cols) {
  Parameter* parameter = find(name);
  if (parameter == nullptr) {
    fail("model weights", "'{}' [{}, {}] is missing; do the weights belong to this config?", name, rows,
         cols);
  }
  if (parameter->value.rows != rows || parameter->value.cols != cols) {
    fail("model weights", "'{}' should be [{}, {}], found [{}, {}]; do the weights belong to this config?",
         name, rows, cols, parameter->value.rows, parameter->value.cols);
  }
  return *parameter;
}

int64_t Parameters::count(bool trainable_only) const {
  int64_t count = 0;
  for (const auto& parameter : parameters_) {
    if (parameter->trainable || !trainable_only) count += parameter->value.size();
  }
  return count;
}

int64_t Parameters::value_bytes() const {
  int64_t bytes = 0;
  for (const auto& parameter : parameters_) {
    bytes += parameter->value.rows * row_bytes(parameter->value.dtype, parameter->value.cols);
  }
  return bytes;
}

std::vector<ParameterShape> parameter_shapes(const ModelConfig& config) {
  std::vector<ParameterShape> shapes;
  for (const ModuleSpec& module : modules_of(config)) {
    shapes.push_back({module.name + ".weight", module.rows, module.cols});
    if (module.bias) shapes.push_back({module.name + ".bias", 1, module.kind == ModuleKind::norm ? module.cols : module.rows});
  }
  return shapes;
}

Parameters allocate_parameters(const std::vector<ParameterShape>& shapes) {
  constexpr int64_t alignment = 64;
  const auto bytes_of = [](const ParameterShape& shape) {
    return (row_bytes(shape.dtype, shape.rows * shape.cols) + alignment - 1) / alignment * alignment;
  };
  int64_t total = 0;
  for (const ParameterShape& shape : shapes) total += bytes_of(shape);
  auto buffer = std::make_shared<Buffer>(total);
  Parameters parameters;
  auto* cursor = static_cast<std::byte*>(buffer->data());
  for (const ParameterShape& shape : shapes) {
    parameters.add(shape.name, Tensor(cursor, shape.dtype, shape.rows, shape.cols));
    cursor += bytes_of(shape);
  }
  parameters.keep_alive(buffer);
  return parameters;
}

namespace {

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  for (const std::string_view end : ends) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

}  // namespace

Parameters random_parameters(const ModelConfig& config, uint64_t seed) {
  Parameters parameters = allocate_parameters(parameter_shapes(config));
  uint64_t stream = 0;
  for (const auto& parameter : parameters.all()) {
    const std::span<float> values = parameter->value.flat<float>();
    ++stream;
    if (parameter->name.find("norm") != std::string::npos && parameter->name.ends_with(".weight")) {
      std::fill(values.begin(), values.end(), 1.0F - config.norm_offset);
    } else if (!parameter->name.ends_with(".bias")) {
      const bool residual = ends_with_any(parameter->name, {".o.weight", ".down.weight"});
      const double deviation = 0.02 / (residual ? std::sqrt(2.0 * config.layers) : 1.0);
      parallel_for(parameter->value.rows, 64, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          Random random(seed, stream, static_cast<uint64_t>(row) << 32);
          float* out = parameter->value.row<float>(row);
          for (int64_t col = 0; col < parameter->value.cols; ++col) {
            out[col] = static_cast<float>(deviation * random.normal());
          }
        }
      });
    }
  }
  return parameters;
}

Parameters to_f32(const Parameters& source) {
  return to_trainable(source, DType::f32);
}

Parameters to_trainable(const Parameters& source, DType matrices) {
  FETTLE_CHECK(matrices == DType::f32 || matrices == DType::bf16);
  std::vector<ParameterShape> shapes;
  for (const auto& parameter : source.all()) {
    const Tensor& value = parameter->value;
    shapes.push_back({parameter->name, value.rows, value.cols, value.rows > 1 ? matrices : DType::f32});
  }
  Parameters copy = allocate_parameters(shapes);
  for (const auto& parameter : source.all()) {
    const Tensor& from = parameter->value;
    const Tensor to = copy.find(parameter->name)->value;
    parallel_for(from.rows, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> values(static_cast<size_t>(to.dtype == DType::f32 ? 0 : to.cols));
      for (int64_t row = begin; row < end; ++row) {
        if (to.dtype == DType::f32) {
          read_row(from, row, to.row<float>(row));
          continue;
        }
        read_row(from, row, values.data());
        quantize_row(to.dtype, values.data(), to.row_slice(row, row + 1).data, to.cols);
      }
    });
  }
  check_files(source);
  return copy;
}

}  // namespace fettle
