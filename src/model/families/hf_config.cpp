// Keys of config.json that several families share.
#include <algorithm>
#include <cmath>
#include <limits>

#include "model/families/family.h"

namespace fettle {
namespace {

struct ActivationName {
  std::string_view name;
  Activation activation;
};
// The first name of a kind is the one that is written.
constexpr ActivationName activation_names[] = {
    {"silu", Activation::silu},           {"swish", Activation::silu},
    {"gelu", Activation::gelu},           {"gelu_python", Activation::gelu},
    {"gelu_new", Activation::gelu_tanh},  {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh}, {"quick_gelu", Activation::gelu_quick},
    {"relu", Activation::relu},
};

struct ScalingName {
  std::string_view name;
  RopeScaling scaling;
};
constexpr ScalingName scaling_names[] = {
    {"default", RopeScaling::none},  {"linear", RopeScaling::linear}, {"dynamic", RopeScaling::dynamic},
    {"llama3", RopeScaling::llama3}, {"yarn", RopeScaling::yarn},
};

double yarn_magnitude(double factor, double scale) {
  return factor <= 1.0 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
}

void read_yarn(const Json& rope, RopeConfig& out, std::string_view where) {
  out.beta_fast = json_get_or<double>(rope, "beta_fast", 32.0, where);
  out.beta_slow = json_get_or<double>(rope, "beta_slow", 1.0, where);
  out.attention_factor = json_get_or<double>(rope, "attention_factor", 0.0, where);
  const auto numerator = json_get_or<double>(rope, "mscale", 0.0, where);
  const auto denominator = json_get_or<double>(rope, "mscale_all_dim", 0.0, where);
  if (out.attention_factor == 0.0 && numerator != 0.0 && denominator != 0.0) {
    out.attention_factor = yarn_magnitude(out.factor, numerator) / yarn_magnitude(out.factor, denominator);
  }
  require_setting(rope, "truncate", true, where);
}

}  // namespace

Activation activation_from_name(std::string_view name, std::string_view where, std::string_view key) {
  std::vector<std::string> known;
  for (const ActivationName& entry : activation_names) {
    if (entry.name == name) return entry.activation;
    known.emplace_back(entry.name);
  }
  fail(where, "key '{}': activation '{}' is not supported; known are {}", key, name, fmt::join(known, ", "));
}

std::string_view activation_name(Activation activation) {
  for (const ActivationName& entry : activation_names) {
    if (entry.activation == activation) return entry.name;
  }
  FETTLE_CHECK(false);
  return {};
}

int32_t get_size(const Json& config, const char* key, std::string_view where) {
  const auto value = json_get<int64_t>(config, key, where);
  if (!config.at(key).is_number_integer() || value < 0 || value > std::numeric_limits<int32_t>::max()) {
    fail(where, "key '{}' must be a whole number from 0 to 2147483647, got {}", key, config.at(key).dump());
  }
  return static_cast<int32_t>(value);
}

int32_t get_size_or(const Json& config, const char* key, int32_t fallback, std::string_view where) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? fallback : get_size(config, key, where);
}

int32_t four_times(int32_t hidden_size) {
  return static_cast<int32_t>(
      std::min<int64_t>(int64_t{4} * hidden_size, std::numeric_limits<int32_t>::max()));
}

void require_setting(const Json& config, const char* key, const Json& value, std::string_view where) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null() || *found == value) return;
  fail(where, "key '{}' = {} is not supported; only {} is", key, found->dump().substr(0, 80), value.dump());
}

