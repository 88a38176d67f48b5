#pragma once
// LoRA (Hu et al. 2021): y += scale * (x Aᵀ) Bᵀ beside a linear layer whose own weight may be frozen and
// quantised.
#include <string>
#include <vector>

#include "model/parameters.h"

namespace fettle {

/// PEFT's meaning of every field. targets are the published module names ("q_proj", …, see families) or
/// "all-linear".
struct AdapterConfig {
  int32_t rank = 16;
  float alpha = 32.0F;
  float dropout = 0.0F;
  bool rslora = false;  ///< scale = alpha / sqrt(rank) instead of alpha / rank
  std::vector<std::string> targets{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                   "gate_proj", "up_proj", "down_proj"};
  float scale() const;
};

/// Parameters named `layers.N.q.lora_a` [rank, in] and `layers.N.q.lora_b` [out, rank], f32. Modules that the
/// family publishes fused (GPT-2's c_attn) share the first one's lora_a, as PEFT has it: q.lora_a, q.lora_b,
/// k.lora_b, v.lora_b.
struct Adapter {
  AdapterConfig config;
  Parameters parameters;
};

/// The two matrices that act on `module` ("layers.3.k"), null when none do. owner: the module that lora_a is
/// named after.
struct LoraPair {
  Parameter* a = nullptr;
  Parameter* b = nullptr;
  std::string owner;
};
LoraPair find_lora(Parameters& parameters, const std::string& module);

/// A fresh adapter for `model`: A by Kaiming-uniform (a = sqrt 5) as PEFT does, B zero. Throws when a target
/// matches nothing.
Adapter make_adapter(const ModelConfig& model, const AdapterConfig& config, uint64_t seed);

/// weight += scale * B A for every target, in f32; the weights must be f32.
void merge_adapter(Parameters& weights, const Adapter& adapter, float factor = 1.0F);

}  // namespace fettle
