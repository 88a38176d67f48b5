#include "checkpoint/load.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>

#include "checkpoint/export.h"
#include "checkpoint/gguf.h"
#include "checkpoint/llama2c.h"
#include "checkpoint/peft.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/save.h"
#include "checkpoint/test_support.h"
#include "checkpoint/weight_difference.h"
#include "kernels/quant.h"
#include "model/decoder.h"
#include "model/families/families.h"

namespace fettle {
namespace {

const fs::path golden = "tests/golden/checkpoint";

/// Log-probability of each token after the first.
std::vector<float> logps(LoadedModel& model, const std::vector<int32_t>& ids) {
  const auto backend = make_cpu_backend();
  Decoder decoder(model.config, model.parameters, *backend);
  if (model.adapter) decoder.set_adapters({{&*model.adapter, 1.0F}});
  Batch batch;
  append_sequence(batch, ids);
  std::vector<float> result(batch.labels.size());
  decoder.score(batch, result);
  return result;
}

void expect_near(const std::vector<float>& found, const Json& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i].get<double>(), 2e-5) << i;
}

/// Every tensor of two safetensors files, bit for bit.
void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const Safetensors x = open_safetensors(a), y = open_safetensors(b);
  ASSERT_EQ(x.tensors.all().size(), y.tensors.all().size());
  for (const StoredTensor& tensor : x.tensors.all()) {
    const StoredTensor& other = y.tensors.require(tensor.name, y.where);
    EXPECT_EQ(tensor.shape, other.shape) << tensor.name;
    ASSERT_EQ(tensor.bytes.size(), other.bytes.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(tensor.bytes.data(), other.bytes.data(), tensor.bytes.size()), 0) << tensor.name;
  }
}

TEST(Load, AFolderOfTransformersGivesItsLogProbabilities) {
  LoadedModel model = load_model(golden / "hf");
  EXPECT_EQ(model.format, ModelFormat::hf);
  EXPECT_EQ(model.dtype, DType::bf16);
  EXPECT_EQ(model.eos, std::vector<int32_t>{2});
  EXPECT_EQ(model.tokenizer, nullptr);
  const Json expected = read_json(golden / "expected.json");
  expect_near(logps(model, expected["ids"]), expected["logps"]);
}

TEST(Load, AGgufOfTheSameModelIsTheSameModel) {
  LoadedModel model = load_model(golden / "model.gguf");
  EXPECT_EQ(model.format, ModelFormat::gguf);
  EXPECT_EQ(model.dtype, DType::f16);
  const Json expected = read_json(golden / "expected.json");
  expect_near(logps(model, expected["ids"]), expected["logps"]);
  const TemporaryFolder folder;
  save_hf(folder.path() / "hf", to_save(model), DType::bf16);
  expect_same_tensors(folder.path() / "hf" / "model.safetensors", golden / "hf" / "model.safetensors");
}

TEST(Load, ATokenizerOfAnotherModelIsRefused) {
  // 50000 tokens for the golden model's 40.
  const TemporaryFolder folder;
  std::string bytes("\x10\0\0\0", 4);  // the longest token
  for (int i = 0; i < 50000; ++i) {
    const std::string token = i < 3 || i >= 259 ? "t" + std::to_string(i) : fmt::format("<0x{:02X}>", i - 3);
    const float score = -static_cast<float>(i);
    const auto length = static_cast<int32_t>(token.size());
    bytes.append(reinterpret_cast<const char*>(&score), 4).append(reinterpret_cast<const char*>(&length), 4).append(token);
  }
  write_file(folder.path() / "tokenizer.bin", bytes);
  LoadOptions options;
  options.tokenizer = folder.path() / "tokenizer.bin";
  try {
    load_model(golden / "hf", options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("50000 tokens, the model 40"), std::string::npos) << error.what();
  }
}

TEST(Load, MatricesOfAFileAreViewsOfIt) {
  LoadedModel model = load_model(golden / "hf");
  const MappedFile file(golden / "hf" / "model.safetensors");
  int64_t views = 0;
  for (const auto& parameter : model.parameters.all()) {
    EXPECT_EQ(parameter->value.dtype, parameter->value.rows == 1 ? DType::f32 : DType::bf16)
        << parameter->name;
    views += parameter->value.rows > 1;
  }
  EXPECT_EQ(views, 16);
}

