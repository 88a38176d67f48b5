#pragma once
// What is asked of the engine, and what comes back.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "generate/sampler.h"

namespace fettle {

/// An adapter that was registered with the engine, and the factor it is applied with.
struct AdapterUse {
  std::string name;
  float factor = 1.0F;
  bool operator==(const AdapterUse&) const = default;
};

enum class FinishReason : uint8_t {
  stop,       ///< an end-of-sequence or stop token, a stop string, or a constraint that allows nothing more
  length,     ///< max_tokens or the end of the context
  cancelled,  ///< Engine::cancel
  deadline,   ///< the request's deadline passed
  error,      ///< see GenerationResult::error
};
std::string_view finish_reason_name(FinishReason reason);  ///< "stop", "length", …

/// A token that was generated or, with `prompt_logprobs`, one of the prompt.
struct TokenInfo {
  int32_t token = -1;
  float logp = 0.0F;              ///< under the model itself (see sampler.h)
  std::vector<TokenLogProb> top;  ///< the `top_logprobs` most likely tokens at this place
};

/// A piece of an answer as it appears.
struct GenerationDelta {
  int32_t sample = 0;
  std::string_view text;  ///< what is now certain: whole characters that can be no part of a stop string
  const TokenInfo* token = nullptr;  ///< null for the text that a finished sample had held back
};

struct GenerationSample {
  std::string text;              ///< without stop string and special tokens; always valid UTF-8
  std::vector<int32_t> tokens;   ///< everything that was drawn, the stopping token included
  std::vector<TokenInfo> infos;  ///< one per token when logprobs were asked for, else empty
  FinishReason finish = FinishReason::length;
  std::string matched_stop;  ///< the stop string that ended it, if one did
};

struct GenerationResult {
  std::vector<GenerationSample> samples;  ///< `n` of them, in order
  std::vector<TokenInfo> prompt;  ///< with prompt_logprobs: one per prompt token; the first has no logp (0)
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;         ///< prompt tokens that the prefix cache spared
  int64_t completion_tokens = 0;     ///< of all samples
  double first_token_seconds = 0.0;  ///< from submit to the first token; 0 when none came
  double total_seconds = 0.0;
  std::string error;  ///< why samples ended with FinishReason::error
  bool machine_failed = false;  ///< the error is no fault of the request: memory ran out, a file of the model changed
};

struct GenerationRequest {
  std::vector<int32_t> prompt;  ///< at least one token
  SamplingOptions sampling;
  int32_t n = 1;                     ///< answers; the prompt is computed once for all
  int64_t max_tokens = 0;            ///< per answer; 0: to the end of the context
  std::vector<std::string> stop;     ///< the answer ends before the first of them; found across token borders
  std::vector<int32_t> stop_tokens;  ///< beside the model's end-of-sequence tokens
  bool ignore_eos = false;           ///< go on after end-of-sequence tokens (benchmarks)
  bool skip_special = true;          ///< special tokens leave no text
  bool logprobs = false;             ///< report the log-probability of each generated token
  int32_t top_logprobs = 0;          ///< and of this many alternatives
  bool prompt_logprobs = false;  ///< also for the prompt (echo); the prompt is then computed whole, uncached
  std::vector<AdapterUse> adapters;                   ///< empty: the base model
  std::shared_ptr<const TokenConstraint> constraint;  ///< cloned for every sample; may be null
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();

  /// Called on the thread that runs Engine::step(). May call Engine::cancel, nothing else of the engine.
  /// on_done comes exactly once for every request that submit() accepted. What a callback throws ends its
  /// request with FinishReason::error.
  std::function<void(const GenerationDelta&)> on_delta;
  std::function<void(GenerationResult&&)> on_done;
};

using RequestId = uint64_t;

}  // namespace fettle
