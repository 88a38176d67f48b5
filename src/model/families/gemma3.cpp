// Gemma 3 (Gemma Team 2025), its text models: Gemma with norms before and after each branch and of every query and key
// head; most layers have a window and turn by a base of their own, every sixth sees all.
#include <algorithm>
#include <cmath>

#include "model/families/family.h"

namespace fettle {
namespace {

constexpr int32_t usual_pattern = 6;
constexpr double local_theta = 10000.0;
/// The published 27B model, whose scale of attention GGUF's readers know by its number of layers.
constexpr int32_t layers_of_27b = 62;

std::vector<ModuleName> modules(const ModelConfig&) {
  return {{"model.embed_tokens", {"embed"}},
          {"model.layers.{}.input_layernorm", {"norm1"}},
          {"model.layers.{}.self_attn.q_proj", {"q"}},
          {"model.layers.{}.self_attn.k_proj", {"k"}},
          {"model.layers.{}.self_attn.v_proj", {"v"}},
          {"model.layers.{}.self_attn.q_norm", {"norm_q"}},
          {"model.layers.{}.self_attn.k_norm", {"norm_k"}},
          {"model.layers.{}.self_attn.o_proj", {"o"}},
          {"model.layers.{}.post_attention_layernorm", {"norm1_after"}},
          {"model.layers.{}.pre_feedforward_layernorm", {"norm2"}},
          {"model.layers.{}.mlp.gate_proj", {"gate"}},
          {"model.layers.{}.mlp.up_proj", {"up"}},
          {"model.layers.{}.mlp.down_proj", {"down"}},
          {"model.layers.{}.post_feedforward_layernorm", {"norm2_after"}},
          {"model.norm", {"norm"}},
          {"lm_head", {"head"}}};
}

void defaults(ModelConfig& config) {
  config.activation = Activation::gelu_tanh;
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden_size));
  config.tied_embeddings = true;
  config.qk_norm = config.norm_after = true;
}

/// The base is a layer that sees all.
void set_layers(ModelConfig& out, const std::vector<bool>& sliding, int32_t window, const RopeConfig& local) {
  out.each.assign(sliding.size(), out);
  for (size_t i = 0; i < sliding.size(); ++i) {
    if (!sliding[i]) continue;
    out.each[i].sliding_window = window;
    out.each[i].rope = local;
  }
}

void read_ropes(const Json& config, ModelConfig& out, RopeConfig& local, std::string_view where) {
  const auto object = [](const Json& from, const char* key) {
    const auto found = from.find(key);
    return found == from.end() || !found->is_object() ? Json::object() : *found;
  };
  const Json parameters = object(config, "rope_parameters");
  for (const auto& [key, value] : parameters.items()) {
    if (!value.is_object() && value != nullptr)
      fail(where, "key 'rope_parameters': '{}' is not supported here; it holds full_attention and sliding_attention", key);
  }
  Json full = object(parameters, "full_attention");
  full.update(object(config, "rope_scaling"));  // of the layers that see all, as transformers has it
  out.rope = read_rope_scaling(full, json_get_or<double>(config, "rope_theta", 1e6, where), out.context_length, where);
  local = read_rope_scaling(object(parameters, "sliding_attention"),
                            json_get_or<double>(config, "rope_local_base_freq", local_theta, where), out.context_length,
                            where);
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  Json plain = config;  // its rope_parameters are an object per kind of layer
  for (const char* key : {"rope_parameters", "rope_scaling"}) plain.erase(key);
  ModelConfig out = llama_like_from_hf(plain, where);
  defaults(out);
  out.norm_offset = 1.0F;
  out.activation = activation_from_name(
      json_get_or<std::string>(config, "hidden_activation", "gelu_pytorch_tanh", where), where, "hidden_activation");
  out.tied_embeddings = json_get_or<bool>(config, "tie_word_embeddings", true, where);
  if (!config.contains("head_dim")) out.head_dim = 256;
  if (!config.contains("num_key_value_heads")) out.kv_heads = 4;
  if (!config.contains("max_position_embeddings")) out.context_length = 131072;
  out.qkv_bias = out.output_bias = json_get_or<bool>(config, "attention_bias", false, where);
  for (const char* key : {"final_logit_softcapping", "attn_logit_softcapping"})
    require_setting(config, key, nullptr, where);
  require_setting(config, "use_bidirectional_attention", false, where);
  const auto scalar = json_get_or<double>(config, "query_pre_attn_scalar", 256.0, where);
  if (!(scalar > 0.0)) fail(where, "key 'query_pre_attn_scalar' must be positive, got {}", scalar);
  if (scalar != out.head_dim) out.attention_scale = static_cast<float>(1.0 / std::sqrt(scalar));
  out.eos.clear();
  read_token_ids(config, out, where, 2, 1);
  if (!config.contains("pad_token_id")) out.pad = 0;
  const int32_t pattern = get_size_or(config, "sliding_window_pattern", usual_pattern, where);
  if (pattern < 1) fail(where, "key 'sliding_window_pattern' must be 1 or more, got {}", pattern);
  RopeConfig local;
  read_ropes(config, out, local, where);
  const auto sliding =
      read_sliding_layers(config, out.layers, where, [&](int32_t layer) { return (layer + 1) % pattern != 0; });
  const int32_t window = get_size_or(config, "sliding_window", 4096, where);
  if (window < 1) fail(where, "key 'sliding_window' must be 1 or more, got {}", window);
  set_layers(out, sliding, window, local);
  return out;
}

