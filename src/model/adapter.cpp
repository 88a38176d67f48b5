#include "model/adapter.h"

#include <cmath>

#include "base/random.h"
#include "base/threads.h"
#include "model/families/families.h"

namespace fettle {

float AdapterConfig::scale() const {
  const auto size = static_cast<float>(rank);
  return alpha / (rslora ? std::sqrt(size) : size);
}

LoraPair find_lora(Parameters& parameters, const std::string& module) {
  LoraPair pair;
  pair.b = parameters.find(module + ".lora_b");
  if (pair.b == nullptr) return pair;
  pair.owner = module;
  pair.a = parameters.find(module + ".lora_a");
  for (const std::string_view first : {"q", "gate"}) {
    if (pair.a != nullptr) break;
    pair.owner = module.substr(0, module.rfind('.') + 1) + std::string(first);
    pair.a = parameters.find(pair.owner + ".lora_a");
  }
  if (pair.a == nullptr) fail("adapter", "'{}.lora_b' has no lora_a beside it", module);
  if (pair.a->value.rows != pair.b->value.cols) {
    fail("adapter", "'{}': lora_a has {} rows and lora_b {} columns; both should be the rank", module,
         pair.a->value.rows, pair.b->value.cols);
  }
  return pair;
}

Adapter make_adapter(const ModelConfig& model, const AdapterConfig& config, uint64_t seed) {
  if (config.rank <= 0) fail_usage("adapter rank must be positive, got {}", config.rank);
  const std::vector<AdapterEntry> entries = adapter_entries(model, config);
  std::vector<ParameterShape> shapes;
  for (const AdapterEntry& entry : entries) {
    shapes.push_back({entry.modules[0] + ".lora_a", config.rank, entry.in});
    for (const WeightPart& part : entry.parts) shapes.push_back({part.name, part.rows, part.cols});
  }
  Adapter adapter{config, allocate_parameters(shapes)};
  uint64_t stream = 0;
  for (const auto& parameter : adapter.parameters.all()) {
    parameter->trainable = true;
    ++stream;
    if (!parameter->name.ends_with(".lora_a")) continue;
    Random random(seed, stream);
    const double bound = 1.0 / std::sqrt(static_cast<double>(parameter->value.cols));
    for (float& value : parameter->value.flat<float>()) {
      value = static_cast<float>(bound * (2.0 * random.uniform() - 1.0));
    }
  }
  return adapter;
}

void merge_adapter(Parameters& weights, const Adapter& adapter, float factor) {
  // find_lora reads only; the adapter's parameters are not changed.
  auto& parameters = const_cast<Parameters&>(adapter.parameters);
  for (const auto& parameter : adapter.parameters.all()) {
    if (!parameter->name.ends_with(".lora_b")) continue;
    const std::string module =
        parameter->name.substr(0, parameter->name.size() - std::string_view(".lora_b").size());
    const LoraPair lora = find_lora(parameters, module);
    const Tensor& a = lora.a->value;
    const Tensor& b = lora.b->value;
    const Tensor weight = weights.require(module + ".weight", b.rows, a.cols).value;
    const float scale = adapter.config.scale() * factor;
    parallel_for(weight.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* out = weight.row<float>(row);
        for (int64_t r = 0; r < a.rows; ++r) {
          const float left = scale * b.row<float>(row)[r];
          const float* right = a.row<float>(r);
          for (int64_t col = 0; col < a.cols; ++col) out[col] += left * right[col];
        }
      }
    });
  }
}

}  // namespace fettle
