#include "kernels/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/threads.h"

namespace fettle {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

void apply_penalties(std::span<float> logits, const Draw& o, const TokenCount& count) {
  if (count.token < 0 || static_cast<size_t>(count.token) >= logits.size()) return;
  float& logit = logits[static_cast<size_t>(count.token)];
  if (o.repetition_penalty != 1.0F && (count.in_prompt != 0 || count.in_answer > 0)) {
    logit = logit > 0.0F ? logit / o.repetition_penalty : logit * o.repetition_penalty;
  }
  if (count.in_answer > 0) logit -= o.frequency_penalty * static_cast<float>(count.in_answer) + o.presence_penalty;
}

/// The rows of a tensor of words, as what they are.
template <typename T>
std::span<const T> rows_as(const Tensor& words) {
  if (words.absent() || words.size() == 0) return {};
  FETTLE_CHECK(words.contiguous() && words.cols * static_cast<int64_t>(sizeof(int32_t)) == static_cast<int64_t>(sizeof(T)));
  return {reinterpret_cast<const T*>(words.as<int32_t>()), static_cast<size_t>(words.rows)};
}

void draw_row(const DrawResult& out, std::span<const float> logits, const Draw& draw, const DrawContext& context, int64_t index) {
  int32_t token = draw.token;
  if (token < 0) {
    thread_local RowSampler sampler;
    thread_local std::vector<float> scratch;
    scratch.assign(logits.begin(), logits.end());
    token = sampler.draw(scratch, draw, context);
  }
  out.tokens.as<int32_t>()[index] = token;
  if (token < 0 || (draw.wants_logp == 0 && draw.top == 0)) return;
  const double normaliser = log_sum_exp(logits);
  out.logp.as<float>()[index] = log_prob(logits, normaliser, token);
  if (draw.top == 0) return;
  const auto top = top_log_probs(logits, normaliser, draw.top);
  for (size_t i = 0; i < top.size(); ++i) {
    out.top_tokens.row<int32_t>(index)[i] = top[i].token;
    out.top_logp.row<float>(index)[i] = top[i].logp;
  }
}

}  // namespace

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

int32_t RowSampler::draw(std::span<float> logits, const Draw& o, const DrawContext& context) {
  if (context.mask != nullptr) {
    for (size_t i = 0; i < logits.size(); ++i) {
      if ((context.mask[i / 32] >> (i % 32) & 1U) == 0) logits[i] = minus_infinity;
    }
  }
  for (const auto& [token, bias] : context.biases) logits[static_cast<size_t>(token)] += bias;
  for (const TokenCount& count : context.counts) apply_penalties(logits, o, count);
  if (o.temperature <= 0.0F) return arg_max(logits);
  for (float& logit : logits) logit /= o.temperature;
  collect(logits, o.top_k);
  if (candidates_.empty()) return -1;
  if (o.top_p < 1.0F) keep_top_p(o.top_p);
  if (o.min_p > 0.0F) keep_min_p(o.min_p);
  return choose(std::bit_cast<double>((uint64_t{o.uniform[1]} << 32) | o.uniform[0]));
}

void RowSampler::collect(std::span<const float> logits, int32_t top_k) {
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

double RowSampler::mass(size_t count) const {
  double sum = 0.0;
  for (size_t i = 0; i < count; ++i) sum += static_cast<double>(candidates_[i].weight);
  return sum;
}

void RowSampler::keep_top_p(float p) {
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

void RowSampler::keep_min_p(float p) {
  const double threshold = static_cast<double>(largest_) + std::log(static_cast<double>(p));
  std::erase_if(candidates_, [&](const Candidate& c) { return static_cast<double>(c.logit) < threshold; });
}

int32_t RowSampler::choose(double uniform) const {
  double rest = uniform * mass(candidates_.size());
  for (const Candidate& c : candidates_) {
    rest -= static_cast<double>(c.weight);
    if (rest < 0.0) return c.token;
  }
  return candidates_.back().token;
}

void draw_rows(const DrawResult& out, const Tensor& logits, const DrawBatch& batch) {
  const auto draws = rows_as<Draw>(batch.draws);
  const auto biases = rows_as<TokenBias>(batch.biases);
  const auto counts = rows_as<TokenCount>(batch.counts);
  parallel_for(static_cast<int64_t>(draws.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Draw& draw = draws[static_cast<size_t>(i)];
      const auto part = [](auto all, int32_t from, int32_t to) {
        return all.subspan(static_cast<size_t>(from), static_cast<size_t>(to - from));
      };
      const DrawContext context{
          part(biases, draw.bias_begin, draw.bias_end), part(counts, draw.count_begin, draw.count_end),
          draw.mask < 0 ? nullptr : reinterpret_cast<const uint32_t*>(batch.masks.row<int32_t>(draw.mask))};
      draw_row(out, {logits.row<float>(draw.row), static_cast<size_t>(logits.cols)}, draw, context, i);
    }
  });
}

}  // namespace fettle