TEST(Load, AnAdapterOfPeftOpensItsBaseAndGivesItsLogProbabilities) {
  LoadedModel model = load_model(golden / "adapter");
  ASSERT_TRUE(model.adapter.has_value());
  EXPECT_EQ(model.adapter_path, golden / "adapter");
  EXPECT_EQ(model.adapter->config.rank, 3);
  const Json expected = read_json(golden / "expected.json");
  expect_near(logps(model, expected["ids"]), expected["adapted_logps"]);

  const TemporaryFolder folder;
  ExportOptions options;
  options.dtype = DType::f32;
  options.output = folder.path() / "merged";
  EXPECT_EQ(export_model(model, options), DType::f32);
  LoadedModel merged = load_model(options.output);
  expect_near(logps(merged, expected["ids"]), expected["adapted_logps"]);
  const ExportCheck check = check_export(model, options.output, expected["ids"].get<std::vector<int32_t>>());
  EXPECT_EQ(check.tokens, 11);
  EXPECT_LT(check.largest_difference, 1e-5);
  EXPECT_LT(check.kl, 1e-10);
  EXPECT_EQ(check.same_best, 1.0);
}

TEST(Load, AnAdapterIsTheSameOnAGgufAndWrittenBack) {
  LoadedModel model = load_model(golden / "model.gguf");
  model.adapter = read_adapter(golden / "adapter", model.config);
  const Json expected = read_json(golden / "expected.json");
  expect_near(logps(model, expected["ids"]), expected["adapted_logps"]);
  const TemporaryFolder folder;
  write_adapter(folder.path() / "a", model.config, *model.adapter, "base");
  EXPECT_EQ(adapter_base_model(folder.path() / "a"), "base");
  const Json config = read_json(folder.path() / "a" / "adapter_config.json");
  EXPECT_EQ(config["r"], 3);
  EXPECT_EQ(config["lora_alpha"], 5);
  EXPECT_EQ(config["target_modules"], (Json{"q_proj", "v_proj", "down_proj"}));
  EXPECT_EQ(config["rank_pattern"].size(), 2U);  // v_proj of both layers
  LoadedModel again = load_model(golden / "hf");
  again.adapter = read_adapter(folder.path() / "a", again.config);
  expect_near(logps(again, expected["ids"]), expected["adapted_logps"]);
}

TEST(Load, AStrangersAdapterIsRefused) {
  ModelConfig wider = load_model(golden / "hf").config;
  ModelConfig shallow = wider;
  wider.hidden_size = 32;
  wider.head_dim = 16;
  EXPECT_NE(error_text([&] { read_adapter(golden / "adapter", wider); }).find("another base model"),
            std::string::npos);
  shallow.layers = 1;
  EXPECT_NE(error_text([&] { read_adapter(golden / "adapter", shallow); }).find("layers.1."),
            std::string::npos);
}

/// Every published config that the decoder is checked with.
std::vector<std::pair<std::string, ModelConfig>> family_configs() {
  std::vector<std::pair<std::string, ModelConfig>> configs;
  for (const auto& entry : fs::directory_iterator("tests/golden/model")) {
    if (entry.path().extension() != ".json") continue;
    const Json json = read_json(entry.path());
    configs.emplace_back(entry.path().stem().string(), config_from_hf(json["config"], entry.path().string()));
  }
  return configs;
}

LoadedModel random_model(const ModelConfig& config) {
  LoadedModel model;
  model.config = config;
  model.parameters = random_parameters(config, 5);
  return model;
}

GgufMetadata metadata_of(const ModelConfig& config) {
  GgufMetadata metadata;
  const Json keys = config_to_gguf(config);
  for (const auto& [key, value] : keys.items()) {
    metadata.emplace_back(key, value.is_string()         ? GgufValue::text(value)
                               : value.is_boolean()      ? GgufValue::boolean(value)
                               : value.is_number_float() ? GgufValue::f32(value)
                                                         : GgufValue::u32(value));
  }
  return metadata;
}

