#include "model/adapted_weight.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "kernels/host_backend.h"
#include "kernels/quant.h"
#include "model/families/families.h"
#include "model/mapped_parameters.h"

namespace fettle {
namespace {

constexpr std::string_view weight_suffix = ".weight";

void check_fits(const LoraPair& lora, bool embedding, const Tensor& weight, std::string_view parameter) {
  const bool fits = embedding ? lora.a->value.rows == weight.rows && lora.b->value.rows == weight.cols
                              : lora.a->value.cols == weight.cols && lora.b->value.rows == weight.rows;
  if (!fits)
    fail("adapter", "its LoRA of '{}' is for a weight of another shape than [{}, {}]", parameter, weight.rows,
         weight.cols);
}

}  // namespace

std::vector<float> dora_norms(const Tensor& weight, const LoraPair& lora, bool embedding) {
  std::vector<float> norms(static_cast<size_t>(embedding ? weight.cols : weight.rows));
  adapted_norms_of(norms.data(), weight, lora.a->value, lora.b->value, lora.scale, embedding);
  return norms;
}

AdaptedWeight::AdaptedWeight(const Parameters& base, const Adapter* adapter, float factor,
                             std::string_view parameter)
    : factor_(factor) {
  const Parameter* found = base.find(parameter);
  const bool tied = found == nullptr && parameter == "head.weight";
  if (tied) found = base.find("embed.weight");
  if (found == nullptr) fail("model weights", "'{}' is missing", parameter);
  value_ = found->value;
  if (adapter == nullptr) return;
  if (const Parameter* whole = find_replacement(*adapter, parameter, tied)) {
    if (whole->value.rows != value_.rows || whole->value.cols != value_.cols)
      fail("adapter", "'{}' is [{}, {}], the model's [{}, {}]", parameter, whole->value.rows,
           whole->value.cols, value_.rows, value_.cols);
    if (factor == 1.0F) {
      value_ = whole->value;
    } else {
      blend_ = &whole->value;
    }
  }
  if (!parameter.ends_with(weight_suffix)) {
    // B's bias is a part of the layer's.
    lora_ = find_lora(*adapter, std::string(parameter.substr(0, parameter.rfind('.'))));
    lora_.b = nullptr;
    return;
  }
  const std::string module(parameter.substr(0, parameter.size() - weight_suffix.size()));
  embedding_ = module == "embed";
  lora_ = find_lora(*adapter, module);
  if (lora_.b != nullptr) check_fits(lora_, embedding_, value_, parameter);
  lora_.bias = nullptr;
  if (embedding_ && lora_.magnitude != nullptr) norms_ = dora_norms(value_, lora_, true);
  if (const Parameter* rows = find_rows(*adapter, module, tied)) {
    token_rows_ = &rows->value;
    const auto ids = adapter->token_ids.find(rows->name.substr(0, rows->name.rfind('.')));
    for (size_t i = 0; i < ids->second.size(); ++i) row_of_[ids->second[i]] = static_cast<int64_t>(i);
  }
}

bool AdaptedWeight::plain(int64_t row) const {
  return blend_ == nullptr && lora_.b == nullptr && lora_.bias == nullptr && row_of_.count(row) == 0;
}

const std::byte* AdaptedWeight::bytes(int64_t row) const {
  return static_cast<const std::byte*>(value_.row_slice(row, row + 1).data);
}

void AdaptedWeight::add_lora(int64_t row, float* out, float* scratch) const {
  const int64_t cols = value_.cols;
  lora_row(lora_.a->value, lora_.b->value, lora_.scale, embedding_, row, scratch, cols);
  if (lora_.magnitude == nullptr) {
    for (int64_t i = 0; i < cols; ++i) out[i] += factor_ * scratch[i];
    return;
  }
  const float* magnitude = lora_.magnitude->value.as<float>();
  double norm = 0.0;
  if (!embedding_)
    for (int64_t i = 0; i < cols; ++i) norm += std::pow(double{out[i]} + double{scratch[i]}, 2);
  for (int64_t i = 0; i < cols; ++i) {
    const float ratio = embedding_ ? magnitude[i] / norms_[static_cast<size_t>(i)]
                                   : magnitude[row] / static_cast<float>(std::sqrt(norm));
    out[i] += factor_ * (ratio * (out[i] + scratch[i]) - out[i]);
  }
}

void AdaptedWeight::values(int64_t row, float* out, float* scratch) const {
  const int64_t cols = value_.cols;
  read_row(value_, row, out);
  if (blend_ != nullptr) {
    read_row(*blend_, row, scratch);
    for (int64_t i = 0; i < cols; ++i) out[i] += factor_ * (scratch[i] - out[i]);
  }
  if (lora_.b != nullptr) add_lora(row, out, scratch);
  if (lora_.bias != nullptr)
    for (int64_t i = 0; i < cols; ++i) out[i] += factor_ * lora_.scale * lora_.bias->value.as<float>()[i];
  if (const auto found = row_of_.find(row); found != row_of_.end()) {
    read_row(*token_rows_, found->second, scratch);
    for (int64_t i = 0; i < cols; ++i) out[i] += factor_ * (scratch[i] - out[i]);
  }
}

Parameters merge_adapter(ModelConfig& config, const Parameters& base, const Adapter& adapter, float factor) {
  if (config.tied_embeddings && adapter.separates_head()) config.tied_embeddings = false;
  const std::vector<ParameterShape> shapes = parameter_shapes(config);
  for (const auto& parameter : adapter.parameters.all()) {
    // A bias that the model has no place for would be lost.
    if (!parameter->name.ends_with(".lora_bias")) continue;
    const std::string bias = parameter->name.substr(0, parameter->name.rfind('.')) + ".bias";
    if (base.find(bias) == nullptr)
      fail("adapter",
           "it has a bias for '{}', which has none in this model: it cannot be merged, only used beside it",
           bias);
  }
  Parameters merged = allocate_parameters(shapes);
  for (const auto& parameter : merged.all()) {
    const AdaptedWeight weight(base, &adapter, factor, parameter->name);
    const Tensor to = parameter->value;
    if (weight.rows() != to.rows || weight.cols() != to.cols)
      fail("model weights", "'{}' should be [{}, {}], found [{}, {}]", parameter->name, to.rows, to.cols,
           weight.rows(), weight.cols());
    parallel_for(to.rows, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(static_cast<size_t>(to.cols));
      for (int64_t row = begin; row < end; ++row) weight.values(row, to.row<float>(row), scratch.data());
    });
  }
  check_files(base);
  check_files(adapter.parameters);
  return merged;
}

}  // namespace fettle
