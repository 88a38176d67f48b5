#include "generate/request_group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "generate/test_support.h"

namespace fettle {
namespace {

using test::greedy;
using test::random_prompt;
using test::SmallModel;

EngineOptions few_pages() {
  EngineOptions options;
  options.kv_bytes = 8 << 20;
  return options;
}

GenerationRequest long_request(uint64_t seed) {
  GenerationRequest request = greedy(random_prompt(20, seed), 60);
  request.ignore_eos = true;
  return request;
}

TEST(RequestGroup, WhatItsCallbacksReferToMayEndBeforeTheEngine) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, few_pages());
  std::atomic<int> calls{0};
  for (int steps = 0; steps < 6; ++steps) {
    {
      RequestGroup group(engine);
      for (uint64_t i = 0; i < 4; ++i) {
        GenerationRequest request = long_request(i);
        request.on_delta = [&](const GenerationDelta&) { ++calls; };
        request.on_done = [&](GenerationResult&&) { ++calls; };
        group.submit(std::move(request));
      }
      for (int i = 0; i < steps; ++i) engine.step();
      EXPECT_EQ(group.unfinished(), 4U);
    }
    const int before = calls;
    while (engine.step()) {
    }
    EXPECT_EQ(calls, before) << "a callback came after the group's end, " << steps << " steps in";
    EXPECT_EQ(engine.stats().pages_used, 0);
  }
  EXPECT_EQ(engine.stats().cancelled, 24);
}

TEST(RequestGroup, EndsAtAnyMomentBesideTheThreadThatSteps) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, few_pages());
  EngineThread thread(engine);
  for (int moment = 0; moment < 60; ++moment) {
    auto alive = std::make_unique<std::atomic<bool>>(true);
    std::atomic<int> late{0};
    std::atomic<bool>* flag = alive.get();
    {
      RequestGroup group(engine);
      for (uint64_t i = 0; i < 3; ++i) {
        GenerationRequest request = long_request(i);
        request.on_delta = [&late, flag](const GenerationDelta&) { late += !flag->load(); };
        request.on_done = [&late, flag](GenerationResult&&) { late += !flag->load(); };
        group.submit(std::move(request));
      }
      std::this_thread::sleep_for(std::chrono::microseconds(moment * 150));
    }
    alive->store(false);
    if (moment % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(late, 0);
  }
}

TEST(RequestGroup, ARefusedRequestIsNoneOfIt) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, few_pages());
  RequestGroup group(engine);
  EXPECT_THROW(group.submit(greedy({}, 5)), Error);
  EXPECT_EQ(group.unfinished(), 0U);
  EXPECT_TRUE(group.wait(std::chrono::milliseconds(0)));
}

TEST(RequestGroup, CancelEndsItsOwnAlone) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, few_pages());
  std::optional<FinishReason> mine, other;
  GenerationRequest request = long_request(1);
  RequestGroup group(engine), beside(engine);
  request.on_done = [&](GenerationResult&& result) { mine = result.samples[0].finish; };
  group.submit(request);
  request.on_done = [&](GenerationResult&& result) { other = result.samples[0].finish; };
  beside.submit(request);
  engine.step();
  group.cancel();
  while (engine.step()) {
  }
  EXPECT_EQ(mine, FinishReason::cancelled);
  EXPECT_EQ(other, FinishReason::length);
  EXPECT_EQ(group.unfinished() + beside.unfinished(), 0U);
}

TEST(RequestGroup, ACallbackThatThrowsEndsItsRequest) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, few_pages());
  RequestGroup group(engine);
  GenerationRequest request = long_request(1);
  request.on_done = [](GenerationResult&&) { throw std::runtime_error("nobody listens"); };
  group.submit(std::move(request));
  while (engine.step()) {
  }
  EXPECT_EQ(group.unfinished(), 0U);
}

/// Runs out of memory when it is asked.
class Greedy final : public TokenConstraint {
 public:
  void allow(TokenSet&) override { throw std::bad_alloc(); }
  void accept(int32_t) override {}
  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Greedy>(); }
};

TEST(RequestGroup, LackOfMemoryInAStepEndsARequestAndNotTheEngine) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, few_pages());
  GenerationRequest request = long_request(1);
  request.constraint = std::make_shared<Greedy>();
  const GenerationResult result = engine.generate(request);
  EXPECT_EQ(result.error, "out of memory");
  EXPECT_EQ(result.samples[0].finish, FinishReason::error);
  EXPECT_EQ(engine.generate(long_request(2)).samples[0].tokens.size(), 60U);
}

/// Runs out of memory before the engine has taken the request.
class Unborn final : public TokenConstraint {
 public:
  void allow(TokenSet&) override {}
  void accept(int32_t) override {}
  std::unique_ptr<TokenConstraint> clone() const override { throw std::bad_alloc(); }
};

TEST(RequestGroup, ARequestThatFindsNoMemoryAtItsStartIsAnswered) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, few_pages());
  GenerationRequest request = long_request(1);
  request.constraint = std::make_shared<Unborn>();
  const GenerationResult result = engine.generate(request);
  EXPECT_EQ(result.error, "out of memory");
  EXPECT_EQ(result.samples[0].finish, FinishReason::error);
  EXPECT_EQ(engine.generate(long_request(2)).samples[0].tokens.size(), 60U);
}

}  // namespace
}  // namespace fettle
