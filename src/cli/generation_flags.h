#pragma once
// Flags that `generate`, `chat` and `score` share.
#include <memory>
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
  SamplingOptions sampling;
  std::string max_tokens;  ///< empty: not given
  std::vector<std::string> stop;
  void add_to(CLI::App& command);
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
