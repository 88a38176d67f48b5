#include "checkpoint/peft.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "checkpoint/safetensors.h"
#include "kernels/quant.h"
#include "model/families/families.h"

namespace fettle {
namespace {

constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";
constexpr std::string_view name_prefix = "base_model.model.";
constexpr std::string_view a_suffix = ".lora_A.weight", b_suffix = ".lora_B.weight";

float scale_of(float alpha, int64_t rank, bool rslora) {
  return alpha / (rslora ? std::sqrt(static_cast<float>(rank)) : static_cast<float>(rank));
}

// ---- reading

/// Whether a setting is absent or says "no".
bool is_off(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() || *found == false ||
         (found->is_structured() && found->empty());
}

void check_supported(const Json& config, std::string_view where) {
  if (!config.is_object()) fail(where, "an object was expected");
  const auto type = json_get<std::string>(config, "peft_type", where);
  if (type != "LORA") fail(where, "peft_type is '{}'; fettle knows LORA", type);
  const auto bias = json_get_or<std::string>(config, "bias", "none", where);
  if (bias != "none" && bias != "lora_only" && bias != "all")
    fail(where, "bias is '{}'; 'none' was expected", bias);
  if (bias != "none")
    fail(where, "bias is '{}': trained biases are not supported; merge the adapter with peft first", bias);
  for (const char* key : {"modules_to_save", "use_dora", "lora_bias", "layer_replication", "use_qalora",
                          "trainable_token_indices", "target_parameters", "alora_invocation_tokens",
                          "use_bdlora", "kasa_config", "arrow_config", "monteclora_config"}) {
    if (!is_off(config, key)) {
      fail(where, "key '{}' is set ({}): fettle has no arithmetic for it; merge the adapter with peft first",
           key, config[key].dump().substr(0, 60));
    }
  }
}

struct PeftSettings {
  AdapterConfig config;
  std::map<std::string, float> alpha_of;  ///< by the end of a module's name
};

PeftSettings read_settings(const Json& json, std::string_view where) {
  check_supported(json, where);
  PeftSettings settings;
  settings.config.rank = json_get<int32_t>(json, "r", where);
  settings.config.alpha = json_get<float>(json, "lora_alpha", where);
  settings.config.dropout = json_get_or<float>(json, "lora_dropout", 0.0F, where);
  settings.config.rslora = json_get_or<bool>(json, "use_rslora", false, where);
  if (settings.config.rank < 1) fail(where, "r is {}; a positive rank was expected", settings.config.rank);
  if (!std::isfinite(settings.config.alpha)) fail(where, "lora_alpha is not a number");
  for (const auto& [pattern, alpha] :
       json_get_or<std::map<std::string, float>>(json, "alpha_pattern", {}, where)) {
    std::string name = pattern;
    if (name.starts_with('^')) name.erase(0, 1);
    if (name.ends_with('$')) name.pop_back();
    if (name.find_first_of("*+?|()[]{}^$\\") != std::string::npos) {
      fail(where, "alpha_pattern '{}' is a regular expression; plain names of modules can be read", pattern);
    }
    settings.alpha_of[name] = alpha;
  }
  return settings;
}

float alpha_of(const PeftSettings& settings, std::string_view module) {
  for (const auto& [name, alpha] : settings.alpha_of) {
    if (module == name || module.ends_with("." + name)) return alpha;
  }
  return settings.config.alpha;
}

std::vector<float> to_floats(const StoredTensor& stored, std::string_view where) {
  const Tensor view = stored.view(where);
  if (view.dtype != DType::f32 && view.dtype != DType::f16 && view.dtype != DType::bf16) {
    fail(where, "tensor '{}' is {}; F32, F16 or BF16 was expected", stored.name, stored.type);
  }
  std::vector<float> values(static_cast<size_t>(view.size()));
  dequantize_row(view.dtype, view.data, values.data(), view.size());
  return values;
}

/// The two matrices of a published module.
struct Pair {
  const AdapterEntry* entry = nullptr;
  const StoredTensor *a = nullptr, *b = nullptr;
};

/// base_model.model.X.lora_A.weight to X and its half; none when the name is of another form.
std::optional<std::pair<std::string, bool>> split_name(std::string_view name) {
  if (!name.starts_with(name_prefix)) return std::nullopt;
  name.remove_prefix(name_prefix.size());
  for (const auto suffix : {a_suffix, b_suffix}) {
    if (name.ends_with(suffix))
      return std::pair(std::string(name.substr(0, name.size() - suffix.size())), suffix == a_suffix);
  }
  return std::nullopt;
}

std::vector<Pair> pair_up(const Safetensors& file, const std::vector<AdapterEntry>& entries) {
  std::map<std::string, Pair> by_name;
  for (const AdapterEntry& entry : entries) by_name[entry.published].entry = &entry;
  for (const StoredTensor& tensor : file.tensors.all()) {
    const auto split = split_name(tensor.name);
    const auto found = split ? by_name.find(split->first) : by_name.end();
    if (found == by_name.end()) {
      fail(file.where,
           "tensor '{}' belongs to no linear layer of this model; is the adapter of another base model?",
           tensor.name);
    }
    (split->second ? found->second.a : found->second.b) = &tensor;
  }
  std::vector<Pair> pairs;
  for (const AdapterEntry& entry : entries) {
    const Pair& pair = by_name[entry.published];
    if (pair.a == nullptr && pair.b == nullptr) continue;
    if (pair.a == nullptr || pair.b == nullptr) {
      fail(file.where, "module '{}' has only one of lora_A and lora_B", entry.published);
    }
    const int64_t rank = pair.a->shape.empty() ? 0 : pair.a->shape[0];
    if (rank < 1 || pair.a->shape != std::vector<int64_t>{rank, entry.in} ||
        pair.b->shape != std::vector<int64_t>{entry.out, rank}) {
      fail(file.where,
           "module '{}' should have lora_A [r, {}] and lora_B [{}, r], found {} and {}; is the adapter of "
           "another base model?",
           entry.published, entry.in, entry.out, shape_text(pair.a->shape), shape_text(pair.b->shape));
    }
    pairs.push_back(pair);
  }
  if (pairs.empty()) fail(file.where, "holds no LoRA weights");
  return pairs;
}

Tensor zeros(Parameters& parameters, int64_t rows, int64_t cols) {
  auto buffer = std::make_shared<Buffer>(rows * cols * 4);
  const Tensor tensor(buffer->data(), DType::f32, rows, cols);
  parameters.keep_alive(std::move(buffer));
  return tensor;
}

/// Adds a published pair as the parameters of its parts, filled up to the adapter's rank.
void add_pair(Adapter& adapter, const Pair& pair, float ratio, std::string_view where) {
  const std::vector<float> a = to_floats(*pair.a, where), b = to_floats(*pair.b, where);
  const int64_t rank = pair.a->shape[0], in = pair.entry->in;
  for (size_t part = 0; part < pair.entry->modules.size(); ++part) {
    const WeightPart& rows = pair.entry->parts[part];
    const Tensor to_a = zeros(adapter.parameters, adapter.config.rank, in);
    std::copy(a.begin(), a.end(), to_a.as<float>());
    const Tensor to_b = zeros(adapter.parameters, rows.rows, adapter.config.rank);
    int64_t ours = 0;
    for (const RowRun& run : rows.runs) {
      for (int64_t i = 0; i < run.count; ++i, ++ours) {
        const float* from = b.data() + (run.begin + i * run.step) * rank;
        for (int64_t r = 0; r < rank; ++r) to_b.row<float>(ours)[r] = from[r] * ratio;
      }
    }
    adapter.parameters.add(pair.entry->modules[part] + ".lora_a", to_a);
    adapter.parameters.add(pair.entry->modules[part] + ".lora_b", to_b);
  }
}

std::string last_name(std::string_view published) {
  return std::string(published.substr(published.rfind('.') + 1));
}

void add_once(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

// ---- writing

/// A published module as it will be written.
struct Written {
  std::string published;
  int64_t rank = 0, in = 0, out = 0;
  std::vector<float> a, b;
};

bool same_values(const Tensor& x, const Tensor& y) {
  if (x.rows != y.rows || x.cols != y.cols) return false;
  for (int64_t row = 0; row < x.rows; ++row) {
    if (std::memcmp(x.row<float>(row), y.row<float>(row), static_cast<size_t>(x.cols) * sizeof(float)) != 0)
      return false;
  }
  return true;
}

/// One A for all parts where they share it; otherwise the A's under each other and B block-diagonal, which is
/// the same map.
std::optional<Written> gather(const AdapterEntry& entry, const Parameters& parameters) {
  std::vector<const Parameter*> a, b;
  for (const std::string& module : entry.modules) {
    a.push_back(parameters.find(module + ".lora_a"));
    b.push_back(parameters.find(module + ".lora_b"));
  }
  if (std::all_of(a.begin(), a.end(), [](const Parameter* p) { return p == nullptr; })) return std::nullopt;
  for (size_t part = 0; part < a.size(); ++part) {
    if (a[part] == nullptr || b[part] == nullptr)
      fail("adapter", "module '{}' lacks lora_a or lora_b", entry.modules[part]);
  }
  const bool shared =
      std::all_of(a.begin(), a.end(), [&](const Parameter* p) { return same_values(p->value, a[0]->value); });
  Written result{entry.published, 0, entry.in, entry.out, {}, {}};
  for (size_t part = 0; part < (shared ? 1 : a.size()); ++part) {
    const Tensor& value = a[part]->value;
    for (int64_t row = 0; row < value.rows; ++row)
      result.a.insert(result.a.end(), value.row<float>(row), value.row<float>(row) + value.cols);
    result.rank += value.rows;
  }
  result.b.assign(static_cast<size_t>(result.out * result.rank), 0.0F);
  int64_t column = 0;
  for (size_t part = 0; part < b.size(); ++part) {
    const Tensor& value = b[part]->value;
    int64_t ours = 0;
    for (const RowRun& run : entry.parts[part].runs) {
      for (int64_t i = 0; i < run.count; ++i, ++ours) {
        std::copy_n(value.row<float>(ours), value.cols,
                    result.b.data() + (run.begin + i * run.step) * result.rank + column);
      }
    }
    if (!shared) column += value.cols;
  }
  return result;
}

Json number(float value) {
  if (value == std::floor(value) && std::fabs(value) < 1e9F) return static_cast<int64_t>(value);
  return value;
}

OrderedJson config_json(const AdapterConfig& config, const std::vector<Written>& modules,
                        const std::string& base_model, bool conv1d, bool all_layers) {
  std::vector<std::string> targets;
  OrderedJson rank_pattern = OrderedJson::object(), alpha_pattern = OrderedJson::object();
  for (const Written& module : modules) {
    add_once(targets, all_layers ? last_name(module.published) : module.published);
    if (module.rank == config.rank) continue;
    // The scale must stay that of the adapter although the rank is another.
    rank_pattern[module.published] = module.rank;
    const float ratio = config.rslora
                            ? std::sqrt(static_cast<float>(module.rank) / static_cast<float>(config.rank))
                            : static_cast<float>(module.rank) / static_cast<float>(config.rank);
    alpha_pattern[module.published] = number(config.alpha * ratio);
  }
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base_model},
          {"revision", nullptr},
          {"inference_mode", true},
          {"r", config.rank},
          {"lora_alpha", number(config.alpha)},
          {"lora_dropout", config.dropout},
          {"target_modules", targets},
          {"bias", "none"},
          {"fan_in_fan_out", conv1d},
          {"use_rslora", config.rslora},
          {"use_dora", false},
          {"modules_to_save", nullptr},
          {"layers_to_transform", nullptr},
          {"layers_pattern", nullptr},
          {"rank_pattern", rank_pattern},
          {"alpha_pattern", alpha_pattern},
          {"init_lora_weights", true}};
}

}  // namespace