TEST(Save, EveryFamilyIsReadBackBitForBit) {
  const auto configs = family_configs();
  EXPECT_GE(configs.size(), 15U);
  for (const auto& [name, config] : configs) {
    const TemporaryFolder folder;
    const LoadedModel model = random_model(config);
    save_hf(folder.path() / "a", to_save(model), DType::f32, 20000);
    const LoadedModel back = load_model(folder.path() / "a");
    EXPECT_EQ(config_to_hf(back.config), config_to_hf(config)) << name;
    ASSERT_EQ(back.parameters.all().size(), model.parameters.all().size()) << name;
    for (const auto& parameter : model.parameters.all()) {
      const Tensor found = back.parameters.find(parameter->name)->value;
      ASSERT_EQ(found.size(), parameter->value.size()) << name << " " << parameter->name;
      EXPECT_EQ(std::memcmp(found.data, parameter->value.data, static_cast<size_t>(found.bytes())), 0)
          << name << " " << parameter->name;
    }
  }
}

TEST(Save, EveryFamilyThatGgufKnowsGoesThereAndBack) {
  int written = 0;
  for (const auto& [name, config] : family_configs()) {
    const TemporaryFolder folder;
    const LoadedModel model = random_model(config);
    GgufMetadata metadata;
    try {
      metadata = metadata_of(config);
    } catch (const Error&) {
      continue;
    }
    std::vector<TensorToWrite> tensors;
    const WeightMap map = gguf_weights(config);
    for (const WeightEntry& entry : map.entries) {
      tensors.push_back(weight_to_write(entry, {&model.parameters}, DType::f32));
    }
    std::vector<float> factors = gguf_rope_factors(config);
    const auto count = static_cast<int64_t>(factors.size());
    if (count > 0)
      tensors.push_back(
          tensor_to_write("rope_freqs.weight", {factors.data(), DType::f32, 1, count}, DType::f32, {count}));
    write_gguf(folder.path() / "m.gguf", metadata, tensors);
    const LoadedModel back = load_model(folder.path() / "m.gguf");
    ++written;
    if (config.norm_offset != 0.0F) continue;  // 1 + w is rounded
    save_hf(folder.path() / "a", to_save(model), DType::f32);
    save_hf(folder.path() / "b", to_save(back), DType::f32);
    SCOPED_TRACE(name);
    expect_same_tensors(folder.path() / "a" / "model.safetensors", folder.path() / "b" / "model.safetensors");
  }
  EXPECT_GE(written, 9);
}

TEST(Save, QuantisedWeightsKeepTheirBitsAndAreRoundedOnce) {
  ModelConfig config = load_model(golden / "hf").config;
  config.hidden_size = 64;
  config.head_dim = 32;
  config.intermediate_size = 128;
  const LoadedModel model = random_model(config);
  const auto write = [&](const fs::path& file, const LoadedModel& source, const Adapter* adapter,
                         DType dtype) {
    std::vector<TensorToWrite> tensors;
    const WeightMap map = gguf_weights(source.config);
    for (const WeightEntry& entry : map.entries) {
      tensors.push_back(weight_to_write(entry, {&source.parameters, adapter},
                                        entry.shape.size() == 1 ? DType::f32 : dtype));
    }
    write_gguf(file, metadata_of(source.config), tensors);
  };
  const TemporaryFolder folder;
  write(folder.path() / "q.gguf", model, nullptr, DType::q4_0);
  const LoadedModel base = load_model(folder.path() / "q.gguf");
  EXPECT_EQ(base.dtype, DType::q4_0);
  write(folder.path() / "again.gguf", base, nullptr, DType::q4_0);
  EXPECT_TRUE(read_file(folder.path() / "again.gguf") == read_file(folder.path() / "q.gguf"));

  AdapterConfig lora;
  lora.rank = 2;
  lora.targets = {"v_proj"};
  Adapter adapter = make_adapter(base.config, lora, 3);
  for (const auto& parameter : adapter.parameters.all()) {
    for (float& value : parameter->value.flat<float>()) value = value == 0.0F ? 0.01F : value;
  }
  write(folder.path() / "merged.gguf", base, &adapter, DType::q4_0);
  const LoadedModel merged = load_model(folder.path() / "merged.gguf");
  ModelConfig unchanged = base.config;
  Parameters expected = merge_adapter(unchanged, base.parameters, adapter);
  for (const auto& parameter : merged.parameters.all()) {
    const Tensor& found = parameter->value;
    const Tensor& wanted = expected.find(parameter->name)->value;
    std::vector<std::byte> bytes(static_cast<size_t>(found.bytes()));
    if (parameter->name.find(".v.") == std::string::npos) {
      std::memcpy(bytes.data(), base.parameters.find(parameter->name)->value.data, bytes.size());
    } else {
      convert_rows(wanted, found.dtype, bytes);
    }
    EXPECT_EQ(std::memcmp(bytes.data(), found.data, bytes.size()), 0) << parameter->name;
  }
}

