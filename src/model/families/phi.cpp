// Phi-1, 1.5 and 2 (Gunasekar et al. 2023; Li et al. 2023): one norm feeds attention and MLP, partial RoPE,
// biases, also on the head.
#include "model/families/family.h"

namespace fettle {
namespace {

std::vector<ModuleName> modules(const ModelConfig&) {
  return {{"model.embed_tokens", {"embed"}},           {"model.layers.{}.input_layernorm", {"norm1"}},
          {"model.layers.{}.self_attn.q_proj", {"q"}}, {"model.layers.{}.self_attn.k_proj", {"k"}},
          {"model.layers.{}.self_attn.v_proj", {"v"}}, {"model.layers.{}.self_attn.dense", {"o"}},
          {"model.layers.{}.mlp.fc1", {"up"}},         {"model.layers.{}.mlp.fc2", {"down"}},
          {"model.final_layernorm", {"norm"}},         {"lm_head", {"head"}}};
}

void defaults(ModelConfig& config) {
  config.norm = NormKind::layer;
  config.norm_bias = config.qkv_bias = config.output_bias = config.mlp_bias = config.head_bias = true;
  config.block = BlockKind::parallel_shared_norm;
  config.gated_mlp = false;
  config.activation = Activation::gelu_tanh;
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out;
  defaults(out);
  out.vocab_size = get_size(config, "vocab_size", where);
  out.hidden_size = get_size(config, "hidden_size", where);
  out.intermediate_size = get_size(config, "intermediate_size", where);
  out.layers = get_size(config, "num_hidden_layers", where);
  out.heads = get_size(config, "num_attention_heads", where);
  out.kv_heads = get_size_or(config, "num_key_value_heads", out.heads, where);
  out.head_dim = get_size_or(config, "head_dim", out.heads > 0 ? out.hidden_size / out.heads : 0, where);
  out.context_length = get_size_or(config, "max_position_embeddings", 2048, where);
  out.norm_eps = json_get_or<float>(config, "layer_norm_eps", 1e-5F, where);
  out.activation = activation_from_name(json_get_or<std::string>(config, "hidden_act", "gelu_new", where),
                                        where, "hidden_act");
  require_setting(config, "qk_layernorm", false, where);
  require_setting(config, "tie_word_embeddings", false, where);
  read_rope(config, out, where, "rope_theta", "partial_rotary_factor", 0.5);
  read_token_ids(config, out, where, 1, 2);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.hidden_size;
  out["intermediate_size"] = config.intermediate_size;
  out["num_hidden_layers"] = config.layers;
  out["num_attention_heads"] = config.heads;
  out["num_key_value_heads"] = config.kv_heads;
  out["head_dim"] = config.head_dim;
  out["max_position_embeddings"] = config.context_length;
  out["layer_norm_eps"] = config.norm_eps;
  out["hidden_act"] = activation_name(config.activation);
  out["qk_layernorm"] = false;
  write_rope(config, out);
  // Absence would mean half of each head here.
  if (config.rope.rotary_dim == 0)
    out["partial_rotary_factor"] = out["rope_parameters"]["partial_rotary_factor"] = 1.0;
  if (out.contains("rope_scaling")) out["rope_scaling"] = out["rope_parameters"];
}

}  // namespace

const Family phi_family{.model_type = "phi",
                        .architecture = "PhiForCausalLM",
                        .gguf = "phi2",
                        .from_hf = from_hf,
                        .to_hf = to_hf,
                        .modules = modules,
                        .gguf_defaults = defaults};

}  // namespace fettle
