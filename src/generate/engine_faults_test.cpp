#include "generate/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "generate/engine_test_support.h"

namespace fettle {
namespace {

using test::greedy;
using test::random_prompt;
using test::small_options;
using test::SmallModel;
using test::tokens_of;

TEST(Engine, CancelledLateAndBrokenRequestsLeaveTheOthersAlone) {
  SmallModel model;
  EngineOptions options = small_options();
  Engine engine(model.decoder, test::byte_tokenizer(), options);
  const auto expected = tokens_of(engine.generate(greedy(random_prompt(20, 1), 60)));
  std::map<std::string, GenerationResult> results;
  std::map<std::string, RequestId> ids;
  RequestGroup group(engine);
  const auto submit = [&](const std::string& name, GenerationRequest request) {
    request.on_done = [&, name](GenerationResult&& result) {
      EXPECT_EQ(results.count(name), 0U) << name << " ended twice";
      results[name] = std::move(result);
    };
    ids[name] = group.submit(std::move(request));
  };
  submit("plain", greedy(random_prompt(20, 1), 60));
  auto several = greedy(random_prompt(33, 2), 60);
  several.n = 3;
  several.sampling.temperature = 1.0F;
  several.ignore_eos = true;
  submit("cancelled", several);
  auto self = greedy(random_prompt(11, 3), 60);
  self.on_delta = [&](const GenerationDelta&) { engine.cancel(ids["self"]); };
  submit("self", self);
  auto throws = several;
  int seen = 0;
  throws.on_delta = [&](const GenerationDelta&) {
    if (++seen == 5) throw std::runtime_error("the client went away");
  };
  submit("throws", throws);
  auto late = greedy(random_prompt(11, 4), 60);
  late.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  submit("late", late);
  for (int i = 0; i < 8; ++i) engine.step();
  engine.cancel(ids["cancelled"]);
  engine.cancel(9999);
  while (engine.step()) {
  }
  ASSERT_EQ(results.size(), 5U);
  EXPECT_EQ(tokens_of(results["plain"]), expected);
  for (const auto& sample : results["cancelled"].samples) {
    EXPECT_EQ(sample.finish, FinishReason::cancelled);
    EXPECT_LT(sample.tokens.size(), 60U);
  }
  EXPECT_EQ(results["self"].samples[0].finish, FinishReason::cancelled);
  EXPECT_LE(results["self"].samples[0].tokens.size(), 2U);
  EXPECT_EQ(results["throws"].error, "the client went away");
  EXPECT_EQ(results["throws"].samples[0].finish, FinishReason::error);
  EXPECT_EQ(results["late"].samples[0].finish, FinishReason::deadline);
  EXPECT_TRUE(results["late"].samples[0].tokens.empty());
  EXPECT_EQ(engine.stats().pages_used, 0);
}

TEST(Engine, AFullQueueSaysSo) {
  SmallModel model;
  EngineOptions options = small_options();
  options.max_queued = 2;
  Engine engine(model.decoder, nullptr, options);
  RequestGroup group(engine);
  group.submit(greedy(random_prompt(4, 1), 2));
  group.submit(greedy(random_prompt(4, 1), 2));
  EXPECT_THROW(group.submit(greedy(random_prompt(4, 1), 2)), QueueFull);
  while (engine.step()) {
  }
  EXPECT_NO_THROW(group.submit(greedy(random_prompt(4, 1), 2)));
}

TEST(Engine, DestructionEndsWhatRuns) {
  SmallModel model;
  std::vector<FinishReason> reasons;
  std::unique_ptr<RequestGroup> group;  // ends after the engine, which has ended what it holds
  {
    Engine engine(model.decoder, nullptr, small_options());
    group = std::make_unique<RequestGroup>(engine);
    for (int i = 0; i < 8; ++i) {
      auto request = greedy(random_prompt(30, 1), 50);
      request.ignore_eos = true;
      request.on_done = [&](GenerationResult&& result) { reasons.push_back(result.samples[0].finish); };
      group->submit(request);
      engine.step();
    }
  }
  EXPECT_EQ(reasons, std::vector<FinishReason>(8, FinishReason::cancelled));
}

/// Fails as it is asked to, at the second token.
class Failing final : public TokenConstraint {
 public:
  explicit Failing(std::function<void()> fault) : fault_(std::move(fault)) {}
  void allow(TokenSet& allowed) override {
    allowed.set(3 + 'a');
    if (taken_ > 0) fault_();
  }
  void accept(int32_t) override { ++taken_; }
  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Failing>(*this); }

 private:
  std::function<void()> fault_;
  int taken_ = 0;
};

TEST(Engine, WhatTheMachineRefusesIsNoFaultOfTheRequest) {
  SmallModel model;
  Engine engine(model.decoder, test::byte_tokenizer(), small_options());
  const auto failed = [&](std::function<void()> fault) {
    auto request = greedy(random_prompt(7, 1), 50);
    request.constraint = std::make_shared<Failing>(std::move(fault));
    return engine.generate(request);
  };
  const auto of_request = failed([] { fail("schema", "is too large"); });
  EXPECT_EQ(of_request.error, "schema: is too large");
  EXPECT_FALSE(of_request.machine_failed);
  const auto of_disk = failed([] { throw Error(Error::Kind::io, "model.gguf: changed"); });
  EXPECT_EQ(of_disk.error, "model.gguf: changed");
  EXPECT_TRUE(of_disk.machine_failed);
  const auto of_memory = failed([] { throw std::bad_alloc(); });
  EXPECT_EQ(of_memory.error, "out of memory");
  EXPECT_TRUE(of_memory.machine_failed);
  EXPECT_FALSE(engine.generate(greedy(random_prompt(7, 1), 5)).machine_failed);
}

}  // namespace
}  // namespace fettle
