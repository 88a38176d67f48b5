#include "generate/constrain/grammar.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "generate/constrain/json_schema.h"
#include "generate/constrain/token_grammar.h"
#include "generate/test_support.h"

namespace fettle {
namespace {

/// Whether the whole text is one of the grammar's, and whether its beginning is the beginning of one.
struct Verdict {
  bool whole, beginning;
};
Verdict read(const Grammar& grammar, std::string_view text) {
  GrammarAutomaton automaton(grammar);
  int32_t state = automaton.start();
  for (const char c : text) {
    state = automaton.next(state, static_cast<uint8_t>(c));
    if (state == GrammarAutomaton::dead) return {false, false};
  }
  return {automaton.accepts(state), true};
}
bool fits(const Grammar& grammar, std::string_view text) {
  return read(grammar, text).whole;
}
Grammar schema(const char* text) {
  return json_schema_grammar(OrderedJson::parse(text));
}
std::string refusal(const char* text) {
  try {
    schema(text);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Grammar, AnyObjectIsValidJsonAndNothingElseIs) {
  const Grammar object = json_object_grammar();
  for (const char* good :
       {"{}", R"({"a": 1, "b": [true, null, -0.5e+3], "c": {"d": "é\n\u00e9"}})", R"({"a":{"b":{}}})", " {}"})
    EXPECT_TRUE(fits(object, good)) << good;
  for (const char* bad :
       {"[]", "1", "{a:1}", R"({"a":01})", R"({"a":1,})", R"({"a" 1})", "{\"a\":\"\n\"}", R"({"a":"\x"})",
        "{\"a\":\"\xff\"}", R"({"a":1}})", R"({"a":"\ud800"})", R"({"a":.5})"})
    EXPECT_FALSE(fits(object, bad)) << bad;
  EXPECT_TRUE(read(object, R"({"a": [1, {"b)").beginning);
}

TEST(Grammar, SchemasKeywordByKeyword) {
  const Grammar person =
      schema(R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0},
      "tags":{"type":"array","items":{"enum":["a","b"]},"minItems":1,"maxItems":2}},"required":["name","age"],"additionalProperties":false})");
  EXPECT_TRUE(fits(person, R"({"name": "Ann", "age": 7})"));
  EXPECT_TRUE(fits(person, R"({"name":"Ann","age":7,"tags":["a","b"]})"));
  for (const char* bad :
       {R"({"name":"Ann"})", R"({"age":7,"name":"Ann"})", R"({"name":"Ann","age":-7})",
        R"({"name":"Ann","age":7.5})", R"({"name":"Ann","age":7,"x":1})",
        R"({"name":"Ann","age":7,"tags":[]})", R"({"name":"Ann","age":7,"tags":["a","b","a"]})",
        R"({"name":"Ann","age":7,"tags":["c"]})"})
    EXPECT_FALSE(fits(person, bad)) << bad;
  EXPECT_TRUE(fits(schema(R"({"anyOf":[{"type":"null"},{"const":{"x":1}}]})"), R"({"x":1})"));
  EXPECT_TRUE(fits(schema(R"({"type":["string","null"],"minLength":2,"maxLength":3})"), R"("éé")"));
  EXPECT_FALSE(fits(schema(R"({"type":"string","minLength":2,"maxLength":3})"), R"("abcd")"));
  const Grammar tree =
      schema(R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"number"},
      "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}})");
  EXPECT_TRUE(fits(tree, R"({"v":1,"next":{"v":2.5,"next":null}})"));
  EXPECT_FALSE(fits(tree, R"({"v":1,"next":{"v":2}})"));
  // Optional properties first: the comma belongs to whichever comes second.
  const Grammar optional = schema(
      R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"required":["b"]})");
  for (const char* good : {R"({"b":null})", R"({"a":null,"b":null})", R"({"b":null,"c":null})"})
    EXPECT_TRUE(fits(optional, good)) << good;
  for (const char* bad : {"{}", R"({,"b":null})", R"({"a":null})", R"({"a":null "b":null})"})
    EXPECT_FALSE(fits(optional, bad)) << bad;
}

TEST(Grammar, WhatASchemaCannotSayIsRefusedByName) {
  EXPECT_NE(refusal(R"({"type":"string","pattern":"a+"})").find("'pattern'"), std::string::npos);
  EXPECT_NE(
      refusal(R"({"type":"object","properties":{"a":{"type":"integer","maximum":9}}})").find("'maximum'"),
      std::string::npos);
  EXPECT_NE(refusal(R"({"$ref":"#/nowhere"})").find("leads nowhere"), std::string::npos);
  EXPECT_NE(refusal(R"({"$ref":"#"})").find("itself"), std::string::npos);
  EXPECT_NE(refusal(R"({"type":"text"})").find("'text'"), std::string::npos);
  EXPECT_NE(refusal(R"({"type":"object","properties":{},"required":["a"]})").find("required"),
            std::string::npos);
  EXPECT_NE(refusal(R"(false)"), "");
}

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
  const auto constraint = grammars.make("object", json_object_grammar);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    auto one = constraint->clone();
    std::string text;
    for (int step = 0; step < 24; ++step) {
      TokenSet allowed(vocabulary);
      one->allow(allowed);
      std::vector<int32_t> choices;
      for (int32_t token = 0; token < vocabulary; ++token) {
        const bool good = read(json_object_grammar(), text + tokenizer->bytes(token)).beginning &&
                          !tokenizer->bytes(token).empty();
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

}  // namespace
}  // namespace fettle
