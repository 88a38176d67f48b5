#pragma once
// Keys that the commands with a running model share: generate, score, chat, serve.
#include <memory>
#include <optional>
#include <string>

#include "base/keys.h"
#include "generate/engine.h"
#include "generate/open_model.h"

namespace fettle::verbs {

/// model, adapter, tokenizer, device, dtype.
struct ModelChoice {
  std::string model, adapter, tokenizer, device = "auto";
  Product product = Product::f32;
  std::unique_ptr<OpenModel> open() const;
};
const KeyTable<ModelChoice>& model_keys();

/// max_tokens, temperature, ….
struct SamplingChoice {
  std::optional<float> temperature, top_p, min_p, repetition_penalty;  ///< nothing: not given
  std::optional<int32_t> top_k;
  float presence_penalty = 0.0F, frequency_penalty = 0.0F;
  uint64_t seed = 0;
  std::optional<int64_t> max_tokens;
  std::vector<std::string> stop;
  /// What was given on top of the model's own; warns about what of that has no effect.
  SamplingOptions over(const SamplingDefaults& defaults) const;
  /// Tokens to generate after a prompt of `prompt` tokens: what was asked for (0: to the end of the context),
  /// else 512 or what the context still holds.
  int64_t limit(int64_t prompt, int64_t context) const;
};
const KeyTable<SamplingChoice>& sampling_keys();

/// kv_dtype, kv_memory, parallel.
struct EngineChoice {
  DType kv_dtype = DType::f32;
  double kv_gigabytes = 0.0;
  int32_t parallel = 32;
  EngineOptions options() const;
};
const KeyTable<EngineChoice>& engine_keys();

}  // namespace fettle::verbs
