#include "generate/sampler.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace fettle {
namespace {

void require(bool ok, const char* field, double value, const char* range) {
  if (!ok) fail(field, "must be {}, got {}", range, value);
}

}  // namespace

void SamplingOptions::validate(int32_t vocabulary) const {
  require(std::isfinite(temperature) && temperature >= 0.0F, "temperature", temperature, "0 or more");
  require(top_k >= 0, "top_k", top_k, "0 (all) or more");
  require(top_p > 0.0F && top_p <= 1.0F, "top_p", top_p, "above 0 and at most 1");
  require(min_p >= 0.0F && min_p <= 1.0F, "min_p", min_p, "between 0 and 1");
  require(std::isfinite(repetition_penalty) && repetition_penalty > 0.0F, "repetition_penalty",
          repetition_penalty, "above 0");
  require(std::isfinite(presence_penalty), "presence_penalty", presence_penalty, "a finite number");
  require(std::isfinite(frequency_penalty), "frequency_penalty", frequency_penalty, "a finite number");
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0 || token >= vocabulary) {
      fail("logit_bias", "token {} is not in the vocabulary of {} tokens", token, vocabulary);
    }
    require(bias < std::numeric_limits<float>::infinity(), "logit_bias", bias, "a number, or minus infinity");
  }
}

TokenHistory::TokenHistory(std::span<const int32_t> prompt) {
  for (const int32_t token : prompt) counts_[token].prompt = true;
}

void TokenHistory::append_to(std::vector<TokenCount>& counts) const {
  for (const auto& [token, count] : counts_) counts.push_back({token, count.prompt ? 1 : 0, count.answer});
}

}  // namespace fettle
