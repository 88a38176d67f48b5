#pragma once
// Flags that `generate`, `chat` and `score` share.
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "generate/engine.h"
#include "generate/open_model.h"

namespace fettle::cli {

/// --model, --adapter, --tokenizer, --dtype.
struct ModelFlags {
  std::string model, adapter, tokenizer, dtype = "f32";
  void add_to(CLI::App& command);
  std::unique_ptr<OpenModel> open() const;
};

/// --max-tokens, --temperature, ….
struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p, repetition_penalty;  ///< nothing: not given
  std::optional<int32_t> top_k;
  float presence_penalty = 0.0F, frequency_penalty = 0.0F;
  uint64_t seed = 0;
  std::string max_tokens;  ///< empty: not given
  std::vector<std::string> stop;
  void add_to(CLI::App& command);
  /// What was given on top of the model's own; warns about what of that has no effect.
  SamplingOptions over(const SamplingDefaults& defaults) const;
  /// Tokens to generate after a prompt of `prompt` tokens: what was asked for (0: to the end of the context),
  /// else 512 or what the context still holds.
  int64_t limit(int64_t prompt, int64_t context) const;
};

/// --kv-dtype, --kv-memory, --parallel.
struct EngineFlags {
  std::string kv_dtype = "f32";
  double kv_gigabytes = 0.0;
  int32_t parallel = 32;
  void add_to(CLI::App& command);
  EngineOptions options() const;
};

/// Writes to standard output without a newline, and flushes.
void print_part(std::string_view text);

}  // namespace fettle::cli
