#include "generate/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "generate/score.h"
#include "generate/test_support.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

using test::greedy;
using test::random_prompt;
using test::SmallModel;

EngineOptions small_options() {
  EngineOptions options;
  options.page_rows = 8;
  options.max_running = 6;
  options.step_tokens = 24;
  options.kv_bytes = 4 << 20;
  return options;
}

/// The tokens that every sample of a result drew.
std::vector<std::vector<int32_t>> tokens_of(const GenerationResult& result) {
  std::vector<std::vector<int32_t>> tokens;
  for (const auto& sample : result.samples) tokens.push_back(sample.tokens);
  return tokens;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Engine, GreedyEqualsThePlainLoop) {
  SmallModel model;
  const auto prompt = random_prompt(37, 1);
  const auto expected = test::greedy_by_scoring(model.decoder, prompt, 30);
  for (const int32_t page : {1, 8, 32}) {
    for (const int32_t step : {40, 64}) {
      EngineOptions options = small_options();
      options.page_rows = page;
      options.step_tokens = step;
      Engine engine(model.decoder, nullptr, options);
      auto request = greedy(prompt, 30);
      request.ignore_eos = true;
      for (int round = 0; round < 2; ++round) {
        const auto result = engine.generate(request);
        EXPECT_EQ(result.samples[0].tokens, expected)
            << "page " << page << " step " << step << " round " << round;
        EXPECT_EQ(result.samples[0].finish, FinishReason::length);
        EXPECT_EQ(result.cached_tokens, round == 0 ? 0 : 36 / page * page);
      }
    }
  }
}

/// Positions of every kind, and a window that is shorter than the text.
std::vector<ModelConfig> variants() {
  std::vector<ModelConfig> all(8, test::byte_config());
  all[1].sliding_window = 11;
  all[2].position = PositionKind::alibi;
  all[3].position = PositionKind::learned;
  all[4].norm = NormKind::layer;
  all[4].norm_bias = true;
  all[4].block = BlockKind::parallel_two_norms;
  all[5].qk_norm = all[5].norm_after = true;  // layers with and without a window, turned by different bases
  all[5].layers = 3;
  all[5].each.assign(3, all[5]);
  all[5].each[0].sliding_window = all[5].each[1].sliding_window = 11;
  all[5].each[0].rope.theta = 100.0;
  all[6].mlp = MlpKind::experts;
  all[6].experts = 4;
  all[6].experts_per_token = 2;
  all[7].layers = 3;  // a branch alone, and windows of two sizes
  all[7].each.assign(3, all[7]);
  all[7].each[0].sliding_window = 5;
  all[7].each[1].mixer = MixerKind::none;
  all[7].each[2].sliding_window = 19;
  return all;
}

TEST(Engine, LogProbabilitiesEqualThoseOfScoring) {
  for (const ModelConfig& config : variants()) {
    SmallModel model(config);
    Engine engine(model.decoder, nullptr, small_options());
    auto request = greedy(random_prompt(29, 2), 40);
    request.sampling.temperature = 1.0F;
    request.sampling.top_p = 0.9F;
    request.sampling.repetition_penalty = 1.3F;
    request.n = 3;
    request.logprobs = true;
    request.prompt_logprobs = true;
    request.top_logprobs = 2;
    request.ignore_eos = true;
    const auto result = engine.generate(request);
    std::vector<ScoreRow> rows;
    for (const auto& sample : result.samples) rows.push_back({request.prompt, sample.tokens});
    rows.push_back({{request.prompt[0]}, {request.prompt.begin() + 1, request.prompt.end()}});
    const auto scores = score(model.decoder, rows);
    for (size_t s = 0; s < 3; ++s) {
      ASSERT_EQ(result.samples[s].infos.size(), 40U);
      for (size_t i = 0; i < 40; ++i) {
        EXPECT_NEAR(result.samples[s].infos[i].logp, scores[s].logps[i], 1e-4F) << s << " " << i;
        ASSERT_EQ(result.samples[s].infos[i].top.size(), 2U);
        EXPECT_GE(result.samples[s].infos[i].top[0].logp, result.samples[s].infos[i].logp);
      }
    }
    ASSERT_EQ(result.prompt.size(), 29U);
    for (size_t i = 1; i < 29; ++i) {
      EXPECT_EQ(result.prompt[i].token, request.prompt[i]);
      EXPECT_NEAR(result.prompt[i].logp, scores[3].logps[i - 1], 1e-4F) << i;
    }
  }
}

