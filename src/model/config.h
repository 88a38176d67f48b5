#pragma once
// What a decoder is made of. A model family (families/) fills this from a published config; nothing else
// knows families.
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace fettle {

enum class NormKind : uint8_t { rms, layer };
enum class PositionKind : uint8_t { rope, alibi, learned, none };
enum class RopeScaling : uint8_t { none, linear, dynamic, llama3, yarn };
/// sequential: x += attn(norm1(x)); x += mlp(norm2(x)). parallel: x += attn(norm1(x)) + mlp(norm(x)), where
/// norm is norm1 when shared (Phi) and norm2 otherwise (GPT-NeoX).
enum class BlockKind : uint8_t { sequential, parallel_shared_norm, parallel_two_norms };

constexpr int32_t most_layers = 10000;

struct RopeConfig {
  double theta = 10000.0;
  int32_t rotary_dim = 0;    ///< columns of a head that turn; head_dim when 0
  bool interleaved = false;  ///< pairs (2i, 2i+1) instead of (i, i + rotary_dim/2)
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;
  int64_t original_context = 0;                          ///< original_max_position_embeddings
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0,
         attention_factor = 0.0;  // yarn; attention_factor 0: 0.1 ln(factor) + 1

  bool operator==(const RopeConfig&) const = default;
};

/// What mixes a layer's tokens; none: the layer is an MLP alone.
enum class MixerKind : uint8_t { attention, none };
/// experts: of several MLPs a router chooses some for each token, whose outputs are summed by the softmax over the
/// chosen ones' scores (Mixtral).
enum class MlpKind : uint8_t { dense, experts, none };

/// One decoder layer.
struct LayerConfig {
  BlockKind block = BlockKind::sequential;
  bool norm_before = true;  ///< each branch reads norm(x)
  bool norm_after = false;  ///< what a branch gives is normalised before it is added (sequential blocks alone)

  MixerKind mixer = MixerKind::attention;
  int32_t heads = 0, kv_heads = 0, head_dim = 0;
  PositionKind position = PositionKind::rope;
  RopeConfig rope;
  int32_t sliding_window = 0;    ///< 0: none
  float attention_scale = 0.0F;  ///< 0: 1/sqrt(head_dim)
  float clip_qkv = 0.0F;         ///< 0: none (MPT)
  bool qk_norm = false;          ///< RMSNorm of every head of q and k, before RoPE
  bool qkv_bias = false, output_bias = false;

  MlpKind mlp = MlpKind::dense;
  int32_t intermediate_size = 0;
  bool gated_mlp = true;
  Activation activation = Activation::silu;
  bool mlp_bias = false;
  int32_t experts = 0, experts_per_token = 0;  ///< of MlpKind::experts

  /// Columns of the query and of the key/value projections; 0 without attention.
  int32_t query_size() const { return mixer == MixerKind::attention ? heads * head_dim : 0; }
  int32_t kv_size() const { return mixer == MixerKind::attention ? kv_heads * head_dim : 0; }
  int32_t rotary_dim() const { return rope.rotary_dim == 0 ? head_dim : rope.rotary_dim; }
};

/// The model, and as its base what every layer is unless `each` says otherwise. Learned positions and ALiBi are the
/// whole model's.
struct ModelConfig : LayerConfig {
  std::string family;  ///< config.json's model_type: "llama", "gpt2", … (families/)
  int32_t vocab_size = 0, hidden_size = 0;
  int32_t layers = 0;
  std::vector<LayerConfig> each;  ///< one per layer where they differ; empty: all are as the base
  int64_t context_length = 0;     ///< max_position_embeddings

  NormKind norm = NormKind::rms;
  float norm_eps = 1e-5F;
  float norm_offset = 0.0F;  ///< 1 for Gemma: x * (1 + w)
  bool norm_bias = false;

  float alibi_max_bias = 8.0F;
  bool head_bias = false;

  float embedding_scale = 1.0F;  ///< Gemma: sqrt(hidden_size)
  float logit_scale = 1.0F;
  bool tied_embeddings = false;
  /// How much the routers' load-balancing loss weighs in training, and whether the config asks for it
  /// (output_router_logits).
  float router_loss_weight = 0.0F;
  bool router_loss = false;

  int32_t bos = -1, pad = -1;
  std::vector<int32_t> eos;

  const LayerConfig& layer(int64_t index) const { return each.empty() ? *this : each[static_cast<size_t>(index)]; }
  /// Of the layers that have experts; 0: none has.
  int32_t expert_count() const;
  /// The smallest number of tokens back that a query of any layer must reach; 0: all.
  int32_t longest_window() const;
  /// RoPE pairs as (2i, 2i+1) in every layer, or as halves: the order that the weights' rows stand in.
  void set_interleaved(bool interleaved);
  /// Layers whose keys live equally long share rows of a cache: the windows in ascending order, 0 (all is kept) always
  /// first, and for each layer the index of its own.
  std::vector<int32_t> cache_windows() const;
  int32_t cache_group(int64_t index) const;
  /// Throws Error(where, …) when sizes are missing, negative, beyond 2^31 or contradict each other.
  void validate(std::string_view where) const;
  int64_t parameter_count() const;
};

/// The frequencies rope() turns a layer's heads by, [rotary_dim/2], and the factor on cos and sin, for sequences of up
/// to `length` tokens in a model that was trained on `context_length` (dynamic scaling depends on both). Formulas: the
/// published implementations' rope_utils.
struct RopeTable {
  std::vector<float> inverse_frequencies;
  float magnitude = 1.0F;
};
RopeTable rope_table(const LayerConfig& layer, int64_t context_length, int64_t length);
/// The same of a model whose layers are alike.
inline RopeTable rope_table(const ModelConfig& config, int64_t length) {
  return rope_table(config, config.context_length, length);
}

/// ALiBi slopes per head (Press et al. 2022, with MPT's rule for head counts that are no power of two).
std::vector<float> alibi_slopes(int32_t heads, float max_bias);

}  // namespace fettle
