// GPT-NeoX (Black et al. 2022) and Pythia: parallel attention and MLP, partial RoPE, q, k and v fused head by
// head.
#include "model/families/family.h"

namespace fettle {
namespace {

std::vector<ModuleName> modules(const ModelConfig&) {
  return {{"gpt_neox.embed_in", {"embed"}},
          {"gpt_neox.layers.{}.input_layernorm", {"norm1"}},
          {"gpt_neox.layers.{}.attention.query_key_value", {"q", "k", "v"}, Layout::per_head},
          {"gpt_neox.layers.{}.attention.dense", {"o"}},
          {"gpt_neox.layers.{}.post_attention_layernorm", {"norm2"}},
          {"gpt_neox.layers.{}.mlp.dense_h_to_4h", {"up"}},
          {"gpt_neox.layers.{}.mlp.dense_4h_to_h", {"down"}},
          {"gpt_neox.final_layer_norm", {"norm"}},
          {"embed_out", {"head"}}};
}

void defaults(ModelConfig& config) {
  config.norm = NormKind::layer;
  config.norm_bias = config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.block = BlockKind::parallel_two_norms;
  config.gated_mlp = false;
  config.activation = Activation::gelu;
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out;
  defaults(out);
  out.vocab_size = get_size(config, "vocab_size", where);
  out.hidden_size = get_size(config, "hidden_size", where);
  out.intermediate_size = get_size(config, "intermediate_size", where);
  out.layers = get_size(config, "num_hidden_layers", where);
  out.heads = out.kv_heads = get_size(config, "num_attention_heads", where);
  if (out.heads == 0 || out.hidden_size % out.heads != 0) {
    fail(where, "key 'hidden_size' = {} must be a multiple of num_attention_heads = {}", out.hidden_size,
         out.heads);
  }
  out.head_dim = out.hidden_size / out.heads;
  out.context_length = get_size_or(config, "max_position_embeddings", 2048, where);
  out.norm_eps = json_get_or<float>(config, "layer_norm_eps", 1e-5F, where);
  out.activation = activation_from_name(json_get_or<std::string>(config, "hidden_act", "gelu", where), where,
                                        "hidden_act");
  out.tied_embeddings = json_get_or<bool>(config, "tie_word_embeddings", false, where);
  out.qkv_bias = out.output_bias = json_get_or<bool>(config, "attention_bias", true, where);
  if (!json_get_or<bool>(config, "use_parallel_residual", true, where)) out.block = BlockKind::sequential;
  read_rope(config, out, where, "rotary_emb_base", "rotary_pct", 0.25);
  read_token_ids(config, out, where, 0, 2);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.hidden_size;
  out["intermediate_size"] = config.intermediate_size;
  out["num_hidden_layers"] = config.layers;
  out["num_attention_heads"] = config.heads;
  out["max_position_embeddings"] = config.context_length;
  out["layer_norm_eps"] = config.norm_eps;
  out["hidden_act"] = activation_name(config.activation);
  out["attention_bias"] = config.qkv_bias;
  out["use_parallel_residual"] = config.block == BlockKind::parallel_two_norms;
  write_rope(config, out, "rotary_emb_base", "rotary_pct");
  // Absence would mean a quarter of each head here.
  if (config.rope.rotary_dim == 0) out["rotary_pct"] = out["rope_parameters"]["partial_rotary_factor"] = 1.0;
  if (out.contains("rope_scaling")) out["rope_scaling"] = out["rope_parameters"];
}

}  // namespace

const Family gpt_neox_family{.model_type = "gpt_neox",
                             .architecture = "GPTNeoXForCausalLM",
                             .gguf = "gptneox",
                             .gguf_fused_qkv = true,
                             .from_hf = from_hf,
                             .to_hf = to_hf,
                             .modules = modules,
                             .gguf_defaults = defaults};

}  // namespace fettle
