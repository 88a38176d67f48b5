// adapter_config.json: every key of peft 0.21 is used, known to be harmless, or refused by name.
#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "checkpoint/peft.h"
#include "model/families/families.h"

namespace fettle {
namespace {

/// Keys that say nothing about the numbers, or only about how they came to be.
constexpr std::string_view harmless_keys[] = {
    "peft_type",       "auto_mapping",     "peft_version",    "base_model_name_or_path", "revision",
    "task_type",       "inference_mode",   "fan_in_fan_out",  "megatron_core",           "qalora_group_size",
    "runtime_config",  "loftq_config",     "eva_config",      "corda_config",            "lora_ga_config",
    "velora_config",   "_custom_modules", "ephemeral_gpu_offload"};
constexpr std::string_view used_keys[] = {
    "r",           "lora_alpha",          "lora_dropout",   "use_rslora",    "use_dora",       "lora_bias",
    "bias",        "target_modules",      "exclude_modules", "modules_to_save", "rank_pattern", "alpha_pattern",
    "layers_to_transform", "layers_pattern", "trainable_token_indices", "init_lora_weights", "ensure_weight_tying"};
/// Settings that fettle has no arithmetic for, and what to do about them.
constexpr std::string_view unsupported_keys[] = {
    "layer_replication", "use_qalora",       "megatron_config", "alora_invocation_tokens",
    "target_parameters", "use_bdlora",       "kasa_config",     "arrow_config",
    "monteclora_config"};

template <size_t size>
bool is_among(std::string_view key, const std::string_view (&keys)[size]) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

/// Whether a setting is absent or says "no".
bool is_off(const OrderedJson& value) {
  return value.is_null() || value == false || ((value.is_structured() || value.is_string()) && value.empty());
}

[[noreturn]] void wrong_type(std::string_view where, std::string_view key, const OrderedJson& value,
                             std::string_view expected) {
  fail(where, "key '{}' is {}; {} was expected", key, value.dump().substr(0, 60), expected);
}

void check_keys(const OrderedJson& config, std::string_view where) {
  if (!config.is_object()) fail(where, "an object was expected");
  const auto type = config.find("peft_type");
  if (type == config.end() || *type != "LORA") {
    fail(where, "peft_type is {}; fettle knows LORA (with DoRA, rsLoRA, modules_to_save, trainable tokens); merge the "
         "adapter with peft first", type == config.end() ? "missing" : type->dump().substr(0, 60));
  }
  for (const auto& [key, value] : config.items()) {
    if (is_among(key, unsupported_keys) && !is_off(value)) {
      fail(where, "key '{}' is set ({}): fettle has no arithmetic for it; merge the adapter with peft first", key,
           value.dump().substr(0, 60));
    }
    if (is_among(key, unsupported_keys) || is_among(key, harmless_keys) || is_among(key, used_keys) || is_off(value))
      continue;
    fail(where, "key '{}' is not known ({}): it may change what the adapter computes; merge the adapter with peft first",
         key, value.dump().substr(0, 60));
  }
}

/// PiSSA and its like take their first matrices out of the base, which is then another one.
void check_init(const OrderedJson& config, std::string_view where) {
  const auto found = config.find("init_lora_weights");
  if (found == config.end() || !found->is_string()) return;
  const auto name = found->get<std::string>();
  for (const std::string_view good : {"gaussian", "orthogonal", "eva", "mica", "true", "false"})
    if (name == good) return;
  fail(where,
       "init_lora_weights is '{}': such an adapter stands beside a base that its initialisation has changed; save it "
       "with peft's path_initial_model_for_weight_conversion, or merge it there",
       name);
}

template <typename T>
T get_or(const OrderedJson& config, const char* key, T fallback, std::string_view where, std::string_view expected) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return fallback;
  const bool right = std::is_same_v<T, bool> ? found->is_boolean()
                     : std::is_same_v<T, std::string> ? found->is_string()
                     : std::is_floating_point_v<T>    ? found->is_number()
                                                      : found->is_number_integer();
  if (!right) wrong_type(where, key, *found, expected);
  return found->get<T>();
}

int32_t to_int(const OrderedJson& value, std::string_view where, std::string_view key) {
  if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > INT32_MAX)
    wrong_type(where, key, value, "whole numbers from 0");
  return value.get<int32_t>();
}

std::vector<std::string> texts(const OrderedJson& value, std::string_view where, std::string_view key) {
  std::vector<std::string> result;
  if (value.is_null()) return result;
  if (!value.is_array()) wrong_type(where, key, value, "a list of names");
  for (const OrderedJson& item : value) {
    if (!item.is_string()) wrong_type(where, key, item, "a name");
    result.push_back(item.get<std::string>());
  }
  return result;
}

