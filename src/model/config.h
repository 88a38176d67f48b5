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
};

struct ModelConfig {
  std::string
      family;  ///< "llama", "mistral", "qwen2", "gemma", "gpt2", "gpt_neox", "gpt_bigcode", "mpt", "phi"
  int32_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  int32_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t context_length = 0;  ///< max_position_embeddings

  NormKind norm = NormKind::rms;
  float norm_eps = 1e-5F;
  float norm_offset = 0.0F;  ///< 1 for Gemma: x * (1 + w)
  bool norm_bias = false;

  PositionKind position = PositionKind::rope;
  RopeConfig rope;
  float alibi_max_bias = 8.0F;
  int32_t sliding_window = 0;    ///< 0: none
  float attention_scale = 0.0F;  ///< 0: 1/sqrt(head_dim)
  float clip_qkv = 0.0F;         ///< 0: none (MPT)

  BlockKind block = BlockKind::sequential;
  bool gated_mlp = true;
  Activation activation = Activation::silu;
  bool qkv_bias = false, output_bias = false, mlp_bias = false, head_bias = false;

  float embedding_scale = 1.0F;  ///< Gemma: sqrt(hidden_size)
  float logit_scale = 1.0F;
  bool tied_embeddings = false;

  int32_t bos = -1, pad = -1;
  std::vector<int32_t> eos;

  /// Throws Error(where, …) when sizes are missing, negative, beyond 2^31 or contradict each other.
  void validate(std::string_view where) const;
  int64_t parameter_count() const;
  /// Columns of the query and of the key/value projections.
  int32_t query_size() const { return heads * head_dim; }
  int32_t kv_size() const { return kv_heads * head_dim; }
};

/// The frequencies rope() turns by, [rotary_dim/2], and the factor on cos and sin, for sequences of up to
/// `length` tokens (dynamic scaling depends on it). Formulas: the published implementations' rope_utils.
struct RopeTable {
  std::vector<float> inverse_frequencies;
  float magnitude = 1.0F;
};
RopeTable rope_table(const ModelConfig& config, int64_t length);

/// ALiBi slopes per head (Press et al. 2022, with MPT's rule for head counts that are no power of two).
std::vector<float> alibi_slopes(int32_t heads, float max_bias);

}  // namespace fettle
