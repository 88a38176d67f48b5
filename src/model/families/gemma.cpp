// Gemma 1 (Gemma Team 2024): norms that multiply by 1 + w, embeddings scaled by sqrt(hidden_size), gated
// GELU, tied head.
#include <cmath>

#include "model/families/family.h"

namespace fettle {
namespace {

void defaults(ModelConfig& config) {
  config.activation = Activation::gelu_tanh;
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden_size));
  config.tied_embeddings = true;
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out = llama_like_from_hf(config, where);
  defaults(out);
  // The published files say "gelu" and mean the tanh form.
  const auto name = json_get_or<std::string>(config, "hidden_act", "gelu_pytorch_tanh", where);
  if (name != "gelu") out.activation = activation_from_name(name, where, "hidden_act");
  out.tied_embeddings = json_get_or<bool>(config, "tie_word_embeddings", true, where);
  if (!config.contains("head_dim")) out.head_dim = 256;
  if (!config.contains("max_position_embeddings")) out.context_length = 8192;
  out.norm_offset = 1.0F;
  out.qkv_bias = out.output_bias = json_get_or<bool>(config, "attention_bias", false, where);
  require_setting(config, "use_bidirectional_attention", false, where);
  out.eos.clear();
  read_token_ids(config, out, where, 2, 1);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  out["attention_bias"] = config.qkv_bias;
  // Older readers look here for the tanh form.
  out["hidden_activation"] = activation_name(config.activation);
  if (config.activation == Activation::gelu_tanh)
    out["hidden_act"] = out["hidden_activation"] = "gelu_pytorch_tanh";
}

}  // namespace

const Family gemma_family{.model_type = "gemma",
                          .architecture = "GemmaForCausalLM",
                          .gguf = "gemma",
                          .hf_norm_offset = 1.0F,
                          .from_hf = from_hf,
                          .to_hf = to_hf,
                          .modules = llama_modules,
                          .gguf_defaults = defaults};

}  // namespace fettle