const LayerConfig* sliding_layer(const ModelConfig& config) {
  const auto found = std::find_if(config.each.begin(), config.each.end(),
                                  [](const LayerConfig& layer) { return layer.sliding_window > 0; });
  return found == config.each.end() ? nullptr : &*found;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  for (const char* key : {"hidden_act", "rope_scaling", "rope_theta"}) out.erase(key);
  const LayerConfig* sliding = sliding_layer(config);
  RopeConfig local;
  local.theta = local_theta;
  if (sliding != nullptr) local = sliding->rope;
  out["rope_parameters"] = {{"full_attention", rope_parameters(config.rope)},
                            {"sliding_attention", rope_parameters(local)}};
  // Where transformers before version 5 looks.
  out["rope_theta"] = config.rope.theta;
  out["rope_local_base_freq"] = local.theta;
  if (config.rope.scaling != RopeScaling::none) out["rope_scaling"] = rope_parameters(config.rope);
  out["layer_types"] = layer_types(config);
  out["sliding_window"] = sliding != nullptr ? sliding->sliding_window : 4096;
  out["attention_bias"] = config.qkv_bias;
  out["hidden_activation"] =
      config.activation == Activation::gelu_tanh ? "gelu_pytorch_tanh" : activation_name(config.activation);
  out["query_pre_attn_scalar"] =
      config.attention_scale == 0.0F
          ? config.head_dim
          : static_cast<int32_t>(std::lround(1.0F / (config.attention_scale * config.attention_scale)));
}

/// A number says that every n-th layer sees all, a list says it of each layer.
std::function<bool(size_t)> pattern_in_gguf(const Json& metadata, std::string_view where) {
  const char* key = "gemma3.attention.sliding_window_pattern";
  const auto found = metadata.find(key);
  if (found != metadata.end() && found->is_array()) {
    return [list = *found, key, where](size_t layer) {
      if (layer >= list.size() || !(list[layer].is_boolean() || list[layer].is_number_integer()))
        fail(where, "key '{}' must say of every layer whether it has a window", key);
      return list[layer] != false && list[layer] != 0;
    };
  }
  const int32_t pattern = get_size_or(metadata, key, usual_pattern, where);
  if (pattern < 1) fail(where, "key '{}' must be 1 or more", key);
  return [pattern](size_t layer) { return (static_cast<int32_t>(layer) + 1) % pattern != 0; };
}

void from_gguf(const Json& metadata, ModelConfig& config, std::string_view where) {
  for (const char* key : {"gemma3.final_logit_softcapping", "gemma3.attn_logit_softcapping"}) {
    if (json_get_or<double>(metadata, key, 0.0, where) != 0.0) fail(where, "key '{}' is not supported", key);
  }
  RopeConfig local;
  local.theta = json_get_or<double>(metadata, "gemma3.rope.freq_base_swa", local_theta, where);
  if (config.layers == layers_of_27b && config.heads > 0)
    config.attention_scale = 1.0F / std::sqrt(static_cast<float>(config.hidden_size / config.heads));
  const int32_t window = config.sliding_window;
  config.sliding_window = 0;
  std::vector<bool> sliding(static_cast<size_t>(std::clamp(config.layers, 0, most_layers)));
  const auto slides = pattern_in_gguf(metadata, where);
  for (size_t i = 0; i < sliding.size(); ++i) sliding[i] = window > 0 && slides(i);
  set_layers(config, sliding, window, local);
}

/// Every how many layers one sees all.
int32_t pattern_of(const ModelConfig& config) {
  const auto fits = [&](int32_t pattern) {
    for (int32_t i = 0; i < config.layers; ++i)
      if ((config.layer(i).sliding_window > 0) != ((i + 1) % pattern != 0)) return false;
    return true;
  };
  if (fits(usual_pattern)) return usual_pattern;
  for (int32_t pattern = 1; pattern <= config.layers + 1; ++pattern)
    if (fits(pattern)) return pattern;
  fail("GGUF", "the layers that see all must be every n-th of a gemma3; these are not");
}

void to_gguf(const ModelConfig& config, Json& out) {
  const LayerConfig* sliding = sliding_layer(config);
  const int32_t pattern = pattern_of(config);
  if (pattern != usual_pattern) out["gemma3.attention.sliding_window_pattern"] = pattern;
  const bool known_scale =
      config.layers == layers_of_27b &&
      std::abs(config.attention_scale * std::sqrt(static_cast<float>(config.hidden_size / config.heads)) - 1.0F) < 1e-4F;
  if (config.attention_scale != 0.0F && !known_scale)
    fail("GGUF", "an attention scale of {} cannot be written for 'gemma3'", config.attention_scale);
  if (sliding == nullptr) return;
  if (sliding->rope.scaling != RopeScaling::none)
    fail("GGUF", "a RoPE scaling of the layers with a window cannot be written for 'gemma3'");
  out["gemma3.attention.sliding_window"] = sliding->sliding_window;
  out["gemma3.rope.freq_base_swa"] = sliding->rope.theta;
}

}  // namespace

const Family gemma3_family{.model_type = "gemma3_text",
                           .architecture = "Gemma3ForCausalLM",
                           .gguf = "gemma3",
                           .gguf_windows = true,
                           .hf_norm_offset = 1.0F,
                           .from_hf = from_hf,
                           .to_hf = to_hf,
                           .modules = modules,
                           .from_gguf = from_gguf,
                           .to_gguf = to_gguf,
                           .gguf_defaults = defaults};

}  // namespace fettle