void read_token_ids(const Json& config, ModelConfig& out, std::string_view where, int32_t bos, int32_t eos) {
  const auto token = [&](const Json& value, const char* key) {
    if (!value.is_number_integer())
      fail(where, "key '{}' must be a token id, got {}", key, value.dump().substr(0, 60));
    const auto id = value.get<int64_t>();
    // Some published files say -1 for "none".
    if (id < -1 || id > std::numeric_limits<int32_t>::max())
      fail(where, "key '{}': {} is no token id", key, id);
    return static_cast<int32_t>(id);
  };
  const auto get = [&](const char* key, int32_t fallback) {
    const auto found = config.find(key);
    if (found == config.end()) return fallback;
    return found->is_null() ? -1 : token(*found, key);
  };
  out.bos = get("bos_token_id", bos);
  out.pad = get("pad_token_id", -1);
  const auto found = config.find("eos_token_id");
  if (found != config.end() && found->is_array()) {
    for (const Json& value : *found) out.eos.push_back(token(value, "eos_token_id"));
  } else if (const int32_t id = get("eos_token_id", eos); id >= 0) {
    out.eos.push_back(id);
  }
}

namespace {

/// The first of these keys that holds an object. transformers takes rope_scaling before rope_parameters.
Json rope_object(const Json& config, std::string_view where) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null() || found->empty()) continue;
    if (!found->is_object())
      fail(where, "key '{}' must be an object, got {}", key, found->dump().substr(0, 60));
    return *found;
  }
  return Json::object();
}

}  // namespace

RopeConfig read_rope_scaling(const Json& rope, double theta, int64_t context_length, std::string_view where) {
  RopeConfig r;
  r.theta = json_get_or<double>(rope, "rope_theta", theta, where);
  const auto type = json_get_or<std::string>(rope, "rope_type",
                                             json_get_or<std::string>(rope, "type", "default", where), where);
  const ScalingName* known = nullptr;
  for (const ScalingName& entry : scaling_names) {
    if (entry.name == type) known = &entry;
  }
  if (known == nullptr) {
    fail(where, "key 'rope_type': '{}' is not supported; known are default, linear, dynamic, llama3 and yarn",
         type);
  }
  r.scaling = known->scaling;
  if (r.scaling == RopeScaling::none) return r;
  r.original_context = json_get_or<int64_t>(rope, "original_max_position_embeddings", context_length, where);
  const bool may_derive = r.scaling == RopeScaling::yarn && r.original_context > 0;
  r.factor = may_derive
                 ? json_get_or<double>(rope, "factor",
                                       static_cast<double>(context_length) / static_cast<double>(r.original_context),
                                       where)
                 : json_get<double>(rope, "factor", where);
  if (r.scaling == RopeScaling::llama3) {
    r.low_freq_factor = json_get<double>(rope, "low_freq_factor", where);
    r.high_freq_factor = json_get<double>(rope, "high_freq_factor", where);
  }
  if (r.scaling == RopeScaling::yarn) read_yarn(rope, r, where);
  return r;
}

void read_rope(const Json& config, ModelConfig& out, std::string_view where, const char* theta_key,
               const char* fraction_key, double default_fraction) {
  // What stands inside comes before what stands beside.
  const Json rope = rope_object(config, where);
  const auto beside = [&](const char* key, double fallback) {
    return json_get_or<double>(config, key, fallback, where);
  };
  out.rope = read_rope_scaling(rope, beside(theta_key, 10000.0), out.context_length, where);
  const double fraction =
      json_get_or<double>(rope, "partial_rotary_factor", beside(fraction_key, default_fraction), where);
  if (!(fraction > 0.0 && fraction <= 1.0))
    fail(where, "key '{}' must be above 0 and at most 1, got {}", fraction_key, fraction);
  const auto columns = static_cast<int32_t>(out.head_dim * fraction);
  out.rope.rotary_dim = columns == out.head_dim ? 0 : columns;
}

Json rope_parameters(const RopeConfig& r) {
  Json rope;
  for (const ScalingName& entry : scaling_names) {
    if (entry.scaling == r.scaling) rope["rope_type"] = entry.name;
  }
  if (r.scaling != RopeScaling::none) rope["factor"] = r.factor;
  if (r.scaling == RopeScaling::llama3 || r.scaling == RopeScaling::yarn) {
    rope["original_max_position_embeddings"] = r.original_context;
  }
  if (r.scaling == RopeScaling::llama3) {
    rope["low_freq_factor"] = r.low_freq_factor;
    rope["high_freq_factor"] = r.high_freq_factor;
  }
  if (r.scaling == RopeScaling::yarn) {
    rope["beta_fast"] = r.beta_fast;
    rope["beta_slow"] = r.beta_slow;
    if (r.attention_factor != 0.0) rope["attention_factor"] = r.attention_factor;
  }
  rope["rope_theta"] = r.theta;
  return rope;
}

