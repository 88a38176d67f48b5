// Mixtral (Jiang et al. 2024): Mistral with a mixture of experts in every layer.
#include <algorithm>

#include "model/families/family.h"

namespace fettle {
namespace {

std::vector<ModuleName> modules(const ModelConfig& config) {
  std::vector<ModuleName> names = llama_modules(config);
  const auto gate = std::find_if(names.begin(), names.end(), [](const ModuleName& name) { return name.ours[0] == "gate"; });
  const auto after = names.erase(gate, gate + 3);
  names.insert(after, {{"model.layers.{}.block_sparse_moe.gate", {"router"}},
                       {"model.layers.{}.block_sparse_moe.experts.{}.w1", {"experts.{}.gate"}},
                       {"model.layers.{}.block_sparse_moe.experts.{}.w3", {"experts.{}.up"}},
                       {"model.layers.{}.block_sparse_moe.experts.{}.w2", {"experts.{}.down"}}});
  return names;
}

void defaults(ModelConfig& config) {
  config.mlp = MlpKind::experts;
  config.router_loss_weight = 0.001F;
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out = llama_like_from_hf(config, where);
  defaults(out);
  if (!config.contains("num_key_value_heads")) out.kv_heads = 8;
  if (!config.contains("max_position_embeddings")) out.context_length = 4096 * 32;
  if (!config.contains("rms_norm_eps")) out.norm_eps = 1e-5F;
  // transformers' default base for this family.
  Json with_theta = config;
  if (!config.contains("rope_theta")) with_theta["rope_theta"] = 1e6;
  read_rope(with_theta, out, where);
  out.sliding_window = get_size_or(config, "sliding_window", 0, where);
  out.experts = get_size_or(config, "num_local_experts", 8, where);
  out.experts_per_token = get_size_or(config, "num_experts_per_tok", 2, where);
  out.router_loss_weight = json_get_or<float>(config, "router_aux_loss_coef", 0.001F, where);
  out.router_loss = json_get_or<bool>(config, "output_router_logits", false, where);
  require_setting(config, "router_jitter_noise", 0.0, where);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  out["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
  out["num_local_experts"] = config.experts;
  out["num_experts_per_tok"] = config.experts_per_token;
  out["router_aux_loss_coef"] = config.router_loss_weight;
  out["output_router_logits"] = config.router_loss;
  out["router_jitter_noise"] = 0.0;
}

void from_gguf(const Json& metadata, ModelConfig& config, std::string_view where) {
  config.experts = get_size(metadata, "llama.expert_count", where);
  config.experts_per_token = get_size(metadata, "llama.expert_used_count", where);
}

void to_gguf(const ModelConfig& config, Json& out) {
  out["llama.expert_count"] = config.experts;
  out["llama.expert_used_count"] = config.experts_per_token;
}

}  // namespace

const Family mixtral_family{.model_type = "mixtral",
                            .architecture = "MixtralForCausalLM",
                            .gguf = "llama",
                            .gguf_interleaved = true,
                            .from_hf = from_hf,
                            .to_hf = to_hf,
                            .modules = modules,
                            .from_gguf = from_gguf,
                            .to_gguf = to_gguf,
                            .gguf_defaults = defaults};

}  // namespace fettle
