// Loading tokenizers from folders, and what is said of broken ones.
#include "text/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "text/tokenizer/normalizer.h"

namespace fettle {
namespace {

Json small() {
  return Json::parse(R"({
    "version": "1.0",
    "added_tokens": [{"id": 6, "content": "<s>", "special": true}, {"id": 7, "content": "</s>", "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5},
              "merges": ["a b", ["ab", "c"]]}})");
}

std::string error_of(const Json& json) {
  try {
    Tokenizer::from_json(json.dump(), "tokenizer.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// The error after `key` (a JSON pointer) was set to `value`.
std::string error_with(const char* key, const Json& value) {
  Json json = small();
  json[Json::json_pointer(key)] = value;
  return error_of(json);
}

TEST(Tokenizer, MergesInOrder) {
  const auto tokenizer = Tokenizer::from_json(small().dump(), "small");
  EXPECT_EQ(tokenizer->encode("abcab"), (std::vector<int32_t>{5, 4}));
  EXPECT_EQ(tokenizer->encode("axbc"), (std::vector<int32_t>{1, 0, 2, 3}));
  EXPECT_EQ(tokenizer->size(), 8);
  EXPECT_EQ(tokenizer->token(5), "abc");
  EXPECT_EQ(tokenizer->token(99), "");
  EXPECT_EQ(tokenizer->id("</s>"), 7);
  EXPECT_EQ(tokenizer->id("none"), std::nullopt);
  EXPECT_EQ(tokenizer->unk(), 0);
  const std::vector<int32_t> odd{5, -1, 99, 7, 1};
  EXPECT_EQ(tokenizer->decode(odd), "abca");
  EXPECT_EQ(tokenizer->decode(odd, false), "abc</s>a");
}

TEST(Tokenizer, BrokenFilesNameTheFault) {
  EXPECT_EQ(error_with("/model/merges", {"a b", "ab d"}),
            "tokenizer.json: model.merges[1] joins 'ab' and 'd', but 'd' is not in model.vocab; the file is damaged "
            "or was edited");
  EXPECT_EQ(error_with("/model/merges", {"b c"}),
            "tokenizer.json: model.merges[0] joins 'b' and 'c', but 'bc' is not in model.vocab; the file is damaged "
            "or was edited");
  EXPECT_EQ(error_with("/model/merges/0", "a b c"),
            "tokenizer.json: model.merges[0] must be two tokens, got \"a b c\"");
  EXPECT_EQ(error_with("/model/merges/0", 3), "tokenizer.json: model.merges[0] must be two tokens, got 3");
  EXPECT_EQ(error_with("/model/merges", nullptr), "tokenizer.json: key 'model.merges' must be a list");
  EXPECT_EQ(error_with("/model/vocab/abc", 4), "tokenizer.json: model.vocab gives id 4 to both 'ab' and 'abc'");
  EXPECT_EQ(error_with("/model/vocab/abc", -4),
            "tokenizer.json: token 'abc' has id -4, expected 0 to 65559 for a vocabulary of 6 entries");
  EXPECT_EQ(error_with("/model/vocab/abc", 2'000'000'000),
            "tokenizer.json: token 'abc' has id 2000000000, expected 0 to 65559 for a vocabulary of 6 entries");
  EXPECT_EQ(error_with("/model/vocab", Json::object()), "tokenizer.json: model.vocab is empty");
  EXPECT_EQ(error_with("/model/unk_token", "!"), "tokenizer.json: model.unk_token '!' is not in model.vocab");
  EXPECT_EQ(error_with("/model/type", "WordPiece"),
            "tokenizer.json: model of type 'WordPiece' is not supported; expected BPE or Unigram");
  EXPECT_EQ(error_with("/added_tokens/0/id", 3),
            "tokenizer.json: added token '<s>' has id 3, which model.vocab gives to 'c'");
  EXPECT_EQ(error_with("/added_tokens/0/id", 7), "tokenizer.json: added tokens '<s>' and '</s>' share the id 7");
  EXPECT_EQ(error_with("/normalizer", {{"type", "Magic"}}),
            "tokenizer.json: normalizer: the type 'Magic' is not supported");
  EXPECT_EQ(error_with("/pre_tokenizer", {{"type", "Magic"}}),
            "tokenizer.json: pre_tokenizer: the type 'Magic' is not supported");
  EXPECT_EQ(error_with("/decoder", {{"type", "Metaspace"}, {"replacement", ""}}),
            "tokenizer.json: decoder: Metaspace needs a replacement");
  EXPECT_EQ(error_with("/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", ""}}),
            "tokenizer.json: pre_tokenizer: Metaspace needs a replacement");
  EXPECT_EQ(error_with("/decoder", {{"type", "Magic"}}), "tokenizer.json: decoder: the type 'Magic' is not supported");
  EXPECT_NE(error_with("/pre_tokenizer", Json::parse(R"({"type": "Split", "pattern": {"Regex": "(a"},
                                                         "behavior": "Isolated", "invert": false})"))
                .find("pattern '(a' is not valid at offset 2"),
            std::string::npos);
  EXPECT_NE(error_with("/post_processor", Json::parse(R"({"type": "RobertaProcessing", "cls": ["<s>", 99],
                                                          "sep": ["</s>", 7]})"))
                .find("post_processor adds id 99, which no token has"),
            std::string::npos);
  EXPECT_EQ(error_of(Json::array()), "tokenizer.json: a tokenizer.json must be an object");
  Json without = small();
  without.erase("model");
  EXPECT_EQ(error_of(without), "tokenizer.json: key 'model' is missing");
}

TEST(Tokenizer, BrokenUnigramsNameTheFault) {
  const auto error = [](const char* model) { return error_with("/model", Json::parse(model)); };
  EXPECT_EQ(error(R"({"type": "Unigram", "unk_id": 2, "vocab": [["a", -1.0], ["b", -2.0]]})"),
            "tokenizer.json: model.unk_id is 2, but model.vocab has 2 tokens");
  EXPECT_EQ(error(R"({"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0], ["a", -2.0]]})"),
            "tokenizer.json: model.vocab has 'a' twice, at 0 and 1");
  EXPECT_EQ(error(R"({"type": "Unigram", "unk_id": 0, "vocab": [["a"]]})"),
            "tokenizer.json: model.vocab[0] must be [token, score], got [\"a\"]");
  // Without an unknown piece the text is at fault, not the file.
  Json json = small();
  json["model"] = Json::parse(R"({"type": "Unigram", "unk_id": null, "vocab": [["a", -1.0]]})");
  json["added_tokens"] = Json::array();
  const auto tokenizer = Tokenizer::from_json(json.dump(), "unigram");
  EXPECT_EQ(tokenizer->encode("aa"), (std::vector<int32_t>{0, 0}));
  EXPECT_THROW(tokenizer->encode("ab"), Error);
}

TEST(Tokenizer, GgufVocabulariesThatLie) {
  GgufVocabulary good;
  good.model = "gpt2";
  good.pre = "gpt-2";
  good.tokens = {"a", "b", "ab"};
  good.merges = {"a b"};
  const auto error = [&](const std::function<void(GgufVocabulary&)>& change) -> std::string {
    GgufVocabulary vocabulary = good;
    change(vocabulary);
    try {
      Tokenizer::from_gguf(vocabulary, "m.gguf");
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error([](auto&) {}), "no error");
  good.named_templates = {{"tool_use", "{{ tools }}"}};
  EXPECT_EQ(Tokenizer::from_gguf(good, "m.gguf")->named_templates().at("tool_use"), "{{ tools }}");
  EXPECT_EQ(Tokenizer::from_gguf(good, "m.gguf")->to_gguf().named_templates, good.named_templates);
  good.named_templates.clear();
  EXPECT_EQ(error([](auto& v) { v.merges = {"a c"}; }),
            "m.gguf: model.merges[0] joins 'a' and 'c', but 'c' is not in model.vocab; the file is damaged or was edited");
  EXPECT_EQ(error([](auto& v) { v.merges = {"ab"}; }),
            "m.gguf: tokenizer.ggml.merges has 'ab', expected two tokens");
  EXPECT_EQ(error([](auto& v) { v.eos = 3; }), "m.gguf: tokenizer.ggml.eos_token_id is 3, but there are 3 tokens");
  EXPECT_EQ(error([](auto& v) { v.token_types = {1}; }),
            "m.gguf: tokenizer.ggml.token_type has 1 entries, tokenizer.ggml.tokens 3");
  EXPECT_EQ(error([](auto& v) { v.pre = "qwen"; }).rfind("m.gguf: tokenizer.ggml.pre 'qwen' is not known", 0), 0u);
  EXPECT_EQ(error([](auto& v) { v.model = "bert"; }),
            "m.gguf: tokenizer.ggml.model 'bert' is not supported; expected gpt2 or llama");
  EXPECT_EQ(error([](auto& v) { v.model = "llama"; }),
            "m.gguf: tokenizer.ggml.scores is missing; the model 'llama' needs it");
  EXPECT_EQ(error([](auto& v) { v.tokens.clear(); }), "m.gguf: tokenizer.ggml.tokens is empty");
}

// A character map of one entry: at offset 0 of the root is the first byte of the key, and so on; damaged ones must not cut characters.
std::string one_byte_map(uint8_t key, const std::string& replacement) {
  std::vector<uint32_t> units(1024, 0);
  units[0] = 512u << 10;
  units[512 ^ key] = key | 1u << 8 | 256u << 10;
  units[512 ^ key ^ 256] = 1u << 31;
  std::string bytes(4 + units.size() * 4, '\0');
  const auto size = static_cast<uint32_t>(units.size() * 4);
  std::memcpy(bytes.data(), &size, 4);
  std::memcpy(bytes.data() + 4, units.data(), size);
  return bytes + replacement + '\0';
}

TEST(Tokenizer, CharacterMapsNeverCutCharacters) {
  const auto normalized = [](uint8_t key, const std::string& replacement, std::string_view text) {
    const auto normalizer = make_precompiled(one_byte_map(key, replacement), "map");
    AlignedText aligned(text, 0, false);
    normalizer->apply(aligned);
    return std::string(aligned.view());
  };
  EXPECT_EQ(normalized('a', "xy", "ab\u00e9"), "xyb\u00e9");
  EXPECT_EQ(normalized('a', "\xe6", "ab"), "ab");            // no whole character
  EXPECT_EQ(normalized(0xc3, "x", "\u00e9"), "\u00e9");      // the first byte of a character
  EXPECT_THROW(make_precompiled("abc", "map"), Error);
  EXPECT_THROW(make_precompiled(std::string_view("\x10\0\0\0abcd", 8), "map"), Error);
}

class TokenizerFolder : public ::testing::Test {
 protected:
  void write(const char* name, std::string_view text) { write_file(folder_ / name, text); }
  TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

TEST_F(TokenizerFolder, TakesNamesAndTemplateFromTheConfig) {
  write("tokenizer.json", small().dump());
  write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false},
                                     "pad_token": "missing", "chat_template": "{{ x }}"})");
  const auto tokenizer = Tokenizer::open(folder_);
  EXPECT_EQ(tokenizer->bos(), 6);
  EXPECT_EQ(tokenizer->eos(), 7);
  EXPECT_EQ(tokenizer->pad(), -1);
  EXPECT_EQ(tokenizer->chat_template(), "{{ x }}");
  // What is written again opens again, the same.
  write("tokenizer.json", tokenizer->to_json());
  write("tokenizer_config.json", dump_json(tokenizer->config_json()));
  const auto again = Tokenizer::from_folder(folder_);
  EXPECT_EQ(again->eos(), 7);
  EXPECT_EQ(again->encode("abcab</s>", {false, true}), (std::vector<int32_t>{5, 4, 7}));
  // A file of its own goes before the config's template.
  write("chat_template.jinja", "{{ y }}");
  EXPECT_EQ(Tokenizer::from_folder(folder_)->chat_template(), "{{ y }}");
}

TEST_F(TokenizerFolder, NamedTemplatesAndSpecialTokensMap) {
  write("tokenizer.json", small().dump());
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "t"},
                                                       {"name": "default", "template": "d"}]})");
  write("special_tokens_map.json", R"({"eos_token": "</s>"})");
  const auto tokenizer = Tokenizer::from_folder(folder_);
  EXPECT_EQ(tokenizer->chat_template(), "d");
  EXPECT_EQ(tokenizer->eos(), 7);
}

