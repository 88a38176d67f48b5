#include "generate/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "generate/engine_test_support.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

using test::greedy;
using test::message_of;
using test::random_prompt;
using test::small_options;
using test::SmallModel;

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

}  // namespace
}  // namespace fettle
