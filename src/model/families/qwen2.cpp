// Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on q, k and v.
#include "model/families/family.h"

namespace fettle {
namespace {

/// One window for all layers or none; the published models have none.
int32_t window(const Json& config, const ModelConfig& out, std::string_view where) {
  if (!json_get_or<bool>(config, "use_sliding_window", false, where)) return 0;
  const int32_t size = get_size_or(config, "sliding_window", 4096, where);
  const auto types = config.find("layer_types");
  if (types != config.end() && types->is_array() && !types->empty()) {
    for (const Json& type : *types) {
      if (type != types->front())
        fail(where, "key 'layer_types': layers of different attention are not supported");
    }
    return types->front() == "sliding_attention" ? size : 0;
  }
  const int32_t full_layers = get_size_or(config, "max_window_layers", 28, where);
  if (full_layers >= out.layers) return 0;
  if (full_layers > 0) {
    fail(where,
         "key 'max_window_layers' = {}: a sliding window in only some of the {} layers is not supported",
         full_layers, out.layers);
  }
  return size;
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out = llama_like_from_hf(config, where);
  if (!config.contains("max_position_embeddings")) out.context_length = 32768;
  if (!config.contains("bos_token_id")) out.bos = -1;
  if (!config.contains("eos_token_id")) out.eos.clear();
  out.qkv_bias = true;
  out.sliding_window = window(config, out, where);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  out["use_sliding_window"] = config.sliding_window > 0;
  out["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
  out["max_window_layers"] = config.sliding_window > 0 ? 0 : config.layers;
}

}  // namespace

const Family qwen2_family{.model_type = "qwen2",
                          .architecture = "Qwen2ForCausalLM",
                          .gguf = "qwen2",
                          .from_hf = from_hf,
                          .to_hf = to_hf,
                          .modules = llama_modules,
                          .gguf_defaults = [](ModelConfig& config) { config.qkv_bias = true; }};

}  // namespace fettle
