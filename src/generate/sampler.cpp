#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"

namespace fettle {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

void require(bool ok, const char* field, double value, const char* range) {
  if (!ok) fail(field, "must be {}, got {}", range, value);
}

void apply_penalties(std::span<float> logits, const SamplingOptions& o, int32_t token, bool in_prompt,
                     int32_t in_answer) {
  if (token < 0 || static_cast<size_t>(token) >= logits.size()) return;
  float& logit = logits[static_cast<size_t>(token)];
  if (o.repetition_penalty != 1.0F && (in_prompt || in_answer > 0)) {
    logit = logit > 0.0F ? logit / o.repetition_penalty : logit * o.repetition_penalty;
  }
  if (in_answer > 0) logit -= o.frequency_penalty * static_cast<float>(in_answer) + o.presence_penalty;
}

bool has_penalties(const SamplingOptions& o) {
  return o.repetition_penalty != 1.0F || o.presence_penalty != 0.0F || o.frequency_penalty != 0.0F;
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

double log_sum_exp(std::span<const float> logits) {
  float largest = minus_infinity;
  for (const float x : logits) largest = x > largest ? x : largest;
  if (largest == minus_infinity) return std::numeric_limits<double>::quiet_NaN();
  // Four running sums let the compiler keep several exponentials in flight; their order is fixed, so the
  // result is too.
  double sums[4] = {0, 0, 0, 0};
  for (size_t i = 0; i < logits.size(); ++i)
    sums[i % 4] += static_cast<double>(std::exp(logits[i] - largest));
  return static_cast<double>(largest) + std::log((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

int32_t arg_max(std::span<const float> logits) {
  int32_t best = -1;
  float largest = minus_infinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > largest) {
      largest = logits[i];
      best = static_cast<int32_t>(i);
    }
  }
  return best;
}

std::vector<TokenLogProb> top_log_probs(std::span<const float> logits, double normaliser, int32_t count) {
  const size_t kept = std::min(static_cast<size_t>(std::max(count, 0)), logits.size());
  std::vector<TokenLogProb> all(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<int32_t>(i);
    all[i] = {token, log_prob(logits, normaliser, token)};
  }
  const auto better = [](const TokenLogProb& a, const TokenLogProb& b) {
    return a.logp != b.logp ? a.logp > b.logp : a.token < b.token;
  };
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(), better);
  all.resize(kept);
  return all;
}

int32_t Sampler::sample(std::span<float> logits, const SamplingOptions& options, const TokenHistory& history,
                        const TokenSet* allowed, uint64_t sample, uint64_t draw_index) {
  if (allowed != nullptr) {
    for (size_t i = 0; i < logits.size(); ++i) {
      if (!allowed->has(static_cast<int32_t>(i))) logits[i] = minus_infinity;
    }
  }
  for (const auto& [token, bias] : options.logit_bias) logits[static_cast<size_t>(token)] += bias;
  if (has_penalties(options)) {
    for (const auto& [token, count] : history.counts_) {
      apply_penalties(logits, options, token, count.prompt, count.answer);
    }
  }
  if (options.greedy()) return arg_max(logits);
  for (float& logit : logits) logit /= options.temperature;
  collect(logits, options.top_k);
  if (candidates_.empty()) return -1;
  if (options.top_p < 1.0F) keep_top_p(options.top_p);
  if (options.min_p > 0.0F) keep_min_p(options.min_p);
  return draw(Random(options.seed, sample, draw_index).uniform());
}

void Sampler::collect(std::span<const float> logits, int32_t top_k) {
  candidates_.clear();
  float threshold = minus_infinity;
  if (top_k > 0 && static_cast<size_t>(top_k) < logits.size()) {
    scratch_.assign(logits.begin(), logits.end());
    for (float& x : scratch_) x = std::isnan(x) ? minus_infinity : x;
    const auto kth = scratch_.begin() + (top_k - 1);
    std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
    threshold = *kth;
  }
  largest_ = minus_infinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    // A NaN fails the first comparison.
    if (logits[i] >= threshold && logits[i] > minus_infinity) {
      candidates_.push_back({logits[i], static_cast<int32_t>(i), 0.0F});
      largest_ = std::max(largest_, logits[i]);
    }
  }
  for (Candidate& c : candidates_) c.weight = std::exp(c.logit - largest_);
}

double Sampler::mass(size_t count) const {
  double sum = 0.0;
  for (size_t i = 0; i < count; ++i) sum += static_cast<double>(candidates_[i].weight);
  return sum;
}

void Sampler::keep_top_p(float p) {
  const double wanted = static_cast<double>(p) * mass(candidates_.size());
  // Sorting a whole vocabulary for a handful of tokens would cost more than the model's last layer: look at
  // the most likely tokens first, and at more of them only when their mass does not suffice.
  const auto begin = candidates_.begin();
  auto middle = begin;
  for (const float depth : {4.0F, 8.0F, 16.0F, std::numeric_limits<float>::infinity()}) {
    middle = std::partition(begin, candidates_.end(),
                            [&](const Candidate& c) { return c.logit >= largest_ - depth; });
    if (mass(static_cast<size_t>(middle - begin)) >= wanted) break;
  }
  std::sort(begin, middle, [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  });
  double sum = 0.0;
  auto end = begin;
  while (end != middle && sum < wanted) sum += static_cast<double>(end++->weight);
  candidates_.erase(end, candidates_.end());
}

void Sampler::keep_min_p(float p) {
  const double threshold = static_cast<double>(largest_) + std::log(static_cast<double>(p));
  std::erase_if(candidates_, [&](const Candidate& c) { return static_cast<double>(c.logit) < threshold; });
}

int32_t Sampler::draw(double uniform) const {
  double rest = uniform * mass(candidates_.size());
  for (const Candidate& c : candidates_) {
    rest -= static_cast<double>(c.weight);
    if (rest < 0.0) return c.token;
  }
  return candidates_.back().token;
}

}  // namespace fettle
