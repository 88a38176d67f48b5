// Llama 1, 2 and 3 (Touvron et al. 2023; Grattafiori et al. 2024), SmolLM, TinyLlama and whatever else says
// "llama".
#include "model/families/family.h"

namespace fettle {

std::vector<ModuleName> llama_modules(const ModelConfig&) {
  return {{"model.embed_tokens", {"embed"}},
          {"model.layers.{}.input_layernorm", {"norm1"}},
          {"model.layers.{}.self_attn.q_proj", {"q"}},
          {"model.layers.{}.self_attn.k_proj", {"k"}},
          {"model.layers.{}.self_attn.v_proj", {"v"}},
          {"model.layers.{}.self_attn.o_proj", {"o"}},
          {"model.layers.{}.post_attention_layernorm", {"norm2"}},
          {"model.layers.{}.mlp.gate_proj", {"gate"}},
          {"model.layers.{}.mlp.up_proj", {"up"}},
          {"model.layers.{}.mlp.down_proj", {"down"}},
          {"model.norm", {"norm"}},
          {"lm_head", {"head"}}};
}

ModelConfig llama_like_from_hf(const Json& config, std::string_view where) {
  ModelConfig out;
  out.vocab_size = get_size(config, "vocab_size", where);
  out.hidden_size = get_size(config, "hidden_size", where);
  out.intermediate_size = get_size(config, "intermediate_size", where);
  out.layers = get_size(config, "num_hidden_layers", where);
  out.heads = get_size(config, "num_attention_heads", where);
  out.kv_heads = get_size_or(config, "num_key_value_heads", out.heads, where);
  out.head_dim = get_size_or(config, "head_dim", out.heads > 0 ? out.hidden_size / out.heads : 0, where);
  out.context_length = get_size_or(config, "max_position_embeddings", 2048, where);
  out.norm_eps = json_get_or<float>(config, "rms_norm_eps", 1e-6F, where);
  out.activation = activation_from_name(json_get_or<std::string>(config, "hidden_act", "silu", where), where,
                                        "hidden_act");
  out.tied_embeddings = json_get_or<bool>(config, "tie_word_embeddings", false, where);
  read_rope(config, out, where);
  read_token_ids(config, out, where, 1, 2);
  return out;
}

void llama_like_to_hf(const ModelConfig& config, Json& out) {
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.hidden_size;
  out["intermediate_size"] = config.intermediate_size;
  out["num_hidden_layers"] = config.layers;
  out["num_attention_heads"] = config.heads;
  out["num_key_value_heads"] = config.kv_heads;
  out["head_dim"] = config.head_dim;
  out["max_position_embeddings"] = config.context_length;
  out["rms_norm_eps"] = config.norm_eps;
  out["hidden_act"] = activation_name(config.activation);
  write_rope(config, out);
}

namespace {

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out = llama_like_from_hf(config, where);
  out.qkv_bias = out.output_bias = json_get_or<bool>(config, "attention_bias", false, where);
  out.mlp_bias = json_get_or<bool>(config, "mlp_bias", false, where);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  out["attention_bias"] = config.qkv_bias;
  out["mlp_bias"] = config.mlp_bias;
}

}  // namespace

const Family llama_family{.model_type = "llama",
                          .architecture = "LlamaForCausalLM",
                          .gguf = "llama",
                          .gguf_interleaved = true,
                          .from_hf = from_hf,
                          .to_hf = to_hf,
                          .modules = llama_modules,
                          .gguf_defaults = [](ModelConfig&) {}};

}  // namespace fettle
