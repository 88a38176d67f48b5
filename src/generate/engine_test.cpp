#include "generate/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "generate/engine_test_support.h"

namespace fettle {
namespace {

using test::greedy;
using test::random_prompt;
using test::small_options;
using test::SmallModel;
using test::tokens_of;

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

TEST(Engine, AJobRunsBetweenTwoSteps) {
  SmallModel model;
  Engine engine(model.decoder, nullptr, small_options());
  const auto request = greedy(random_prompt(40, 5), 10);
  const auto before = tokens_of(engine.generate(request));
  std::vector<int32_t> found;
  engine.call([&](Decoder& decoder) { found = test::greedy_by_scoring(decoder, random_prompt(40, 5), 10); });
  EXPECT_EQ(tokens_of(engine.generate(request)), before);
  EXPECT_EQ(found, before[0]);
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