TEST(Engine, LayersWithAWindowKeepNoMoreThanTheySee) {
  ModelConfig config = test::byte_config();
  config.context_length = 4096;
  config.layers = 4;
  config.each.assign(4, config);
  for (size_t i = 0; i < 3; ++i) config.each[i].sliding_window = 24;
  SmallModel model(config);
  EngineOptions options = small_options();
  options.max_running = 2;
  options.kv_bytes = 600 * 8 * KvCache::bytes_per_row(config, DType::f32) / 3;
  Engine engine(model.decoder, nullptr, options);
  // A third of what all rows of all layers would need holds more than all their tokens.
  EXPECT_GT(engine.stats().pages, 600);
  auto request = greedy(random_prompt(300, 4), 60);
  request.ignore_eos = true;
  const auto expected = test::greedy_by_scoring(model.decoder, request.prompt, 60);
  for (int round = 0; round < 2; ++round) {
    const auto result = engine.generate(request);
    EXPECT_EQ(result.samples[0].tokens, expected) << round;
    EXPECT_EQ(result.cached_tokens, round == 0 ? 0 : 296);
  }
  // Others' pages push those of the window out: what is left decides how much is begun with.
  for (uint64_t i = 0; i < 6; ++i) engine.generate(greedy(random_prompt(200, 100 + i), 3));
  EXPECT_EQ(engine.generate(request).samples[0].tokens, expected);
  EXPECT_EQ(engine.stats().pages_used, 0);
}

/// Requests of many kinds; what each yields must not depend on the others.
std::vector<GenerationRequest> mixed_requests() {
  std::vector<GenerationRequest> requests;
  for (int i = 0; i < 16; ++i) {
    auto request = greedy(random_prompt(1 + 9 * (i % 7), static_cast<uint64_t>(i / 2)), 5 + 7 * (i % 5));
    if (i % 3 != 0) {
      request.sampling.temperature = 0.8F;
      request.sampling.top_k = i % 2 == 0 ? 20 : 0;
      request.sampling.seed = static_cast<uint64_t>(i);
    }
    request.n = i % 4 == 1 ? 3 : 1;
    request.prompt_logprobs = i % 5 == 2;
    requests.push_back(std::move(request));
  }
  return requests;
}

TEST(Engine, ARequestYieldsTheSameWhateverRunsBesideIt) {
  SmallModel model;
  std::vector<std::vector<std::vector<int32_t>>> alone;
  for (const auto& request : mixed_requests()) {
    Engine engine(model.decoder, test::byte_tokenizer(), small_options());
    alone.push_back(tokens_of(engine.generate(request)));
  }
  for (const bool cache : {true, false}) {
    EngineOptions options = small_options();
    options.prefix_cache = cache;
    Engine engine(model.decoder, test::byte_tokenizer(), options);
    for (int round = 0; round < 2; ++round) {
      const auto results = engine.generate(mixed_requests());
      for (size_t i = 0; i < results.size(); ++i) {
        EXPECT_EQ(tokens_of(results[i]), alone[i]) << i << " cache " << cache << " round " << round;
      }
    }
    const EngineStats stats = engine.stats();
    EXPECT_EQ(stats.cached_prompt_tokens > 0, cache);
    EXPECT_EQ(stats.pages_used, 0);
    EXPECT_EQ(stats.finished, 32);
    EXPECT_EQ(stats.running + stats.queued, 0);
  }
}

/// A second turn whose prompt holds the first one's answer: decoded pages are adopted, or computed again.
TEST(Engine, LogProbabilitiesHaveTheSameBitsWhateverTheBatchTheCacheAndTheMemory) {
  for (const ModelConfig& config : variants()) {
    SmallModel model(config);
    const auto converse = [&](EngineOptions options, bool company) {
      Engine engine(model.decoder, test::byte_tokenizer(), options);
      std::vector<float> logps;
      std::vector<int32_t> prompt = random_prompt(21, 7);
      for (int turn = 0; turn < 3; ++turn) {
        std::vector<GenerationRequest> requests{greedy(prompt, 23)};
        requests[0].logprobs = requests[0].ignore_eos = true;
        for (uint64_t i = 0; company && i < 5; ++i) {
          requests.push_back(greedy(random_prompt(static_cast<int32_t>(3 + 11 * i), 20 + i), 30));
        }
        const auto results = engine.generate(requests);
        const GenerationSample& answer = results[0].samples[0];
        for (const TokenInfo& info : answer.infos) logps.push_back(info.logp);
        prompt.insert(prompt.end(), answer.tokens.begin(), answer.tokens.end());
        prompt.push_back(50);
      }
      return logps;
    };
    const auto expected = converse(small_options(), false);
    ASSERT_EQ(expected.size(), 69U);
    for (const bool company : {false, true}) {
      for (const bool cache : {false, true}) {
        for (const int32_t step : {24, 100}) {
          EngineOptions options = small_options();
          options.prefix_cache = cache;
          options.step_tokens = step;
          EXPECT_EQ(converse(options, company), expected) << company << cache << step;
          options.kv_bytes = KvCache::bytes_per_row(model.config, DType::f32) * 8 * 20;
          EXPECT_EQ(converse(options, company), expected) << company << cache << step << " little memory";
        }
      }
    }
  }
}

