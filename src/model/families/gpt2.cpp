// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases everywhere; matrices stored [in, out].
#include "model/families/family.h"

namespace fettle {
namespace {

std::vector<ModuleName> modules(const ModelConfig&) {
  return {{"transformer.wte", {"embed"}},
          {"transformer.wpe", {"position"}},
          {"transformer.h.{}.ln_1", {"norm1"}},
          {"transformer.h.{}.attn.c_attn", {"q", "k", "v"}, Layout::conv1d},
          {"transformer.h.{}.attn.c_proj", {"o"}, Layout::conv1d},
          {"transformer.h.{}.ln_2", {"norm2"}},
          {"transformer.h.{}.mlp.c_fc", {"up"}, Layout::conv1d},
          {"transformer.h.{}.mlp.c_proj", {"down"}, Layout::conv1d},
          {"transformer.ln_f", {"norm"}},
          {"lm_head", {"head"}}};
}

void defaults(ModelConfig& config) {
  config.norm = NormKind::layer;
  config.norm_bias = config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.position = PositionKind::learned;
  config.gated_mlp = false;
  config.activation = Activation::gelu_tanh;
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out;
  defaults(out);
  out.vocab_size = get_size_or(config, "vocab_size", 50257, where);
  out.hidden_size = get_size(config, "n_embd", where);
  out.intermediate_size = get_size_or(config, "n_inner", four_times(out.hidden_size), where);
  out.layers = get_size(config, "n_layer", where);
  out.heads = out.kv_heads = get_size(config, "n_head", where);
  if (out.heads == 0 || out.hidden_size % out.heads != 0) {
    fail(where, "key 'n_embd' = {} must be a multiple of n_head = {}", out.hidden_size, out.heads);
  }
  out.head_dim = out.hidden_size / out.heads;
  out.context_length = get_size_or(config, "n_positions", 1024, where);
  out.norm_eps = json_get_or<float>(config, "layer_norm_epsilon", 1e-5F, where);
  out.activation =
      activation_from_name(json_get_or<std::string>(config, "activation_function", "gelu_new", where), where,
                           "activation_function");
  out.tied_embeddings = json_get_or<bool>(config, "tie_word_embeddings", true, where);
  if (!json_get_or<bool>(config, "scale_attn_weights", true, where)) out.attention_scale = 1.0F;
  require_setting(config, "scale_attn_by_inverse_layer_idx", false, where);
  require_setting(config, "add_cross_attention", false, where);
  read_token_ids(config, out, where, 50256, 50256);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  out["vocab_size"] = config.vocab_size;
  out["n_embd"] = config.hidden_size;
  out["n_inner"] = config.intermediate_size;
  out["n_layer"] = config.layers;
  out["n_head"] = config.heads;
  out["n_positions"] = config.context_length;
  out["n_ctx"] = config.context_length;
  out["layer_norm_epsilon"] = config.norm_eps;
  out["activation_function"] = activation_name(config.activation);
  out["scale_attn_weights"] = config.attention_scale == 0.0F;
}

}  // namespace

const Family gpt2_family{.model_type = "gpt2",
                         .architecture = "GPT2LMHeadModel",
                         .gguf = "gpt2",
                         .gguf_fused_qkv = true,
                         .optional_prefix = "transformer.",
                         .from_hf = from_hf,
                         .to_hf = to_hf,
                         .modules = modules,
                         .gguf_defaults = defaults};

}  // namespace fettle