std::string adapter_base_model(const fs::path& folder) {
  const fs::path file = folder / config_name;
  const Json json = read_json(file);
  if (!json.is_object()) fail(file.string(), "an object was expected");
  return json_get_or<std::string>(json, "base_model_name_or_path", "", file.string());
}

Adapter read_adapter(const fs::path& folder, const ModelConfig& model) {
  if (!fs::exists(folder / config_name))
    fail(folder.string(), "has no {}: it is no PEFT adapter", config_name);
  const std::string where = (folder / config_name).string();
  const Json config = read_json(folder / config_name);
  if (!fs::exists(folder / weights_name)) {
    fail(folder.string(), "has no {}{}", weights_name,
         fs::exists(folder / "adapter_model.bin")
             ? "; adapter_model.bin is a Python pickle, save it as safetensors with peft"
             : "");
  }
  return parse_adapter(config, open_safetensors(folder / weights_name), model, where);
}

Adapter parse_adapter(const Json& json, const Safetensors& file, const ModelConfig& model,
                      std::string_view where) {
  const PeftSettings settings = read_settings(json, where);
  AdapterConfig everything;
  everything.targets = {"all-linear"};
  const std::vector<AdapterEntry> entries = adapter_entries(model, everything);
  const std::vector<Pair> pairs = pair_up(file, entries);

  Adapter adapter;
  adapter.config = settings.config;
  adapter.config.targets.clear();
  adapter.config.rank = 1;
  for (const Pair& pair : pairs) {
    if (pair.a->shape[0] > INT32_MAX)
      fail(file.where, "tensor '{}' has the impossible rank {}", pair.a->name, pair.a->shape[0]);
    adapter.config.rank = std::max(adapter.config.rank, static_cast<int32_t>(pair.a->shape[0]));
    add_once(adapter.config.targets, last_name(pair.entry->published));
  }
  // One rank for all modules: alpha stays PEFT's where every module has the rank of the config.
  const bool uniform = std::all_of(pairs.begin(), pairs.end(),
                                   [&](const Pair& pair) { return pair.a->shape[0] == adapter.config.rank; });
  const float scale = scale_of(adapter.config.alpha, adapter.config.rank, adapter.config.rslora);
  if (scale == 0.0F) fail(where, "lora_alpha is 0: the adapter does nothing");
  for (const Pair& pair : pairs) {
    const float alpha = alpha_of(settings, pair.entry->published);
    const bool same = uniform && alpha == adapter.config.alpha;
    const float ratio = same ? 1.0F : scale_of(alpha, pair.a->shape[0], adapter.config.rslora) / scale;
    add_pair(adapter, pair, ratio, file.where);
  }
  return adapter;
}