TEST(Engine, TooLittleMemoryOnlyTakesLonger) {
  SmallModel model;
  Engine roomy(model.decoder, test::byte_tokenizer(), small_options());
  const auto expected = roomy.generate(mixed_requests());
  EngineOptions options = small_options();
  options.kv_bytes = KvCache::bytes_per_row(model.config, DType::f32) * 8 * 13;
  Engine tight(model.decoder, test::byte_tokenizer(), options);
  const auto results = tight.generate(mixed_requests());
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(tokens_of(results[i]), tokens_of(expected[i])) << i;
  EXPECT_GT(tight.stats().preemptions, 0);
  EXPECT_EQ(tight.stats().pages_used, 0);
}

TEST(Engine, SamplesOfAPromptDifferAndAreThoseOfLargerN) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, small_options());
  auto request = greedy(random_prompt(21, 4), 12);
  request.sampling.temperature = 1.0F;
  request.sampling.seed = 77;
  request.ignore_eos = true;
  request.n = 10;  // more than run at once
  const auto ten = tokens_of(engine.generate(request));
  EXPECT_EQ(std::set(ten.begin(), ten.end()).size(), 10U);
  request.n = 2;
  const auto two = tokens_of(engine.generate(request));
  EXPECT_EQ(two[0], ten[0]);
  EXPECT_EQ(two[1], ten[1]);
  request.sampling.seed = 78;
  EXPECT_NE(tokens_of(engine.generate(request)), two);
}