TEST(Load, WhatIsWrongWithAFolderIsSaid) {
  const TemporaryFolder folder;
  const fs::path copy = folder.path() / "m";
  const auto error = [&] { return error_text([&] { load_model(copy); }); };
  EXPECT_NE(error().find("no such file"), std::string::npos);
  fs::create_directory(copy);
  EXPECT_NE(error().find("no config.json"), std::string::npos);
  write_file(copy / "pytorch_model.bin", "x");
  EXPECT_NE(error().find("pickle"), std::string::npos);
  fs::remove(copy / "pytorch_model.bin");
  fs::copy(golden / "hf", copy, fs::copy_options::recursive);
  EXPECT_EQ(error(), "");
  Json config = read_json(copy / "config.json");
  config["intermediate_size"] = 23;
  write_file(copy / "config.json", dump_json(config));
  EXPECT_NE(error().find("should have the shape [23, 16], found [24, 16]"), std::string::npos) << error();
  config["intermediate_size"] = 24;
  config["num_hidden_layers"] = 1;
  write_file(copy / "config.json", dump_json(config));
  EXPECT_NE(error().find("no place for"), std::string::npos);
  config["num_hidden_layers"] = 3;
  write_file(copy / "config.json", dump_json(config));
  EXPECT_NE(error().find("layers.2.input_layernorm.weight"), std::string::npos);
  const std::string weights = read_file(copy / "model.safetensors");
  write_file(copy / "model.safetensors", weights.substr(0, weights.size() - 1));
  EXPECT_NE(error().find("cut short"), std::string::npos);
  fs::remove(copy / "model.safetensors");
  EXPECT_NE(error().find("has no model.safetensors"), std::string::npos);
  write_file(folder.path() / "text.txt", "not a model");
  EXPECT_NE(error_text([&] { load_model(folder.path() / "text.txt"); }).find("is no model"),
            std::string::npos);
}

void expect_changed(const std::function<void()>& work, const fs::path& file) {
  try {
    work();
    ADD_FAILURE() << "no error for " << file;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::io);
    EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("changed while it was read"), std::string::npos) << error.what();
  }
}

TEST(CutModel, WhoeverComputesOrCopiesGetsAnErrorThatNamesTheFile) {
  const TemporaryFolder folder;
  const Json expected = read_json(golden / "expected.json");
  const std::vector<int32_t> ids = expected["ids"];
  const std::vector<std::pair<const char*, const char*>> models{{"hf", "hf/model.safetensors"}, {"model.gguf", "model.gguf"}};
  for (const auto& [path, weights] : models) {
    const fs::path file = folder.path() / weights, output = folder.path() / "out";
    const auto fresh = [&] { fs::copy(golden / path, folder.path() / path, fs::copy_options::recursive | fs::copy_options::overwrite_existing); };
    fresh();
    LoadedModel model = load_model(folder.path() / path);
    const auto backend = make_cpu_backend();
    Decoder decoder(model.config, model.parameters, *backend);
    Batch batch;
    append_sequence(batch, ids);
    std::vector<float> result(batch.labels.size());
    decoder.score(batch, result);
    expect_near(result, expected["logps"]);
    fs::resize_file(file, 4096);
    expect_changed([&] { decoder.score(batch, result); }, file);
    expect_changed([&] { decoder.forward(batch, result); }, file);
    KvCache cache = KvCache::make(model.config, batch.size(), DType::f32, *backend);
    std::vector<int32_t> rows(batch.tokens.size());
    std::iota(rows.begin(), rows.end(), 0);
    Batch next = batch;
    next.label_rows.clear();
    next.labels.clear();
    expect_changed([&] { decoder.extend(next, rows, cache, Tensor()); }, file);
    expect_changed([&] { to_f32(model.parameters); }, file);
    ExportOptions options;
    options.output = output;
    expect_changed([&] { export_model(model, options); }, file);
    EXPECT_FALSE(fs::exists(output));
    const LoadedModel whole = load_model(golden / path);
    expect_changed([&] { compare_weights(whole, model); }, file);
    EXPECT_ANY_THROW(load_model(folder.path() / path));
    fresh();  // one that is opened anew is whole
    LoadedModel again = load_model(folder.path() / path);
    expect_near(logps(again, ids), expected["logps"]);
  }
}

