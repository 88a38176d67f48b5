#pragma once
// Adapters as PEFT means them: LoRA (Hu et al. 2021) beside linear layers, the embedding and the head, with rank
// stabilisation (Kalajdzievski 2023) or magnitudes (DoRA, Liu et al. 2024); whole modules and single rows of the
// embedding that stand in the place of the base's.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/parameters.h"

namespace fettle {

enum class AdapterBias : uint8_t { none, lora_only, all };

/// PEFT's meaning of every field. Names are published module names or their ends ("q_proj", …, see families).
struct AdapterConfig {
  int32_t rank = 16;
  float alpha = 32.0F;
  float dropout = 0.0F;
  bool rslora = false;  ///< scale = alpha / sqrt(rank) instead of alpha / rank
  std::vector<std::string> targets{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                   "gate_proj", "up_proj", "down_proj"};
  std::string target_pattern;  ///< instead of targets, unless empty: a regular expression over whole names
  std::vector<std::string> exclude = {};
  std::string exclude_pattern = {};
  std::vector<int32_t> layers = {};  ///< of targets; empty: all
  std::vector<std::string> layers_pattern = {};
  /// By a regular expression over the end of a name; the first that matches holds.
  std::vector<std::pair<std::string, int32_t>> rank_pattern = {};
  std::vector<std::pair<std::string, float>> alpha_pattern = {};
  bool dora = false;
  bool lora_bias = false;  ///< B has a bias of its own
  AdapterBias bias = AdapterBias::none;  ///< which of the base's biases are trained
  std::vector<std::string> modules_to_save = {};  ///< trained whole
  /// Of a tied model: a module_to_save that is the embedding is the head as well.
  bool ensure_weight_tying = false;
  /// Rows of an embedding ("embed_tokens") or head ("lm_head") that are trained alone.
  std::vector<std::pair<std::string, std::vector<int32_t>>> token_indices = {};
};

/// Parameters by name; M is a module of the model, "embed" or "head":
///   M.lora_a [rank, in], M.lora_b [out, rank]   f32. Modules that the family publishes fused (GPT-2's c_attn) share
///       the first one's lora_a, as PEFT has it: q.lora_a, q.lora_b, k.lora_b, v.lora_b. embed.lora_a is [vocabulary,
///       rank].
///   M.magnitude [1, out]   DoRA: the length that each row of the adapted weight gets (each column of an embedding)
///   M.lora_bias [1, out]   added to B's product, scaled as it
///   M.rows [n, hidden]     in the place of the rows token_ids.at(M) of the embedding or head
///   a parameter's own name ("norm.weight")   in its place; any dtype when frozen
/// trainable: what goes on being trained. What a PEFT file only carries along (a resized embedding) is frozen.
struct Adapter {
  AdapterConfig config;
  Parameters parameters;
  std::map<std::string, float> alphas;  ///< of modules whose alpha is not the config's, by lora_a's owner
  std::map<std::string, std::vector<int32_t>> token_ids;
  /// What replaces the embedding or its rows holds for a tied head too.
  bool ties_head = false;
  /// Kept by the decoder that it is linked to alone, so that changing adapters costs little: DoRA's lengths by module,
  /// and the parameters they were computed for.
  std::map<std::string, std::vector<float>> norms;
  const Parameters* norms_of = nullptr;

  /// Rows of the embedding it brings along; 0: none, so that any vocabulary does.
  int64_t vocab_size() const;
  /// Whether it makes the head of a tied model another matrix than the embedding.
  bool separates_head() const;
};

/// What acts on `module` ("layers.3.k") beside its weight; b is null when there is no LoRA. owner: the module that
/// lora_a is named after.
struct LoraPair {
  const Parameter *a = nullptr, *b = nullptr, *magnitude = nullptr, *bias = nullptr;
  std::string owner;
  float scale = 1.0F;
};
LoraPair find_lora(const Adapter& adapter, const std::string& module);

/// What stands in the place of the base's parameter, and the module that gives rows to it; null when nothing does. A tied
/// head ("head.weight") takes the embedding's where the adapter ties it.
const Parameter* find_replacement(const Adapter& adapter, std::string_view parameter, bool tied);
const Parameter* find_rows(const Adapter& adapter, std::string_view module, bool tied);

/// A fresh adapter for `model`: A by Kaiming-uniform (a = sqrt 5) as PEFT does, B zero; for the embedding A zero
/// and B normal. Magnitudes, saved modules, biases and rows come from `base`, which may be null when there are none.
/// Throws when a target matches nothing.
Adapter make_adapter(const ModelConfig& model, const AdapterConfig& config, uint64_t seed,
                     const Parameters* base = nullptr);

/// The lengths that DoRA divides by: of every row of weight + scale * B A, of every column for the embedding.
std::vector<float> dora_norms(const Tensor& weight, const LoraPair& lora, bool embedding);

/// An f32 copy of the base with the adapter in it: base + factor * (adapted - base). A tied head that the adapter
/// separates becomes a parameter of its own, and the config says so.
Parameters merge_adapter(ModelConfig& config, const Parameters& base, const Adapter& adapter, float factor = 1.0F);

}  // namespace fettle