TEST(Engine, StopsWhereItIsTold) {
  SmallModel model;
  const auto tokenizer = test::byte_tokenizer();
  Engine engine(model.decoder, tokenizer, small_options());
  auto request = greedy(random_prompt(12, 6), 60);
  request.sampling.temperature = 1.5F;
  request.sampling.seed = 3;
  const auto free = engine.generate(request).samples[0];
  ASSERT_GT(free.tokens.size(), 20U);

  auto by_token = request;
  by_token.stop_tokens = {free.tokens[9]};
  const auto first = static_cast<size_t>(std::find(free.tokens.begin(), free.tokens.end(), free.tokens[9]) -
                                         free.tokens.begin());
  auto sample = engine.generate(by_token).samples[0];
  EXPECT_EQ(sample.finish, FinishReason::stop);
  EXPECT_EQ(sample.tokens.size(), first + 1);

  // A stop string of several tokens: the text ends before it, whatever was let out until then.
  std::string bytes;
  for (const int32_t token : free.tokens) bytes += tokenizer->bytes(token);
  auto by_string = request;
  const std::string text = free.text;
  size_t begin = text.size() / 2;
  while ((static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) ++begin;
  by_string.stop = {text.substr(begin, 9), "never said"};
  std::string streamed;
  by_string.on_delta = [&](const GenerationDelta& delta) { streamed += delta.text; };
  sample = engine.generate(by_string).samples[0];
  EXPECT_EQ(sample.finish, FinishReason::stop);
  EXPECT_EQ(sample.text, text.substr(0, text.find(by_string.stop[0])));
  EXPECT_EQ(sample.matched_stop, by_string.stop[0]);
  EXPECT_EQ(streamed, sample.text);
}

TEST(Engine, EndOfSequenceEndsUnlessIgnored) {
  SmallModel model;
  EngineOptions options = small_options();
  options.eos = {2};
  Engine engine(model.decoder, test::byte_tokenizer(), options);
  auto request = greedy(random_prompt(5, 8), 20);
  request.sampling.logit_bias = {{2, 1000.0F}};
  auto sample = engine.generate(request).samples[0];
  EXPECT_EQ(sample.tokens, std::vector<int32_t>{2});
  EXPECT_EQ(sample.text, "");
  EXPECT_EQ(sample.finish, FinishReason::stop);
  request.ignore_eos = true;
  EXPECT_EQ(engine.generate(request).samples[0].tokens.size(), 20U);
}

TEST(Engine, StreamedTextIsWholeCharactersAndTheWholeText) {
  SmallModel model;
  Engine engine(model.decoder, test::byte_tokenizer(), small_options());
  auto request = greedy(random_prompt(9, 9), 120);
  request.sampling.temperature = 3.0F;  // arbitrary bytes, hence much invalid UTF-8
  request.n = 4;
  std::map<int32_t, std::string> text;
  int64_t tokens = 0;
  request.on_delta = [&](const GenerationDelta& delta) {
    EXPECT_EQ(unicode::valid_prefix(delta.text), delta.text.size());
    text[delta.sample] += delta.text;
    tokens += delta.token != nullptr;
  };
  const auto result = engine.generate(request);
  for (int32_t s = 0; s < 4; ++s) EXPECT_EQ(text[s], result.samples[static_cast<size_t>(s)].text);
  EXPECT_EQ(tokens, result.completion_tokens);
}

TEST(Engine, RefusesWhatItCanNeverServe) {
  SmallModel model;
  Engine engine(model.decoder, test::byte_tokenizer(), small_options());
  RequestGroup group(engine);
  const auto refused = [&](auto change) {
    auto request = greedy(random_prompt(10, 1), 10);
    change(request);
    return message_of([&] { group.submit(std::move(request)); });
  };
  EXPECT_EQ(refused([](GenerationRequest&) {}), "");
  const std::string overflow = refused([](GenerationRequest& r) { r.max_tokens = 151; });
  for (const char* number : {"160", "10", "151", "161"})
    EXPECT_NE(overflow.find(number), std::string::npos) << overflow;
  EXPECT_NE(refused([](GenerationRequest& r) {
              r.prompt.assign(160, 5);
              r.max_tokens = 0;
            }),
            "");
  EXPECT_NE(refused([](GenerationRequest& r) { r.prompt.clear(); }).find("prompt"), std::string::npos);
  EXPECT_NE(refused([](GenerationRequest& r) { r.prompt[3] = 259; }).find("259"), std::string::npos);
  EXPECT_NE(refused([](GenerationRequest& r) { r.n = 0; }).find("n:"), std::string::npos);
  EXPECT_NE(refused([](GenerationRequest& r) { r.sampling.top_p = 3; }).find("top_p"), std::string::npos);
  EXPECT_NE(refused([](GenerationRequest& r) {
              r.adapters = {{"poet", 1.0F}};
            }).find("poet"),
            std::string::npos);
  Engine textless(model.decoder, nullptr, small_options());
  auto request = greedy(random_prompt(3, 1), 3);
  request.stop = {"x"};
  EXPECT_NE(message_of([&] { RequestGroup(textless).submit(request); }), "");
  EngineOptions poor = small_options();
  poor.kv_bytes = 100;
  EXPECT_NE(message_of([&] { Engine(model.decoder, nullptr, poor); }).find("100 bytes"), std::string::npos);
}

TEST(Engine, MaxTokensZeroGoesToTheEndOfTheContext) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, small_options());
  auto request = greedy(random_prompt(50, 2), 0);
  request.ignore_eos = true;
  const auto sample = engine.generate(request).samples[0];
  EXPECT_EQ(sample.tokens.size(), 110U);
  EXPECT_EQ(sample.finish, FinishReason::length);
}

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

/// Allows each byte of one text after the other, then nothing.
class Dictation final : public TokenConstraint {
 public:
  explicit Dictation(std::string text) : text_(std::move(text)) {}
  void allow(TokenSet& allowed) override {
    if (at_ < text_.size()) allowed.set(3 + static_cast<uint8_t>(text_[at_]));
  }
  void accept(int32_t token) override { at_ += token == 3 + static_cast<uint8_t>(text_[at_]); }
  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Dictation>(*this); }

 private:
  std::string text_;
  size_t at_ = 0;
};

