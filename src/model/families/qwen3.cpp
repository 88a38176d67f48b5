// Qwen 3 (Yang et al. 2025), its dense models: Llama with norms of every query and key head.
#include <algorithm>

#include "model/families/family.h"

namespace fettle {
namespace {

std::vector<ModuleName> modules(const ModelConfig& config) {
  std::vector<ModuleName> names = llama_modules(config);
  const auto o = std::find_if(names.begin(), names.end(), [](const ModuleName& name) { return name.ours[0] == "o"; });
  names.insert(o, {{"model.layers.{}.self_attn.q_norm", {"norm_q"}}, {"model.layers.{}.self_attn.k_norm", {"norm_k"}}});
  return names;
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out = llama_like_from_hf(config, where);
  if (!config.contains("max_position_embeddings")) out.context_length = 32768;
  if (!config.contains("head_dim")) out.head_dim = 128;
  if (!config.contains("num_key_value_heads")) out.kv_heads = 32;
  if (!config.contains("bos_token_id")) out.bos = -1;
  if (!config.contains("eos_token_id")) out.eos.clear();
  out.qk_norm = true;
  out.qkv_bias = out.output_bias = json_get_or<bool>(config, "attention_bias", false, where);
  read_upper_windows(config, out, where);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  out["attention_bias"] = config.qkv_bias;
  write_upper_windows(config, out);
}

}  // namespace

const Family qwen3_family{.model_type = "qwen3",
                          .architecture = "Qwen3ForCausalLM",
                          .gguf = "qwen3",
                          .from_hf = from_hf,
                          .to_hf = to_hf,
                          .modules = modules,
                          .gguf_defaults = [](ModelConfig& config) { config.qk_norm = true; }};

}  // namespace fettle
