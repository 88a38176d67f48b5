#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "base/json.h"
#include "checkpoint/test_support.h"

namespace fettle {
namespace {

std::string file_of(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + std::string(data_bytes, '\1');
}

std::string error_of(const std::string& bytes) {
  return error_text([&] { parse_safetensors(bytes_of(bytes), "m.safetensors"); });
}

TEST(Safetensors, WrittenIsReadBack) {
  const TemporaryFolder folder;
  std::vector<float> weights(12);
  std::iota(weights.begin(), weights.end(), -3.0F);
  std::vector<uint8_t> bytes{1, 2, 3};
  const Tensor matrix(weights.data(), DType::f32, 3, 4), vector(bytes.data(), DType::u8, 1, 3);
  const fs::path file = folder.path() / "a.safetensors";
  write_safetensors(
      file, {tensor_to_write("odd", vector, DType::u8, {3}), tensor_to_write("half", matrix, DType::bf16),
             tensor_to_write("full", matrix, DType::f32, {3, 2, 2})});
  const Safetensors read = open_safetensors(file);
  EXPECT_EQ(read.metadata, (SafetensorsMetadata{{"format", "pt"}}));
  ASSERT_EQ(read.tensors.all().size(), 3U);
  const StoredTensor& full = read.tensors.require("full", read.where);
  EXPECT_EQ(full.shape, (std::vector<int64_t>{3, 2, 2}));
  EXPECT_TRUE(full.aligned());
  EXPECT_EQ(std::memcmp(full.bytes.data(), weights.data(), 48), 0);
  EXPECT_EQ(read.tensors.find("half")->dtype, DType::bf16);
  EXPECT_EQ(read.tensors.find("odd")->rows(), 1);
  EXPECT_EQ(read.tensors.find("none"), nullptr);
  EXPECT_NE(error_text([&] { read.tensors.require("ful", read.where); }).find("'full'"), std::string::npos);
}

TEST(Safetensors, AStridedViewIsWrittenDense) {
  const TemporaryFolder folder;
  std::vector<float> weights(12);
  std::iota(weights.begin(), weights.end(), 0.0F);
  const Tensor left = Tensor(weights.data(), DType::f32, 3, 4).col_slice(1, 3);
  write_safetensors(folder.path() / "a", {tensor_to_write("w", left, DType::f32)}, {});
  const Safetensors read = open_safetensors(folder.path() / "a");
  const float expected[] = {1, 2, 5, 6, 9, 10};
  EXPECT_EQ(std::memcmp(read.tensors.all()[0].bytes.data(), expected, sizeof expected), 0);
}

TEST(Safetensors, ShardsAndTheirIndex) {
  const TemporaryFolder folder;
  std::vector<float> weights(64, 2.5F);
  std::vector<TensorToWrite> tensors;
  for (int i = 0; i < 5; ++i)
    tensors.push_back(tensor_to_write(fmt::format("w{}", i), {weights.data(), DType::f32, 8, 8}, DType::f32));
  write_model_safetensors(folder.path(), std::move(tensors), 600);
  EXPECT_TRUE(fs::exists(folder.path() / "model-00003-of-00003.safetensors"));
  const fs::path index = folder.path() / "model.safetensors.index.json";
  EXPECT_EQ(read_json(index)["metadata"]["total_size"], 5 * 256);
  EXPECT_EQ(open_sharded_safetensors(index).tensors.all().size(), 5U);

  Json json = read_json(index);
  json["weight_map"]["w0"] = "../secret";
  write_file(index, dump_json(json));
  EXPECT_NE(error_text([&] { open_sharded_safetensors(index); }).find("beside the index"), std::string::npos);
  json["weight_map"]["w0"] = "model-00009-of-00003.safetensors";
  write_file(index, dump_json(json));
  EXPECT_NE(error_text([&] { open_sharded_safetensors(index); }).find("not there"), std::string::npos);
  json["weight_map"]["w0"] = "model-00003-of-00003.safetensors";
  write_file(index, dump_json(json));
  EXPECT_NE(error_text([&] { open_sharded_safetensors(index); }).find("'w0' is missing"), std::string::npos);
}

TEST(Safetensors, EveryLieInTheHeaderIsNamed) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(error_of(file_of(good, 8)), "");
  const std::vector<std::pair<std::string, std::string>> bad{
      {file_of(good, 7), "cut short"},
      {file_of(good, 9), "after its last tensor"},
      {"abc", "too few"},
      {std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 8), "no safetensors file"},
      {file_of(good, 0).substr(0, 20), "cut short"},
      {file_of("[1]", 0), "does not begin"},
      {file_of(R"({"a":)", 0), "not JSON"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "lacks"},
      {file_of(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8), "unknown dtype 'F33'"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 8), "takes 8 bytes"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "say otherwise"},
      {file_of(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), "negative"},
      {file_of(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8),
       "impossible shape"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
           8),
       "overlap"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})",
           16),
       "hole"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
           16),
       "'a' is there twice"},
      {file_of(R"({"a":[[[[1]]]]})", 0), "a list"},
      {file_of(R"({"a":{"dtype":"F32","shape":{"x":1},"data_offsets":[0,8]}})", 8), "an object"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", 8), "fraction"},
  };
  for (const auto& [bytes, expected] : bad)
    EXPECT_NE(error_of(bytes).find(expected), std::string::npos) << expected << ": " << error_of(bytes);
}

TEST(Safetensors, TypesWithoutArithmeticAreReadAndNamedOnUse) {
  const std::string bytes = file_of(R"({"mask":{"dtype":"BOOL","shape":[2,2],"data_offsets":[0,4]}})", 4);
  const Safetensors read = parse_safetensors(bytes_of(bytes), "m");
  EXPECT_EQ(read.tensors.all()[0].dtype, std::nullopt);
  EXPECT_NE(error_text([&] { read.tensors.all()[0].view("m"); }).find("BOOL"), std::string::npos);
}

TEST(Safetensors, EveryCutOfAFileIsAnError) {
  const std::string good = file_of(R"({"a":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}})", 6);
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_NE(error_of(good.substr(0, length)), "") << length;
}

}  // namespace
}  // namespace fettle