void write_rope(const ModelConfig& config, Json& out, const char* theta_key, const char* fraction_key) {
  const RopeConfig& r = config.rope;
  const int32_t rotary = config.rotary_dim();
  Json rope = rope_parameters(r);
  out[theta_key] = r.theta;
  if (rotary != config.head_dim) {
    // Readers truncate head_dim * fraction, so the quotient must not fall short.
    double fraction = static_cast<double>(rotary) / config.head_dim;
    if (static_cast<int32_t>(config.head_dim * fraction) < rotary) fraction = std::nextafter(fraction, 1.0);
    rope["partial_rotary_factor"] = fraction;
    out[fraction_key] = fraction;
  }
  out["rope_parameters"] = rope;
  // Where transformers before version 5 looks for a scaling.
  if (r.scaling != RopeScaling::none) out["rope_scaling"] = rope;
}

std::vector<bool> read_sliding_layers(const Json& config, int32_t layers, std::string_view where,
                                      const std::function<bool(int32_t)>& slides) {
  // A lying number of layers is refused by validate(), and must not make a list first.
  std::vector<bool> sliding(static_cast<size_t>(std::clamp(layers, 0, most_layers)));
  const auto types = config.find("layer_types");
  if (types == config.end() || types->is_null()) {
    for (size_t i = 0; i < sliding.size(); ++i) sliding[i] = slides(static_cast<int32_t>(i));
    return sliding;
  }
  if (!types->is_array() || types->size() != sliding.size())
    fail(where, "key 'layer_types' must be a list of {} names", layers);
  for (size_t i = 0; i < sliding.size(); ++i) {
    const Json& type = (*types)[i];
    sliding[i] = type == "sliding_attention";
    if (!sliding[i] && type != "full_attention")
      fail(where, "key 'layer_types': {} is not supported; known are full_attention and sliding_attention",
           type.dump().substr(0, 60));
  }
  return sliding;
}

Json layer_types(const ModelConfig& config) {
  Json types = Json::array();
  for (int32_t i = 0; i < config.layers; ++i)
    types.push_back(config.layer(i).sliding_window > 0 ? "sliding_attention" : "full_attention");
  return types;
}

void read_upper_windows(const Json& config, ModelConfig& out, std::string_view where) {
  if (!json_get_or<bool>(config, "use_sliding_window", false, where)) return;
  const int32_t size = get_size_or(config, "sliding_window", 4096, where);
  const int32_t full_layers = get_size_or(config, "max_window_layers", 28, where);
  const std::vector<bool> sliding =
      read_sliding_layers(config, out.layers, where, [&](int32_t layer) { return layer >= full_layers; });
  const auto count = std::count(sliding.begin(), sliding.end(), true);
  if (count == 0) return;
  if (count == static_cast<int64_t>(sliding.size())) {
    out.sliding_window = size;
    return;
  }
  out.each.assign(sliding.size(), out);
  for (size_t i = 0; i < sliding.size(); ++i)
    if (sliding[i]) out.each[i].sliding_window = size;
}

void write_upper_windows(const ModelConfig& config, Json& out) {
  int32_t size = 0, first = config.layers;
  for (int32_t i = config.layers; i-- > 0;) {
    if (config.layer(i).sliding_window == 0) continue;
    size = config.layer(i).sliding_window;
    first = i;
  }
  out["use_sliding_window"] = size > 0;
  out["sliding_window"] = size > 0 ? Json(size) : Json(nullptr);
  out["max_window_layers"] = first;
  if (!config.each.empty()) out["layer_types"] = layer_types(config);
}

}  // namespace fettle
