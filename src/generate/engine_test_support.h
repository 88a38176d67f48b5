#pragma once
// What the tests of the engine share: options that make it page, queue and run out.
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "generate/test_support.h"

namespace fettle::test {

inline EngineOptions small_options() {
  EngineOptions options;
  options.page_rows = 8;
  options.max_running = 6;
  options.step_tokens = 24;
  options.kv_bytes = 4 << 20;
  return options;
}

/// The tokens that every sample of a result drew.
inline std::vector<std::vector<int32_t>> tokens_of(const GenerationResult& result) {
  std::vector<std::vector<int32_t>> tokens;
  for (const auto& sample : result.samples) tokens.push_back(sample.tokens);
  return tokens;
}

inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace fettle::test
