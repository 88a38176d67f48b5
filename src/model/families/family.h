#pragma once
// What a family file provides. Names are patterns: "{}" stands for the layer.
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "model/families/families.h"

namespace fettle {

/// How the rows of a published module hold ours.
enum class Layout : uint8_t {
  stacked,   ///< one after the other (a single part, plain thirds of a fused qkv, gate and up)
  per_head,  ///< [heads, parts, head_dim]: every head has its q, k, v rows together (GPT-NeoX)
  conv1d,    ///< stacked, and the matrix is stored [in, out]
};

struct ModuleName {
  std::string_view published;
  std::vector<std::string_view>
      ours;  ///< "q", "norm1"; without a layer in `published`: "embed", "norm", "head"; of every expert: "experts.{}.up",
             ///< whose published name has a second {} or is one tensor [experts, out, in]
  Layout layout = Layout::stacked;
};

struct Family {
  std::string_view model_type;    ///< config.json's, and ModelConfig::family
  std::string_view architecture;  ///< config.json's "architectures"
  std::string_view gguf;          ///< general.architecture
  bool gguf_interleaved = false;  ///< GGUF holds q and k rows for pairs (2i, 2i+1)
  bool gguf_fused_qkv = false;
  bool gguf_windows = false;  ///< llama.cpp keeps to the sliding windows of this architecture
  std::string_view optional_prefix = {};
  float hf_norm_offset = 0.0F;
  ModelConfig (*from_hf)(const Json& config, std::string_view where) = nullptr;
  void (*to_hf)(const ModelConfig& config, Json& out) = nullptr;
  std::vector<ModuleName> (*modules)(const ModelConfig& config) = nullptr;
  /// Where layers differ, or metadata has keys of its own: fills what the shared keys leave open. May be null.
  void (*from_gguf)(const Json& metadata, ModelConfig& config, std::string_view where) = nullptr;
  void (*to_gguf)(const ModelConfig& config, Json& out) = nullptr;
  /// What the family always has and GGUF's metadata does not say (norm kind, activation, biases, …).
  void (*gguf_defaults)(ModelConfig& config) = nullptr;
};

extern const Family llama_family, mistral_family, qwen2_family, qwen3_family, gemma_family, gemma3_family, mixtral_family,
    gpt2_family, gpt_neox_family, gpt_bigcode_family, mpt_family, phi_family;

std::span<const Family* const> all_families();
const Family& family_named(std::string_view model_type);

// ---- shared by family files

/// The names of Llama's weights, which Mistral, Qwen2 and Gemma share.
std::vector<ModuleName> llama_modules(const ModelConfig& config);

/// The keys that Llama-like configs share, and back: sizes, norm, activation, RoPE, token ids.
ModelConfig llama_like_from_hf(const Json& config, std::string_view where);
void llama_like_to_hf(const ModelConfig& config, Json& out);

Activation activation_from_name(std::string_view name, std::string_view where, std::string_view key);
std::string_view activation_name(Activation activation);

/// theta and scaling from one object of RoPE's keys; rotary_dim stays 0.
RopeConfig read_rope_scaling(const Json& rope, double theta, int64_t context_length, std::string_view where);
/// The same back.
Json rope_parameters(const RopeConfig& rope);

/// Reads rope_parameters (new) or rope_scaling with rope_theta (old). `default_fraction` of a head turns
/// unless the config says so under `fraction_key`; theta_key is the old place of theta.
void read_rope(const Json& config, ModelConfig& out, std::string_view where,
               const char* theta_key = "rope_theta", const char* fraction_key = "partial_rotary_factor",
               double default_fraction = 1.0);
/// Writes rope_parameters as transformers 5 does, and the older keys beside it.
void write_rope(const ModelConfig& config, Json& out, const char* theta_key = "rope_theta",
                const char* fraction_key = "partial_rotary_factor");

/// Which layers have a window: 'layer_types' ("sliding_attention", "full_attention"), or what slides(layer) says.
std::vector<bool> read_sliding_layers(const Json& config, int32_t layers, std::string_view where,
                                      const std::function<bool(int32_t)>& slides);
/// 'layer_types' of the config.
Json layer_types(const ModelConfig& config);

/// Qwen's keys: use_sliding_window, sliding_window, max_window_layers (the layers from it on have the window),
/// layer_types. To be read last: layers that differ are copies of what stands in `out`.
void read_upper_windows(const Json& config, ModelConfig& out, std::string_view where);
void write_upper_windows(const ModelConfig& config, Json& out);

/// bos_token_id, eos_token_id (a number or a list), pad_token_id, with the family's defaults of transformers.
void read_token_ids(const Json& config, ModelConfig& out, std::string_view where, int32_t bos = -1,
                    int32_t eos = -1);

/// Throws unless the key is absent, null or equal to `value`: a setting that the decoder cannot honour.
void require_setting(const Json& config, const char* key, const Json& value, std::string_view where);
/// json_get with the range of int32 checked.
int32_t get_size(const Json& config, const char* key, std::string_view where);
/// 4 * hidden_size, the usual inner size of a plain MLP, without overflow (validate() judges the result).
int32_t four_times(int32_t hidden_size);
int32_t get_size_or(const Json& config, const char* key, int32_t fallback, std::string_view where);

}  // namespace fettle
