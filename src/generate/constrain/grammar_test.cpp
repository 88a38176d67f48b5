#include "generate/constrain/grammar.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "generate/constrain/grammar_test_support.h"
#include "generate/constrain/json_schema.h"
#include "generate/constrain/token_grammar.h"
#include "generate/test_support.h"

namespace fettle {
namespace {

using test::any_object;
using test::read;

/// A vocabulary whose tokens overlap as real ones do.
std::shared_ptr<const Tokenizer> overlapping() {
  OrderedJson vocabulary;
  int32_t id = 0;
  for (const char* token : {"<unk>", "{", "}",    "{\"", "\"", "\":", "a", "ab", "abc", "\"a", "1",
                            "12",    ",", "true", "t",   "r",  "u",   "e", "}}", "[",   "]"})
    vocabulary[token] = id++;
  OrderedJson json = OrderedJson::parse(test::byte_tokenizer()->to_json());
  json["model"] = {{"type", "BPE"},
                   {"unk_token", "<unk>"},
                   {"byte_fallback", false},
                   {"vocab", vocabulary},
                   {"merges", OrderedJson::array()}};
  json["decoder"] = {{"type", "Fuse"}};
  json["added_tokens"] = OrderedJson::array();
  return Tokenizer::from_json(json.dump(), "overlapping");
}

TEST(TokenGrammar, AllowsExactlyTheTokensThatKeepTheTextABeginning) {
  const auto tokenizer = overlapping();
  const int32_t vocabulary = tokenizer->size();
  TokenGrammars grammars(*tokenizer, vocabulary, {});
  const auto constraint = grammars.make("object", any_object);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    auto one = constraint->clone();
    std::string text;
    for (int step = 0; step < 24; ++step) {
      TokenSet allowed(vocabulary);
      one->allow(allowed);
      std::vector<int32_t> choices;
      for (int32_t token = 0; token < vocabulary; ++token) {
        const bool good =
            read(any_object(), text + tokenizer->bytes(token)).beginning && !tokenizer->bytes(token).empty();
        EXPECT_EQ(allowed.has(token), good) << text << " + " << tokenizer->bytes(token);
        if (good) choices.push_back(token);
      }
      if (choices.empty()) break;
      const int32_t token = choices[Random(seed, static_cast<uint64_t>(step)).below(choices.size())];
      one->accept(token);
      text += tokenizer->bytes(token);
    }
  }
}

TEST(TokenGrammar, AModelThatDrawsAtRandomWritesInstancesOfTheSchema) {
  test::SmallModel model;
  const auto tokenizer = test::byte_tokenizer();
  TokenGrammars grammars(*tokenizer, test::byte_vocabulary, {2});
  const OrderedJson wanted = OrderedJson::parse(
      R"({"type":"object","properties":{"n":{"type":"integer"},"ok":{"type":"boolean"},"s":{"type":"string","maxLength":4}},"required":["n","ok","s"]})");
  Engine engine(model.decoder, tokenizer);
  for (uint64_t seed = 0; seed < 12; ++seed) {
    GenerationRequest request = test::greedy({1, 70, 71}, 150);
    request.sampling.temperature = 1.5F;
    request.sampling.seed = seed;
    request.constraint = grammars.make("wanted", [&] { return json_schema_grammar(wanted); });
    const GenerationSample sample = engine.generate(std::move(request)).samples[0];
    EXPECT_EQ(sample.finish, FinishReason::stop) << sample.text;
    const Json json = Json::parse(sample.text, nullptr, false);
    ASSERT_TRUE(json.is_object()) << sample.text;
    EXPECT_TRUE(json.at("n").is_number_integer() && json.at("ok").is_boolean() && json.at("s").is_string())
        << sample.text;
    EXPECT_EQ(json.size(), 3u);
  }
}

TEST(TokenGrammar, NoEndBeforeTheLeastNumberOfTokens) {
  TokenSet allowed(10);
  auto least = at_least_tokens(2, {2, -1, 99}, 10, nullptr)->clone();
  for (int step = 0; step < 3; ++step) {
    allowed.clear();
    least->allow(allowed);
    EXPECT_EQ(allowed.has(2), step == 2);
    EXPECT_TRUE(allowed.has(3));
    least->accept(3);
  }
}

TEST(TokenGrammar, OnlyTheSpecialTokensThatAGrammarMaySpell) {
  const auto tokenizer = test::byte_tokenizer();
  const auto spelt = [&](const std::vector<std::string>& written) {
    TokenGrammars grammars(*tokenizer, test::byte_vocabulary, {}, written);
    TokenSet allowed(test::byte_vocabulary);
    grammars.make("x", [] { return pattern_grammar("<s>a"); })->clone()->allow(allowed);
    return allowed.has(1);
  };
  EXPECT_TRUE(spelt({"<s>"}));
  EXPECT_FALSE(spelt({}));
}

/// Two arrays that read alike: the number of ways doubles with every bracket.
TEST(Grammar, AmbiguityIsBounded) {
  GrammarAutomaton automaton(test::schema(
      R"({"$defs":{"a":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/a"},"maxItems":1},{"type":"array","items":{"$ref":"#/$defs/a"},"maxItems":2}]}},"$ref":"#/$defs/a"})"));
  int32_t state = automaton.start();
  EXPECT_NE(test::refusal([&] {
              for (int i = 0; i < 60; ++i) state = automaton.next(state, '[');
            }).find("in too many ways"),
            std::string::npos);
}

}  // namespace
}  // namespace fettle