TEST(Export, WhatCannotBeIsSaidBeforeAnythingIsWritten) {
  const LoadedModel model = load_model(golden / "hf");
  const TemporaryFolder folder;
  const auto error = [&](ModelFormat to, std::optional<DType> dtype, const fs::path& output) {
    return error_text([&] { export_model(model, {to, dtype, output}); });
  };
  EXPECT_NE(error(ModelFormat::hf, DType::q4_0, folder.path() / "a").find("f32, f16 or bf16"),
            std::string::npos);
  EXPECT_NE(error(ModelFormat::gguf, DType::q2_k, folder.path() / "a").find("q6_k"), std::string::npos);
  EXPECT_NE(error(ModelFormat::llama2c, DType::f16, folder.path() / "a").find("f32"), std::string::npos);
  EXPECT_NE(error(ModelFormat::gguf, {}, folder.path() / "a").find("tokenizer"), std::string::npos);
  EXPECT_NE(error(ModelFormat::hf, {}, golden / "hf").find("model itself"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Difference, AGgufAndAFolderOfOneModelAreTheSameModel) {
  const LoadedModel gguf = load_model(golden / "model.gguf"), hf = load_model(golden / "hf");
  ASSERT_NE(gguf.config.rope.interleaved, hf.config.rope.interleaved);
  for (const auto& difference : compare_weights(gguf, hf)) EXPECT_EQ(difference.changed, 0) << difference.name;
  for (const auto& difference : compare_weights(hf, gguf)) EXPECT_EQ(difference.changed, 0) << difference.name;
}

TEST(Llama2c, GoesThereAndBack) {
  ModelConfig config = load_model(golden / "hf").config;
  config.rope.interleaved = false;
  const TemporaryFolder folder;
  const LoadedModel model = random_model(config);
  save_llama2c(folder.path() / "m.bin", to_save(model));
  const LoadedModel back = load_model(folder.path() / "m.bin");
  EXPECT_EQ(back.format, ModelFormat::llama2c);
  save_hf(folder.path() / "a", to_save(model), DType::f32);
  save_hf(folder.path() / "b", to_save(back), DType::f32);
  expect_same_tensors(folder.path() / "a" / "model.safetensors", folder.path() / "b" / "model.safetensors");
  const std::string bytes = read_file(folder.path() / "m.bin");
  write_file(folder.path() / "m.bin", bytes.substr(0, bytes.size() - 4));
  EXPECT_NE(error_text([&] { load_model(folder.path() / "m.bin"); }).find("by its header"),
            std::string::npos);
  write_file(folder.path() / "m.bin", "24ka" + bytes.substr(4));
  EXPECT_NE(error_text([&] { load_model(folder.path() / "m.bin"); }).find("version 1 or 2"),
            std::string::npos);
}

TEST(Llama2c, Stories260KGivesItsPublishedLogProbabilities) {
  const char* shared = std::getenv("FETTLE_SHARED");
  const fs::path file = fs::path(shared != nullptr ? shared : "../shared") / "data/models/stories260K.bin";
  if (!fs::exists(file)) GTEST_SKIP() << "skipped: no shared data";
  LoadedModel model = load_model(file);
  ASSERT_NE(model.tokenizer, nullptr);
  EXPECT_EQ(model.parameters.count() * 4 + 28 + 512 * 8 * 4, static_cast<int64_t>(fs::file_size(file)));
  const auto found = logps(model, {1, 403, 407, 261, 378});
  const double expected[] = {-.243743, -.017513, -.012110, -.000724};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(found[i], expected[i], 2e-6);
}

}  // namespace
}  // namespace fettle
