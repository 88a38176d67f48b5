// GPTBigCode (Li et al. 2023): SantaCoder, StarCoder and OpenCoderPlus; GPT-2 with one key/value head.
#include "model/families/family.h"

namespace fettle {
namespace {

std::vector<ModuleName> modules(const ModelConfig& config) {
  // With one key/value head the rows are q, k, v; with as many as query heads they go head by head.
  const Layout qkv = config.kv_heads == 1 ? Layout::stacked : Layout::per_head;
  return {{"transformer.wte", {"embed"}},          {"transformer.wpe", {"position"}},
          {"transformer.h.{}.ln_1", {"norm1"}},    {"transformer.h.{}.attn.c_attn", {"q", "k", "v"}, qkv},
          {"transformer.h.{}.attn.c_proj", {"o"}}, {"transformer.h.{}.ln_2", {"norm2"}},
          {"transformer.h.{}.mlp.c_fc", {"up"}},   {"transformer.h.{}.mlp.c_proj", {"down"}},
          {"transformer.ln_f", {"norm"}},          {"lm_head", {"head"}}};
}

ModelConfig from_hf(const Json& config, std::string_view where) {
  Json like_gpt2 = config;
  if (!config.contains("activation_function")) like_gpt2["activation_function"] = "gelu_pytorch_tanh";
  ModelConfig out = gpt2_family.from_hf(like_gpt2, where);
  if (json_get_or<bool>(config, "multi_query", true, where)) out.kv_heads = 1;
  return out;
}

void to_hf(const ModelConfig& config, Json& out) {
  gpt2_family.to_hf(config, out);
  out["multi_query"] = config.kv_heads == 1;
}

}  // namespace

const Family gpt_bigcode_family{
    .model_type = "gpt_bigcode",
    .architecture = "GPTBigCodeForCausalLM",
    .gguf = "starcoder",
    .gguf_fused_qkv = true,
    .optional_prefix = "transformer.",
    .from_hf = from_hf,
    .to_hf = to_hf,
    .modules = modules,
    .gguf_defaults = [](ModelConfig& config) { gpt2_family.gguf_defaults(config); }};

}  // namespace fettle