TEST_F(TokenizerFolder, EmptyAndBrokenFolders) {
  EXPECT_THROW(Tokenizer::from_folder(folder_), Error);
  write("tokenizer.json", "{\"model\": ");
  EXPECT_THROW(Tokenizer::from_folder(folder_), Error);
  write("tokenizer.json", small().dump());
  write("tokenizer_config.json", "[]");
  EXPECT_THROW(Tokenizer::from_folder(folder_), Error);
  write("notes.txt", "x");
  EXPECT_THROW(Tokenizer::open(folder_ / "notes.txt"), Error);
}

/// A normalizer of some hundred bytes that would make gigabytes of a short text.
TEST(Tokenizer, WhatNormalizersMakeIsBounded) {
  const auto refusal = [](const Json& normalizer) -> std::string {
    Json json = small();
    json["normalizer"] = normalizer;
    try {
      Tokenizer::from_json(json.dump(), "tokenizer.json")->encode("banana");
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  for (const char* kind : {"Regex", "String"}) {
    Json stages = Json::array();
    for (int i = 0; i < 40; ++i) stages.push_back({{"type", "Replace"}, {"pattern", {{kind, "a"}}}, {"content", "aaaaaaaa"}});
    EXPECT_NE(refusal({{"type", "Sequence"}, {"normalizers", stages}}).find("its file is broken"), std::string::npos) << kind;
  }
  EXPECT_NE(refusal({{"type", "Prepend"}, {"prepend", std::string(100000, 'x')}}).find("its file is broken"), std::string::npos);
  EXPECT_EQ(refusal({{"type", "NFKD"}}), "");
}

}  // namespace
}  // namespace fettle
