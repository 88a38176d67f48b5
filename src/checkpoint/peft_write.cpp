// An Adapter to PEFT's tensors and config.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "checkpoint/peft.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weights.h"
#include "model/families/families.h"

namespace fettle {
namespace {

constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";
constexpr std::string_view name_prefix = "base_model.model.";

std::string last_name(std::string_view published) {
  return std::string(published.substr(published.rfind('.') + 1));
}

void add_once(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

/// A published module as it will be written.
struct Written {
  std::string published;
  bool embedding = false, conv1d = false;
  int64_t rank = 0, in = 0, out = 0;
  float alpha = 0.0F;
  std::vector<float> a, b, magnitude, bias;  ///< the last two may be empty
};

/// Our rows at their published places.
void place(const WeightPart& part, const Tensor& value, bool vector, int64_t cols, std::vector<float>& to) {
  int64_t ours = 0;
  for (const RowRun& run : part.runs) {
    for (int64_t i = 0; i < run.count; ++i, ++ours)
      std::copy_n(vector ? value.as<float>() + ours : value.row<float>(ours), cols,
                  to.data() + (run.begin + i * run.step) * cols);
  }
}

std::optional<Written> gather(const AdapterEntry& entry, const Adapter& adapter) {
  const LoraPair first = find_lora(adapter, entry.modules[0]);
  Written result{entry.published, entry.embedding, entry.conv1d, 0, entry.in, entry.out, 0.0F, {}, {}, {}, {}};
  for (size_t part = 0; part < entry.modules.size(); ++part) {
    const LoraPair lora = find_lora(adapter, entry.modules[part]);
    if ((lora.b == nullptr) != (first.b == nullptr))
      fail("adapter", "module '{}' lacks lora_a or lora_b", entry.modules[part]);
    if (lora.b == nullptr) continue;
    FETTLE_CHECK(lora.a == first.a);
    const int64_t rank = lora.b->value.cols;
    result.b.resize(static_cast<size_t>(entry.out * rank));
    place(entry.parts[part], lora.b->value, false, rank, result.b);
    for (const auto& [from, to] : {std::pair(lora.magnitude, &result.magnitude), std::pair(lora.bias, &result.bias)}) {
      if (from == nullptr) continue;
      to->resize(static_cast<size_t>(entry.out));
      place(entry.parts[part], from->value, true, 1, *to);
    }
  }
  if (first.b == nullptr) return std::nullopt;
  const Tensor& a = first.a->value;
  result.rank = first.b->value.cols;
  const auto alpha = adapter.alphas.find(entry.modules[0]);
  result.alpha = alpha == adapter.alphas.end() ? adapter.config.alpha : alpha->second;
  result.a.resize(static_cast<size_t>(a.size()));
  for (int64_t row = 0; row < a.rows; ++row) {
    for (int64_t col = 0; col < a.cols; ++col)
      result.a[static_cast<size_t>(entry.embedding ? col * a.rows + row : row * a.cols + col)] = a.row<float>(row)[col];
  }
  return result;
}

/// The adapter's modules, and the short names they can be called by: "c_proj" is two modules of a GPT-2 layer, so a
/// short name must speak for all of that name.
struct Modules {
  std::vector<Written> written;
  std::vector<std::string> targets;
};

Modules modules_of(const ModelConfig& model, const Adapter& adapter) {
  Modules modules;
  std::map<std::string, int32_t> there_are, chosen;
  for (const AdapterEntry& entry : adaptable_modules(model)) {
    ++there_are[last_name(entry.published)];
    auto written = gather(entry, adapter);
    if (!written) continue;
    ++chosen[last_name(entry.published)];
    modules.written.push_back(std::move(*written));
  }
  for (const Written& module : modules.written) {
    const std::string name = last_name(module.published);
    add_once(modules.targets, chosen[name] == there_are[name] ? name : module.published);
  }
  return modules;
}

Json number(float value) {
  if (value == std::floor(value) && std::fabs(value) < 1e9F) return static_cast<int64_t>(value);
  return value;
}

OrderedJson list_or_null(const std::vector<std::string>& names) {
  return names.empty() ? OrderedJson(nullptr) : OrderedJson(names);
}

std::string bias_name(AdapterBias bias) {
  return bias == AdapterBias::all ? "all" : bias == AdapterBias::lora_only ? "lora_only" : "none";
}

OrderedJson config_json(const Adapter& adapter, const Modules& modules, const std::string& base_model) {
  const AdapterConfig& config = adapter.config;
  OrderedJson rank_pattern = OrderedJson::object(), alpha_pattern = OrderedJson::object();
  bool conv1d = false;
  for (const Written& module : modules.written) {
    conv1d = conv1d || module.conv1d;
    if (module.rank != config.rank) rank_pattern[module.published] = module.rank;
    if (module.alpha != config.alpha) alpha_pattern[module.published] = number(module.alpha);
  }
  OrderedJson tokens = nullptr;
  for (const auto& [name, ids] : config.token_indices) tokens[name] = ids;
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base_model},
          {"revision", nullptr},
          {"inference_mode", true},
          {"r", config.rank},
          {"lora_alpha", number(config.alpha)},
          {"lora_dropout", config.dropout},
          {"target_modules", modules.targets},
          {"bias", bias_name(config.bias)},
          {"lora_bias", config.lora_bias},
          {"fan_in_fan_out", conv1d},
          {"use_rslora", config.rslora},
          {"use_dora", config.dora},
          {"modules_to_save", list_or_null(config.modules_to_save)},
          {"trainable_token_indices", tokens},
          {"ensure_weight_tying", config.ensure_weight_tying},
          {"exclude_modules", nullptr},
          {"layers_to_transform", nullptr},
          {"layers_pattern", nullptr},
          {"rank_pattern", rank_pattern},
          {"alpha_pattern", alpha_pattern},
          {"init_lora_weights", true}};
}

void add_loras(std::vector<Written>& modules, DType dtype, std::vector<TensorToWrite>& tensors) {
  for (Written& module : modules) {
    const std::string name = std::string(name_prefix) + module.published;
    const auto add = [&](const std::string& part, std::vector<float>& values, int64_t rows, int64_t cols) {
      if (values.empty()) return;
      tensors.push_back(tensor_to_write(name + part, {values.data(), DType::f32, rows, cols}, dtype,
                                        rows == 1 && part.find("_A") == std::string::npos && part.find("_B.w") == std::string::npos
                                            ? std::vector<int64_t>{cols}
                                            : std::vector<int64_t>{rows, cols}));
    };
    add(module.embedding ? ".lora_embedding_A" : ".lora_A.weight", module.a, module.rank, module.in);
    add(module.embedding ? ".lora_embedding_B" : ".lora_B.weight", module.b, module.out, module.rank);
    add(".lora_magnitude_vector", module.magnitude, 1, module.out);
    add(".lora_B.bias", module.bias, 1, module.out);
  }
}

/// What stands in the base's places. PEFT has wrapped the base's own module where LoRA or rows stand beside it.
void add_whole(const ModelConfig& model, const Adapter& adapter, const Modules& modules, DType dtype,
               std::vector<TensorToWrite>& tensors) {
  for (const WeightEntry& entry : hf_weights_with_head(model).entries) {
    if (adapter.parameters.find(entry.parts[0].name) == nullptr) continue;
    TensorToWrite tensor = weight_to_write(entry, {&adapter.parameters}, dtype);
    const size_t dot = entry.published.rfind('.');
    const std::string module = entry.published.substr(0, dot), suffix = entry.published.substr(dot);
    const std::string ours = entry.parts[0].name.substr(0, entry.parts[0].name.rfind('.'));
    const bool lora = std::any_of(modules.written.begin(), modules.written.end(),
                                  [&](const Written& written) { return written.published == module; });
    const bool rows = find_rows(adapter, ours, model.tied_embeddings) != nullptr;
    tensor.name = fmt::format("{}{}{}{}", name_prefix, module, rows ? ".token_adapter.base_layer" : lora ? ".base_layer" : "",
                              suffix);
    tensors.push_back(std::move(tensor));
  }
}

void add_rows(const ModelConfig& model, const Adapter& adapter, DType dtype, std::vector<TensorToWrite>& tensors) {
  for (const AdapterEntry& entry : adaptable_modules(model)) {
    const Parameter* rows = adapter.parameters.find(entry.modules[0] + ".rows");
    if (rows == nullptr) continue;
    tensors.push_back(tensor_to_write(fmt::format("{}{}.token_adapter.trainable_tokens_delta", name_prefix, entry.published),
                                      rows->value, dtype));
  }
}

}  // namespace

void write_adapter(const fs::path& folder, const ModelConfig& model, const Adapter& adapter,
                   const std::string& base_model, DType dtype) {
  FETTLE_CHECK(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16);
  Modules modules = modules_of(model, adapter);
  std::vector<TensorToWrite> tensors;
  add_loras(modules.written, dtype, tensors);
  add_whole(model, adapter, modules, dtype, tensors);
  add_rows(model, adapter, dtype, tensors);
  if (tensors.empty()) fail(folder.string(), "the adapter has no weights to write");
  fs::create_directories(folder);
  write_safetensors(folder / weights_name, std::move(tensors));
  write_file(folder / config_name, dump_json(config_json(adapter, modules, base_model), 2) + "\n");
}

}  // namespace fettle
