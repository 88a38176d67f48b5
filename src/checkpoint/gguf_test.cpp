#include "checkpoint/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "checkpoint/test_support.h"

namespace fettle {
namespace {

template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(std::string_view value) {
  return raw<uint64_t>(value.size()) + std::string(value);
}
std::string header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(tensors) + raw(keys);
}
std::string tensor_info(std::string_view name, std::vector<uint64_t> sizes, uint32_t type, uint64_t offset) {
  std::string out = text(name) + raw<uint32_t>(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) out += raw(size);
  return out + raw(type) + raw(offset);
}
std::string padded(std::string bytes, size_t data) {
  bytes.resize((bytes.size() + 31) / 32 * 32 + data, '\0');
  return bytes;
}
std::string error_of(const std::string& bytes) {
  return error_text([&] { parse_gguf(bytes_of(bytes), "m.gguf"); });
}

GgufMetadata every_type() {
  return {
      {"general.architecture", GgufValue::text("llama")},
      {"u8", {GgufType::u8, {}, int64_t{200}}},
      {"i8", {GgufType::i8, {}, int64_t{-100}}},
      {"u16", {GgufType::u16, {}, int64_t{60000}}},
      {"i16", {GgufType::i16, {}, int64_t{-30000}}},
      {"u32", GgufValue::u32(4000000000)},
      {"i32", {GgufType::i32, {}, int64_t{-2000000000}}},
      {"u64", {GgufType::u64, {}, int64_t{-1}}},
      {"i64", {GgufType::i64, {}, int64_t{-5}}},
      {"f32", GgufValue::f32(0.1F)},
      {"f64", {GgufType::f64, {}, 0.1}},
      {"yes", GgufValue::boolean(true)},
      {"texts", GgufValue::texts({"a", "", "\xC3\xA9"})},
      {"numbers", GgufValue::f32s(std::vector<float>{1.5F, -2.0F})},
      {"bytes", {GgufType::array, GgufType::u8, GgufValue::Integers{0, 255}}},
      {"nested",
       {GgufType::array, GgufType::array, GgufValue::Nested{GgufValue::i32s(std::vector<int32_t>{1, 2})}}}};
}

TEST(Gguf, WrittenIsReadBack) {
  const TemporaryFolder folder;
  std::vector<float> weights(128);
  std::iota(weights.begin(), weights.end(), -60.0F);
  const fs::path file = folder.path() / "a.gguf";
  const Tensor matrix(weights.data(), DType::f32, 4, 32);
  write_gguf(file, every_type(),
             {tensor_to_write("norm", Tensor(weights.data(), DType::f32, 1, 5), DType::f32, {5}),
              tensor_to_write("w", matrix, DType::q8_0), tensor_to_write("h", matrix, DType::f16)});
  const Gguf read = open_gguf(file);
  EXPECT_EQ(read.version, 3U);
  ASSERT_EQ(read.metadata.size(), every_type().size());
  for (size_t i = 0; i < read.metadata.size(); ++i) {
    EXPECT_EQ(read.metadata[i].first, every_type()[i].first);
    EXPECT_EQ(read.metadata[i].second.type, every_type()[i].second.type);
    if (read.metadata[i].first != "nested" && read.metadata[i].first != "f32") {
      EXPECT_TRUE(read.metadata[i].second.value.index() == every_type()[i].second.value.index());
    }
  }
  const Json scalars = read.scalars();
  EXPECT_EQ(scalars["u32"], 4000000000);
  EXPECT_EQ(scalars["i16"], -30000);
  EXPECT_EQ(scalars["u64"], UINT64_MAX);
  EXPECT_EQ(scalars["yes"], true);
  EXPECT_EQ(scalars["f32"].get<float>(), 0.1F);
  EXPECT_EQ(scalars["general.architecture"], "llama");
  EXPECT_FALSE(scalars.contains("texts"));
  EXPECT_EQ(std::get<GgufValue::Texts>(read.find("texts")->value)[2], "\xC3\xA9");
  EXPECT_EQ(read.tensors.require("w", "").shape, (std::vector<int64_t>{4, 32}));
  EXPECT_EQ(read.tensors.require("w", "").type, "Q8_0");
  EXPECT_EQ(read.tensors.require("norm", "").elements(), 5);
  EXPECT_EQ(std::memcmp(read.tensors.find("norm")->bytes.data(), weights.data(), 20), 0);
}

TEST(Gguf, VocabularyGoesThereAndBack) {
  GgufVocabulary v;
  v.model = "llama";
  v.pre = "default";
  v.tokens = {"<unk>", "<s>", "</s>", "\xE2\x96\x81"};
  v.scores = {0, 0, 0, -1.25F};
  v.token_types = {2, 3, 3, 1};
  v.merges = {"a b"};
  v.bos = 1;
  v.eos = 2;
  v.unk = 0;
  v.add_bos = true;
  v.add_space_prefix = false;
  v.chat_template = "{{ x }}";
  v.named_templates = {{"tool_use", "{{ tools }}"}, {"rag-2", "{{ documents }}"}};
  const TemporaryFolder folder;
  GgufMetadata metadata;
  add_vocabulary(metadata, v);
  write_gguf(folder.path() / "v.gguf", metadata, {});
  const auto read = gguf_vocabulary(open_gguf(folder.path() / "v.gguf")).value();
  EXPECT_EQ(read.tokens, v.tokens);
  EXPECT_EQ(read.scores, v.scores);
  EXPECT_EQ(read.token_types, v.token_types);
  EXPECT_EQ(read.merges, v.merges);
  EXPECT_EQ(read.bos, 1);
  EXPECT_EQ(read.pad, -1);
  EXPECT_EQ(read.add_bos, true);
  EXPECT_EQ(read.add_eos, std::nullopt);
  EXPECT_EQ(read.add_space_prefix, false);
  EXPECT_EQ(read.chat_template, v.chat_template);
  EXPECT_EQ(read.named_templates,
            (std::map<std::string, std::string>{{"tool_use", "{{ tools }}"}, {"rag_2", "{{ documents }}"}}));
  EXPECT_EQ(std::get<GgufValue::Texts>(open_gguf(folder.path() / "v.gguf").find("tokenizer.chat_templates")->value),
            (std::vector<std::string>{"rag_2", "tool_use"}));

  metadata[2].second = GgufValue::texts({"<unk>"});
  write_gguf(folder.path() / "v.gguf", metadata, {});
  EXPECT_NE(error_text([&] { gguf_vocabulary(open_gguf(folder.path() / "v.gguf")); }).find("1 tokens"),
            std::string::npos);
}

TEST(Gguf, EveryLieInTheHeaderIsNamed) {
  const std::string one = header(1, 0) + tensor_info("w", {32, 2}, 8, 0);
  EXPECT_EQ(error_of(padded(one, 68)), "");
  const auto key = [](std::string_view name, GgufType type, const std::string& value) {
    return text(name) + raw(static_cast<uint32_t>(type)) + value;
  };
  const std::vector<std::pair<std::string, std::string>> bad{
      {"GGML" + header(0, 0).substr(4), "does not begin"},
      {header(0, 0, 1), "version 1"},
      {header(0, 0, 9), "version 9"},
      {header(0, 0, 3U << 24), "big-endian"},
      {header(UINT64_MAX, 0), "can hold"},
      {header(0, UINT64_MAX), "can hold"},
      {header(0, 1) + raw<uint64_t>(UINT64_MAX) + "keykeykeykey", "cut short"},
      {header(0, 1) + key("a", static_cast<GgufType>(77), "xxxx"), "unknown type 77"},
      {header(0, 1) + key("a", GgufType::boolean, "\x05"), "boolean"},
      {header(0, 1) + key("a", GgufType::array, raw<uint32_t>(8) + raw<uint64_t>(1ULL << 60)), "more than"},
      {header(0, 1) + key("a", GgufType::array, raw<uint32_t>(6) + raw<uint64_t>(1ULL << 62) + "1234"),
       "more than"},
      {header(0, 2) + key("a", GgufType::u8, "1") + key("a", GgufType::u8, "1"), "twice"},
      {header(0, 1) + key("general.alignment", GgufType::u32, raw<uint32_t>(33)), "power of two"},
      {header(0, 1) + key("general.alignment", GgufType::u32, raw<uint32_t>(0)), "power of two"},
      {padded(one, 67), "cut short"},
      {padded(header(1, 0) + tensor_info("w", {32, 2}, 8, 16), 200), "alignment"},
      {padded(header(1, 0) + tensor_info("w", {32, 2}, 8, 1ULL << 63), 200), "cut short"},
      {padded(header(1, 0) + tensor_info("w", {33, 2}, 8, 0), 200), "impossible shape"},
      {padded(header(1, 0) + tensor_info("w", {1ULL << 62, 1ULL << 62}, 0, 0), 200), "impossible shape"},
      {padded(header(1, 0) + tensor_info("w", {UINT64_MAX}, 0, 0), 200), "a dimension"},
      {padded(header(1, 0) + tensor_info("w", {1, 1, 1, 1, 1}, 0, 0), 200), "5 dimensions"},
      {padded(header(1, 0) + tensor_info("w", {32}, 99, 0), 200), "unknown type 99"},
      {padded(header(2, 0) + tensor_info("w", {32}, 0, 0) + tensor_info("w", {32}, 0, 128), 256), "twice"},
      {padded(header(2, 0) + tensor_info("w", {32}, 0, 0) + tensor_info("v", {32}, 0, 64), 256), "overlap"},
  };
  for (const auto& [bytes, expected] : bad) {
    const std::string long_enough = bytes.size() < 24 ? bytes + std::string(24, '\0') : bytes;
    EXPECT_NE(error_of(long_enough).find(expected), std::string::npos)
        << expected << ": " << error_of(long_enough);
  }
  std::string deep = text("a") + raw<uint32_t>(9);
  for (int i = 0; i < 2000; ++i) deep += raw<uint32_t>(9) + raw<uint64_t>(1);
  EXPECT_NE(error_of(header(0, 1) + deep).find("nests"), std::string::npos);
}

TEST(Gguf, EveryCutOfAFileIsAnError) {
  const TemporaryFolder folder;
  std::vector<float> weights(32, 1.0F);
  write_gguf(folder.path() / "a.gguf", every_type(),
             {tensor_to_write("w", Tensor(weights.data(), DType::f32, 1, 32), DType::f32)});
  const std::string good = read_file(folder.path() / "a.gguf");
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_NE(error_of(good.substr(0, length)), "") << length;
}

TEST(Gguf, TypesWithoutArithmeticAreNamedOnUse) {
  const std::string bytes = padded(header(1, 0) + tensor_info("w", {256}, 23, 0), 136);
  const Gguf read = parse_gguf(bytes_of(bytes), "m.gguf");
  EXPECT_NE(error_text([&] { read.tensors.all()[0].view("m.gguf"); }).find("IQ4_XS"), std::string::npos);
}

}  // namespace
}  // namespace fettle
