// Mistral 7B (Jiang et al. 2023): Llama with a sliding window in every layer.
#include "model/families/family.h"

namespace fettle {
namespace {

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out = llama_like_from_hf(config, where);
  if (!config.contains("num_key_value_heads")) out.kv_heads = 8;
  if (!config.contains("max_position_embeddings")) out.context_length = 4096 * 32;
  // transformers' default for a missing key is a window; null means none.
  out.sliding_window =
      config.contains("sliding_window") ? get_size_or(config, "sliding_window", 0, where) : 4096;
  if (config.contains("layer_types"))
    fail(where, "key 'layer_types': layers of different attention are not supported");
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  out["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
}

}  // namespace

const Family mistral_family{.model_type = "mistral",
                            .architecture = "MistralForCausalLM",
                            .gguf = "llama",
                            .gguf_interleaved = true,
                            .from_hf = from_hf,
                            .to_hf = to_hf,
                            .modules = llama_modules,
                            .gguf_defaults = [](ModelConfig&) {}};

}  // namespace fettle
