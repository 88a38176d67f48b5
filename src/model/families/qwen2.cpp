// Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on q, k and v.
#include "model/families/family.h"

namespace fettle {
namespace {

ModelConfig from_hf(const Json& config, std::string_view where) {
  ModelConfig out = llama_like_from_hf(config, where);
  if (!config.contains("max_position_embeddings")) out.context_length = 32768;
  if (!config.contains("bos_token_id")) out.bos = -1;
  if (!config.contains("eos_token_id")) out.eos.clear();
  out.qkv_bias = true;
  read_upper_windows(config, out, where);
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  llama_like_to_hf(config, out);
  write_upper_windows(config, out);
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
