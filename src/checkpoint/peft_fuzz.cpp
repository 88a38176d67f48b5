#include "base/json.h"
#include "checkpoint/peft.h"
#include "checkpoint/safetensors.h"

// The input is adapter_config.json, a zero byte, and adapter_model.safetensors.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fettle::ModelConfig model = [] {
    fettle::ModelConfig config;
    config.family = "llama";
    config.vocab_size = 40;
    config.hidden_size = 16;
    config.intermediate_size = 24;
    config.layers = config.heads = 2;
    config.kv_heads = 1;
    config.head_dim = 8;
    config.context_length = 64;
    return config;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t zero = std::min(text.find('\0'), size);
  const size_t weights = std::min(zero + 1, size);
  try {
    fettle::parse_json(text.substr(0, zero), "adapter_config.json");
    const auto config = fettle::OrderedJson::parse(text.substr(0, zero));
    const fettle::Safetensors file = fettle::parse_safetensors(
        {reinterpret_cast<const std::byte*>(data) + weights, size - weights}, "adapter_model.safetensors");
    fettle::parse_adapter(config, file.tensors, file.where, model, "adapter_config.json");
  } catch (const fettle::Error&) {
  }
  return 0;
}
