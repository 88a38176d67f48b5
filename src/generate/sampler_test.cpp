// The sampler against the formulas written out plainly: sort, cumulate, compare.
#include "generate/step_draws.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "kernels/backends.h"

namespace fettle {
namespace {

/// One draw by the host's plain loop; `logits` is overwritten.
struct Sampler {
  int32_t sample(std::span<float> logits, const SamplingOptions& options, const TokenHistory& history, TokenSet* allowed,
                 uint64_t sample, uint64_t draw) {
    StepDraws draws;
    draws.add(0, options, history, allowed, sample, draw, {});
    return rows.draw(logits, draws.draw(0), draws.context(0));
  }
  RowSampler rows;
};

std::vector<float> random_logits(int32_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> logits(static_cast<size_t>(count));
  for (float& x : logits) x = static_cast<float>(3.0 * random.normal());
  return logits;
}

/// The distribution that the filters leave, by full sorts in double precision.
std::map<int32_t, double> plain_distribution(std::vector<float> logits, const SamplingOptions& o) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  for (float& x : logits) x /= o.temperature;
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  if (o.top_k > 0 && static_cast<size_t>(o.top_k) < order.size()) {
    const float kth = logits[order[o.top_k - 1]];
    std::erase_if(order, [&](int32_t t) { return logits[t] < kth; });
  }
  const auto probabilities = [&] {
    std::map<int32_t, double> p;
    double sum = 0.0;
    for (const int32_t t : order) sum += p[t] = std::exp(double{logits[t]});
    for (auto& [token, value] : p) value /= sum;
    return p;
  };
  if (o.top_p < 1.0F) {
    const auto p = probabilities();
    double cumulated = 0.0;
    size_t kept = 0;
    while (kept < order.size() && cumulated < double{o.top_p}) cumulated += p.at(order[kept++]);
    order.resize(kept);
  }
  if (o.min_p > 0.0F) {
    const auto p = probabilities();
    const double largest = p.at(order[0]);
    std::erase_if(order, [&](int32_t t) { return p.at(t) < double{o.min_p} * largest; });
  }
  return probabilities();
}

std::map<int32_t, double> drawn_distribution(const std::vector<float>& logits, const SamplingOptions& o,
                                             int draws) {
  Sampler sampler;
  std::map<int32_t, double> counts;
  for (int i = 0; i < draws; ++i) {
    std::vector<float> copy = logits;
    counts[sampler.sample(copy, o, {}, nullptr, 0, static_cast<uint64_t>(i))] += 1.0 / draws;
  }
  return counts;
}

class Filters : public testing::TestWithParam<SamplingOptions> {};

TEST_P(Filters, DrawsFollowThePlainFormula) {
  const auto logits = random_logits(60, 7);
  const auto expected = plain_distribution(logits, GetParam());
  const int draws = 20000;
  const auto drawn = drawn_distribution(logits, GetParam(), draws);
  for (const auto& [token, frequency] : drawn) {
    ASSERT_TRUE(expected.count(token)) << token << " should have been filtered";
  }
  for (const auto& [token, p] : expected) {
    const auto found = drawn.find(token);
    const double frequency = found == drawn.end() ? 0.0 : found->second;
    EXPECT_NEAR(frequency, p, 5.0 * std::sqrt(p * (1 - p) / draws) + 1e-4) << token;
  }
}

SamplingOptions options(float temperature, int32_t top_k, float top_p, float min_p) {
  SamplingOptions o;
  o.temperature = temperature;
  o.top_k = top_k;
  o.top_p = top_p;
  o.min_p = min_p;
  o.seed = 11;
  return o;
}

INSTANTIATE_TEST_SUITE_P(Sampler, Filters,
                         testing::Values(options(1.0F, 0, 1.0F, 0.0F), options(0.7F, 0, 1.0F, 0.0F),
                                         options(2.0F, 5, 1.0F, 0.0F), options(1.0F, 0, 0.6F, 0.0F),
                                         options(3.0F, 0, 0.9F, 0.0F), options(1.5F, 0, 1.0F, 0.1F),
                                         options(1.5F, 20, 0.8F, 0.05F), options(0.5F, 1, 0.5F, 0.5F)));

TEST(Sampler, TopPLooksAsDeepAsItMust) {
  // A flat distribution: the first passes of the search by depth hold everything or nothing.
  std::vector<float> logits(1000, 0.0F);
  logits[3] = 20.0F;
  EXPECT_EQ(drawn_distribution(logits, options(1.0F, 0, 0.5F, 0.0F), 200).size(), 1U);
  logits[3] = 0.0F;
  const auto drawn = drawn_distribution(logits, options(1.0F, 0, 0.01F, 0.0F), 500);
  EXPECT_LE(drawn.rbegin()->first, 9);
}

TEST(Sampler, TiesWithTheKthTokenStay) {
  const std::vector<float> logits{1.0F, 2.0F, 1.0F, 0.0F};
  const auto drawn = drawn_distribution(logits, options(1.0F, 2, 1.0F, 0.0F), 2000);
  EXPECT_EQ(drawn.size(), 3U);
  EXPECT_FALSE(drawn.count(3));
}

TEST(Sampler, GreedyTakesTheFirstLargest) {
  SamplingOptions greedy;
  greedy.temperature = 0.0F;
  std::vector<float> logits{0.0F, 2.0F, std::numeric_limits<float>::quiet_NaN(), 2.0F};
  EXPECT_EQ(Sampler().sample(logits, greedy, {}, nullptr, 0, 0), 1);
}

TEST(Sampler, PenaltiesAndBiasByHand) {
  SamplingOptions o;
  o.temperature = 0.0F;
  const std::vector<int32_t> prompt{0, 1};
  TokenHistory history(prompt);
  history.add(1);
  history.add(1);
  history.add(2);
  const std::vector<float> logits{4.0F, 5.0F, 3.9F, -1.0F};
  const auto choose = [&] {
    std::vector<float> copy = logits;
    Sampler().sample(copy, o, history, nullptr, 0, 0);
    return copy;  // the logits after everything that comes before the draw
  };
  o.repetition_penalty = 2.0F;
  EXPECT_EQ(choose(), (std::vector<float>{2.0F, 2.5F, 1.95F, -1.0F}));
  o.repetition_penalty = 1.0F;
  o.presence_penalty = 0.5F;
  EXPECT_EQ(choose(), (std::vector<float>{4.0F, 4.5F, 3.4F, -1.0F}));
  o.presence_penalty = 0.0F;
  o.frequency_penalty = 0.25F;
  EXPECT_EQ(choose(), (std::vector<float>{4.0F, 4.5F, 3.65F, -1.0F}));
  o.frequency_penalty = 0.0F;
  o.logit_bias = {{3, 7.0F}};
  EXPECT_EQ(choose(), (std::vector<float>{4.0F, 5.0F, 3.9F, 6.0F}));
  // A negative logit is made more negative, and the bias comes first.
  o.logit_bias = {{0, -5.0F}};
  o.repetition_penalty = 2.0F;
  EXPECT_FLOAT_EQ(choose()[0], -2.0F);
}

TEST(Sampler, OnlyAllowedTokensAreDrawn) {
  TokenSet allowed(70);
  allowed.set(3);
  allowed.set(69);
  const auto logits = random_logits(70, 3);
  std::set<int32_t> drawn;
  Sampler sampler;
  for (uint64_t i = 0; i < 300; ++i) {
    std::vector<float> copy = logits;
    drawn.insert(sampler.sample(copy, options(5.0F, 0, 1.0F, 0.0F), {}, &allowed, 0, i));
  }
  EXPECT_EQ(drawn, (std::set<int32_t>{3, 69}));
  std::vector<float> copy = logits;
  TokenSet none(70);
  EXPECT_EQ(sampler.sample(copy, options(1.0F, 0, 1.0F, 0.0F), {}, &none, 0, 0), -1);
}

TEST(Sampler, ADrawDependsOnSeedSampleAndIndexAlone) {
  const auto logits = random_logits(500, 5);
  Sampler used, fresh;
  std::vector<int32_t> first;
  for (uint64_t i = 0; i < 50; ++i) {
    std::vector<float> copy = logits;
    first.push_back(used.sample(copy, options(1.0F, 0, 0.9F, 0.0F), {}, nullptr, 2, i));
  }
  for (uint64_t i = 50; i-- > 0;) {
    std::vector<float> copy = logits;
    EXPECT_EQ(fresh.sample(copy, options(1.0F, 0, 0.9F, 0.0F), {}, nullptr, 2, i), first[i]);
  }
  EXPECT_GT(std::set<int32_t>(first.begin(), first.end()).size(), 5U);
}

TEST(Sampler, AStepsDrawsGoToTheBackendInOneCall) {
  constexpr int32_t vocabulary = 70;
  const std::vector<float> first = random_logits(vocabulary, 1), second = random_logits(vocabulary, 2);
  TokenSet allowed(vocabulary);
  allowed.set(8);
  allowed.set(69);
  const std::vector<int32_t> prompt{5, 9};
  TokenHistory history(prompt);
  history.add(9);
  SamplingOptions biased = options(0.0F, 0, 1.0F, 0.0F), penalised = options(2.0F, 12, 0.9F, 0.01F);
  biased.logit_bias = {{33, 100.0F}};
  penalised.repetition_penalty = 1.5F;
  penalised.frequency_penalty = 0.5F;
  StepDraws draws;
  draws.add(1, biased, {}, nullptr, 0, 0, {});
  draws.add(0, penalised, history, nullptr, 1, 7, {true, 3});
  draws.add_given(1, 4, 0);
  draws.add(0, options(1.0F, 0, 1.0F, 0.0F), history, &allowed, 2, 3, {});
  for (const char* device : {"cpu", "reference", "reference:cpu"}) {
    const auto backend = make_backend(device);
    const Buffer memory(2 * vocabulary * 4, backend->memory());
    const Tensor logits(memory.data(), DType::f32, 2, vocabulary);
    backend->copy_from_host(logits.row_slice(0, 1), first.data());
    backend->copy_from_host(logits.row_slice(1, 2), second.data());
    Arena arena(backend->memory());
    const auto drawn = draws.run(*backend, arena, logits);
    ASSERT_EQ(drawn.size(), 4U);
    EXPECT_EQ(drawn[0].token, 33);
    std::vector<float> copy = first;
    EXPECT_EQ(drawn[1].token, Sampler().sample(copy, penalised, history, nullptr, 1, 7));
    EXPECT_EQ(drawn[1].logp, log_prob(first, log_sum_exp(first), drawn[1].token));
    ASSERT_EQ(drawn[1].top.size(), 3U);
    EXPECT_EQ(drawn[1].top[0].token, arg_max(first));
    EXPECT_EQ(drawn[2].token, 4);
    EXPECT_EQ(drawn[2].logp, log_prob(second, log_sum_exp(second), 4));
    EXPECT_TRUE(drawn[3].token == 8 || drawn[3].token == 69);
  }
}

TEST(Sampler, LogProbabilities) {
  const auto logits = random_logits(1000, 9);
  long double sum = 0.0;
  for (const float x : logits) sum += std::exp(static_cast<long double>(x));
  EXPECT_NEAR(log_sum_exp(logits), static_cast<double>(std::log(sum)), 1e-6);
  const auto top = top_log_probs(logits, log_sum_exp(logits), 5);
  ASSERT_EQ(top.size(), 5U);
  EXPECT_EQ(top[0].token, arg_max(logits));
  for (size_t i = 1; i < top.size(); ++i) EXPECT_GE(top[i - 1].logp, top[i].logp);
  EXPECT_NEAR(top[0].logp, logits[top[0].token] - std::log(static_cast<double>(sum)), 1e-5);
  EXPECT_EQ(top_log_probs(logits, 0.0, 2000).size(), 1000U);
}

TEST(Sampler, WrongOptionsAreNamed) {
  const auto message = [](auto change) {
    SamplingOptions o;
    change(o);
    try {
      o.validate(100);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message([](SamplingOptions&) {}), "");
  EXPECT_NE(message([](SamplingOptions& o) { o.temperature = -1; }).find("temperature"), std::string::npos);
  EXPECT_NE(message([](SamplingOptions& o) { o.temperature = NAN; }).find("temperature"), std::string::npos);
  EXPECT_NE(message([](SamplingOptions& o) { o.top_p = 0; }).find("top_p"), std::string::npos);
  EXPECT_NE(message([](SamplingOptions& o) { o.top_k = -1; }).find("top_k"), std::string::npos);
  EXPECT_NE(message([](SamplingOptions& o) { o.min_p = 2; }).find("min_p"), std::string::npos);
  EXPECT_NE(message([](SamplingOptions& o) { o.logit_bias = {{100, 1.0F}}; }).find("100"), std::string::npos);
}

}  // namespace
}  // namespace fettle
