// MPT (MosaicML 2023): ALiBi, LayerNorm without bias, no biases at all, optional clipping of q, k and v.
#include "model/families/family.h"

namespace fettle {
namespace {

std::vector<ModuleName> modules(const ModelConfig&) {
  return {{"transformer.wte", {"embed"}},
          {"transformer.blocks.{}.norm_1", {"norm1"}},
          {"transformer.blocks.{}.attn.Wqkv", {"q", "k", "v"}},
          {"transformer.blocks.{}.attn.out_proj", {"o"}},
          {"transformer.blocks.{}.norm_2", {"norm2"}},
          {"transformer.blocks.{}.ffn.up_proj", {"up"}},
          {"transformer.blocks.{}.ffn.down_proj", {"down"}},
          {"transformer.norm_f", {"norm"}},
          {"lm_head", {"head"}}};
}

void defaults(ModelConfig& config) {
  config.norm = NormKind::layer;
  config.position = PositionKind::alibi;
  config.gated_mlp = false;
  config.activation = Activation::gelu;
  config.tied_embeddings = true;
}

void read_attention(const Json& config, ModelConfig& out, std::string_view where) {
  const auto attention = config.find("attn_config");
  if (attention == config.end() || attention->is_null()) return;
  if (!attention->is_object()) fail(where, "key 'attn_config' must be an object");
  require_setting(*attention, "attn_type", "multihead_attention", where);
  require_setting(*attention, "alibi", true, where);
  require_setting(*attention, "prefix_lm", false, where);
  require_setting(*attention, "qk_ln", false, where);
  out.clip_qkv = json_get_or<float>(*attention, "clip_qkv", 0.0F, where);
  out.attention_scale = json_get_or<float>(*attention, "softmax_scale", 0.0F, where);
  out.alibi_max_bias = json_get_or<float>(*attention, "alibi_bias_max", 8.0F, where);
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out;
  defaults(out);
  out.vocab_size = get_size(config, "vocab_size", where);
  out.hidden_size = get_size(config, "d_model", where);
  // The published implementation multiplies by 4 whatever the config says.
  require_setting(config, "expansion_ratio", 4, where);
  out.intermediate_size = four_times(out.hidden_size);
  out.layers = get_size(config, "n_layers", where);
  out.heads = out.kv_heads = get_size(config, "n_heads", where);
  if (out.heads == 0 || out.hidden_size % out.heads != 0) {
    fail(where, "key 'd_model' = {} must be a multiple of n_heads = {}", out.hidden_size, out.heads);
  }
  out.head_dim = out.hidden_size / out.heads;
  out.context_length = get_size_or(config, "max_seq_len", 2048, where);
  out.norm_eps = json_get_or<float>(config, "layer_norm_epsilon", 1e-5F, where);
  out.tied_embeddings = json_get_or<bool>(config, "tie_word_embeddings", true, where);
  // Of the published implementation neither one honours these; a config that sets them means other code.
  require_setting(config, "no_bias", true, where);
  require_setting(config, "logit_scale", nullptr, where);
  read_attention(config, out, where);
  read_token_ids(config, out, where);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  out["vocab_size"] = config.vocab_size;
  out["d_model"] = config.hidden_size;
  out["expansion_ratio"] = 4;
  out["n_layers"] = config.layers;
  out["n_heads"] = config.heads;
  out["max_seq_len"] = config.context_length;
  out["layer_norm_epsilon"] = config.norm_eps;
  out["no_bias"] = true;
  Json attention = {{"attn_type", "multihead_attention"}, {"alibi", true}};
  attention["alibi_bias_max"] = static_cast<int64_t>(config.alibi_max_bias);
  attention["clip_qkv"] = config.clip_qkv > 0.0F ? Json(config.clip_qkv) : Json(nullptr);
  attention["softmax_scale"] = config.attention_scale > 0.0F ? Json(config.attention_scale) : Json(nullptr);
  out["attn_config"] = attention;
}

}  // namespace

const Family mpt_family{.model_type = "mpt",
                        .architecture = "MptForCausalLM",
                        .gguf = "mpt",
                        .gguf_fused_qkv = true,
                        .optional_prefix = "transformer.",
                        .from_hf = from_hf,
                        .to_hf = to_hf,
                        .modules = modules,
                        .gguf_defaults = defaults};

}  // namespace fettle