void write_adapter(const fs::path& folder, const ModelConfig& model, const Adapter& adapter,
                   const std::string& base_model, DType dtype) {
  FETTLE_CHECK(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16);
  AdapterConfig everything = adapter.config;
  everything.targets = {"all-linear"};
  std::vector<Written> modules;
  bool conv1d = false;
  std::map<std::string, int32_t> layers_of;
  for (const AdapterEntry& entry : adapter_entries(model, everything)) {
    auto written = gather(entry, adapter.parameters);
    if (!written) continue;
    ++layers_of[last_name(entry.published)];
    conv1d = conv1d || entry.conv1d;
    modules.push_back(std::move(*written));
  }
  if (modules.empty()) fail(folder.string(), "the adapter has no weights to write");
  // "c_proj" is two modules of a GPT-2 layer: a short name speaks for all of that name.
  std::map<std::string, int32_t> there_are;
  for (const AdapterEntry& entry : adapter_entries(model, everything))
    ++there_are[last_name(entry.published)];
  const bool all_layers = std::all_of(layers_of.begin(), layers_of.end(),
                                      [&](const auto& item) { return there_are[item.first] == item.second; });

  std::vector<TensorToWrite> tensors;
  for (Written& module : modules) {
    const std::string name = std::string(name_prefix) + module.published;
    tensors.push_back(tensor_to_write(name + std::string(a_suffix),
                                      {module.a.data(), DType::f32, module.rank, module.in}, dtype));
    tensors.push_back(tensor_to_write(name + std::string(b_suffix),
                                      {module.b.data(), DType::f32, module.out, module.rank}, dtype));
  }
  fs::create_directories(folder);
  write_safetensors(folder / weights_name, std::move(tensors));
  write_file(folder / config_name,
             dump_json(config_json(adapter.config, modules, base_model, conv1d, all_layers), 2) + "\n");
}

}  // namespace fettle