/// A regular expression, or a list of names.
void read_names(const OrderedJson& config, const char* key, std::string_view where, std::vector<std::string>& names,
                std::string& pattern) {
  names.clear();
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return;
  if (!found->is_string()) {
    names = texts(*found, where, key);
  } else {
    pattern = found->get<std::string>();
    std::string lower = pattern;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (lower != "all-linear") return;
    pattern.clear();
    names = {"all-linear"};
  }
}

std::vector<int32_t> ids(const OrderedJson& value, std::string_view where, std::string_view key) {
  std::vector<int32_t> result;
  if (value.is_number()) return {to_int(value, where, key)};
  if (!value.is_array()) wrong_type(where, key, value, "a list of whole numbers");
  for (const OrderedJson& item : value) result.push_back(to_int(item, where, key));
  return result;
}

void read_token_indices(const OrderedJson& config, const ModelConfig& model, std::string_view where,
                        AdapterConfig& to) {
  constexpr const char* key = "trainable_token_indices";
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return;
  if (found->is_object()) {
    for (const auto& [name, value] : found->items()) to.token_indices.emplace_back(name, ids(value, where, key));
    return;
  }
  for (const AdapterEntry& entry : adaptable_modules(model))
    if (entry.embedding) to.token_indices.emplace_back(entry.published, ids(*found, where, key));
}

template <typename Value>
void read_patterns(const OrderedJson& config, const char* key, std::string_view where,
                   std::vector<std::pair<std::string, Value>>& to) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return;
  if (!found->is_object()) wrong_type(where, key, *found, "an object of patterns");
  for (const auto& [pattern, value] : found->items()) {
    if (!value.is_number()) wrong_type(where, key, value, "a number");
    if constexpr (std::is_integral_v<Value>) {
      to.emplace_back(pattern, to_int(value, where, key));
    } else {
      to.emplace_back(pattern, value.template get<Value>());
    }
  }
}

void read_scale(const OrderedJson& config, std::string_view where, AdapterConfig& to) {
  if (!config.contains("r") || !config.contains("lora_alpha"))
    fail(where, "key '{}' is missing", config.contains("r") ? "lora_alpha" : "r");
  to.rank = get_or<int32_t>(config, "r", 0, where, "a whole number");
  to.alpha = get_or<float>(config, "lora_alpha", 0.0F, where, "a number");
  to.dropout = get_or<float>(config, "lora_dropout", 0.0F, where, "a number");
  to.rslora = get_or<bool>(config, "use_rslora", false, where, "true or false");
  to.dora = get_or<bool>(config, "use_dora", false, where, "true or false");
  to.lora_bias = get_or<bool>(config, "lora_bias", false, where, "true or false");
  read_patterns(config, "rank_pattern", where, to.rank_pattern);
  read_patterns(config, "alpha_pattern", where, to.alpha_pattern);
  if (to.rank < 1) fail(where, "r is {}; a positive rank was expected", to.rank);
  if (!std::isfinite(to.alpha)) fail(where, "lora_alpha is not a number");
  if (to.alpha == 0.0F) fail(where, "lora_alpha is 0: the adapter does nothing");
  if (!(to.dropout >= 0.0F && to.dropout < 1.0F))
    fail(where, "lora_dropout is {}; a probability below 1 was expected", to.dropout);
}

}  // namespace

AdapterConfig parse_adapter_config(const OrderedJson& config, const ModelConfig& model, std::string_view where) {
  check_keys(config, where);
  check_init(config, where);
  AdapterConfig to;
  read_scale(config, where, to);
  const auto bias = get_or<std::string>(config, "bias", "none", where, "none, all or lora_only");
  if (bias != "none" && bias != "all" && bias != "lora_only")
    fail(where, "bias is '{}'; none, all or lora_only was expected", bias);
  to.bias = bias == "all" ? AdapterBias::all : bias == "none" ? AdapterBias::none : AdapterBias::lora_only;
  read_names(config, "target_modules", where, to.targets, to.target_pattern);
  read_names(config, "exclude_modules", where, to.exclude, to.exclude_pattern);
  if (const auto found = config.find("modules_to_save"); found != config.end())
    to.modules_to_save = texts(*found, where, "modules_to_save");
  if (const auto found = config.find("layers_to_transform"); found != config.end() && !found->is_null())
    to.layers = ids(*found, where, "layers_to_transform");
  if (const auto found = config.find("layers_pattern"); found != config.end() && !is_off(*found))
    to.layers_pattern = found->is_string() ? std::vector{found->get<std::string>()} : texts(*found, where, "layers_pattern");
  read_token_indices(config, model, where, to);
  to.ensure_weight_tying = get_or<bool>(config, "ensure_weight_tying", false, where, "true or false");
  return to;
}

}  // namespace fettle