TEST(Engine, AConstraintDecidesWhatMayCome) {
  SmallModel model;
  Engine engine(model.decoder, test::byte_tokenizer(), small_options());
  auto request = greedy(random_prompt(7, 1), 50);
  request.sampling.temperature = 1.0F;
  request.n = 2;
  request.constraint = std::make_shared<Dictation>("{\"größe\": 1}");
  const auto result = engine.generate(request);
  for (const auto& sample : result.samples) {
    EXPECT_EQ(sample.text, "{\"größe\": 1}");
    EXPECT_EQ(sample.finish, FinishReason::stop);
  }
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

TEST(Engine, AdaptersMixInOneEngine) {
  SmallModel model;
  AdapterConfig config;
  config.rank = 3;
  const auto fresh = [&](uint64_t seed) {
    auto adapter = std::make_shared<Adapter>(make_adapter(model.config, config, seed));
    Random random(seed, 8);
    for (const auto& parameter : adapter->parameters.all()) {
      for (float& value : parameter->value.flat<float>()) value = static_cast<float>(0.3 * random.normal());
    }
    return adapter;
  };
  const std::map<std::string, std::shared_ptr<Adapter>> adapters{{"a", fresh(1)}, {"b", fresh(2)}};
  const std::vector<std::vector<AdapterUse>> uses{
      {}, {{"a", 1.0F}}, {{"b", 1.0F}}, {{"a", 0.5F}, {"b", 1.0F}}, {{"a", -1.0F}}};
  std::vector<GenerationRequest> requests;
  std::vector<std::vector<int32_t>> expected;
  for (const auto& use : uses) {
    std::vector<Decoder::ActiveAdapter> active;
    for (const AdapterUse& one : use) active.push_back({adapters.at(one.name).get(), one.factor});
    model.decoder.set_adapters(active);
    const auto prompt = random_prompt(19, 5);  // the same prompt: caches must not mix
    expected.push_back(test::greedy_by_scoring(model.decoder, prompt, 15));
    requests.push_back(greedy(prompt, 15));
    requests.back().adapters = use;
    requests.back().ignore_eos = true;
  }
  EXPECT_EQ(std::set(expected.begin(), expected.end()).size(), uses.size());
  model.decoder.set_adapters({});
  Engine engine(model.decoder, nullptr, small_options());
  for (const auto& [name, adapter] : adapters) engine.add_adapter(name, adapter);
  for (int round = 0; round < 2; ++round) {
    const auto results = engine.generate(requests);
    for (size_t i = 0; i < uses.size(); ++i) EXPECT_EQ(results[i].samples[0].tokens, expected[i]) << i;
  }
  // A new adapter under an old name is another one.
  engine.add_adapter("a", adapters.at("b"));
  EXPECT_EQ(engine.generate(requests[1]).samples[0].tokens, expected[2]);
  EXPECT_TRUE(engine.remove_adapter("a"));
  EXPECT_FALSE(engine.remove_adapter("a"));
  EXPECT_EQ(engine.adapters(), std::vector<std::string>{"b"});
}

TEST(Engine, AJobMayChangeTheWeights) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, small_options());
  const auto request = greedy(random_prompt(40, 5), 10);
  const auto before = tokens_of(engine.generate(request));
  engine.call([&](Decoder& decoder) {
    for (float& value : model.parameters.find("layers.0.q.weight")->value.flat<float>()) value *= -1.0F;
    decoder.weights_changed();
    engine.drop_prefix_cache();
  });
  const auto result = engine.generate(request);
  EXPECT_EQ(result.cached_tokens, 0);
  EXPECT_NE(tokens_of(result), before);
  Engine fresh(model.decoder, nullptr, small_options());
  EXPECT_EQ(tokens_of(result), tokens_of(fresh.generate(request)));
}

TEST(EngineThread, ServesManyThreads) {
  SmallModel model;
  std::vector<std::vector<std::vector<int32_t>>> alone;
  const auto requests = mixed_requests();
  for (const auto& request : requests) {
    Engine engine(model.decoder, test::byte_tokenizer(), small_options());
    alone.push_back(tokens_of(engine.generate(request)));
  }
  set_threads(2);
  Engine engine(model.decoder, test::byte_tokenizer(), small_options());
  EngineThread thread(engine);
  std::vector<std::thread> clients;
  std::atomic<int> right{0};
  for (size_t t = 0; t < 4; ++t) {
    clients.emplace_back([&, t] {
      for (size_t i = t; i < requests.size(); i += 4)
        right += tokens_of(thread.generate(requests[i])) == alone[i];
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(right, static_cast<int>(requests.size()));
}

}  // namespace
}  // namespace fettle
