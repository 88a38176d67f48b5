// Every kind of adapter that peft writes (tests/golden/checkpoint/make_adapters.py) against what peft says of
// it.
#include <gtest/gtest.h>

#include <cmath>

#include "base/log.h"
#include "checkpoint/add_tokens.h"
#include "checkpoint/export.h"
#include "checkpoint/gguf.h"
#include "checkpoint/peft.h"
#include "checkpoint/peft_names.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/save.h"
#include "checkpoint/test_support.h"
#include "model/decoder.h"
#include "model/families/families.h"

namespace fettle {
namespace {

const fs::path golden = "tests/golden/checkpoint/adapters";

const Json& expected() {
  static const Json json = read_json(golden / "expected.json");
  return json;
}

Batch batch_of() {
  Batch batch;
  append_sequence(batch, expected()["ids"].get<std::vector<int32_t>>());
  return batch;
}

std::vector<float> logps(LoadedModel& model, float factor = 1.0F) {
  const auto backend = make_cpu_backend();
  Decoder decoder(model.config, model.parameters, *backend);
  if (model.adapter) decoder.set_adapters({{&*model.adapter, factor}});
  const Batch batch = batch_of();
  std::vector<float> result(batch.labels.size());
  decoder.score(batch, result);
  return result;
}

void expect_near(const std::vector<float>& found, const std::vector<double>& wanted, double relative = 1e-5) {
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], wanted[i], relative * std::max(1.0, std::fabs(wanted[i]))) << i;
}

std::vector<double> wanted(const Json& kind, const char* key = "logps") {
  return kind[key].get<std::vector<double>>();
}

/// The GGUF of the merged model, without a tokenizer, which these have not.
LoadedModel through_gguf(const LoadedModel& model, const fs::path& file) {
  ModelConfig config = model.config;
  if (config.tied_embeddings && model.adapter->separates_head()) config.tied_embeddings = false;
  GgufMetadata metadata;
  const Json keys = config_to_gguf(config);
  for (const auto& [key, value] : keys.items()) {
    metadata.emplace_back(key, value.is_string()         ? GgufValue::text(value)
                               : value.is_boolean()      ? GgufValue::boolean(value)
                               : value.is_number_float() ? GgufValue::f32(value)
                                                         : GgufValue::u32(value));
  }
  std::vector<TensorToWrite> tensors;
  const WeightMap map = gguf_weights(config);
  for (const WeightEntry& entry : map.entries)
    tensors.push_back(weight_to_write(entry, {&model.parameters, &*model.adapter}, DType::f32));
  write_gguf(file, metadata, tensors);
  return load_model(file);
}

TEST(Adapters, EveryKindGivesPeftsLogProbabilitiesBesideItsBaseAndMerged) {
  EXPECT_GE(expected()["kinds"].size(), 34U);
  for (const auto& [name, kind] : expected()["kinds"].items()) {
    if (!kind.contains("logps")) continue;
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    LoadedModel model = load_model(golden / name);
    expect_near(logps(model), wanted(kind));
    write_adapter(folder.path() / "again", model.config, *model.adapter, (golden / "..").string());
    LoadedModel again = load_model(model.path);
    attach_adapter(again, folder.path() / "again");
    expect_near(logps(again), wanted(kind));
    if (name == "lora_bias_none") continue;  // its layers have no bias to merge it into
    ExportOptions options;
    options.dtype = DType::f32;
    options.output = folder.path() / "merged";
    export_model(model, options);
    LoadedModel merged = load_model(options.output);
    expect_near(logps(merged), wanted(kind));
    LoadedModel gguf = through_gguf(model, folder.path() / "m.gguf");
    expect_near(logps(gguf), wanted(kind));
    ModelConfig config = model.config;
    LoadedModel trained;
    trained.parameters = merge_adapter(config, model.parameters, *model.adapter);
    trained.config = config;
    expect_near(logps(trained), wanted(kind));
  }
}

/// What llama.cpp makes of a weight: base + alpha / rank * B A; of the embedding A stands transposed.
void expect_llama_cpp_adds_it_up(const LoadedModel& model, const Gguf& lora) {
  const float alpha = lora.scalars()["adapter.lora.alpha"].get<float>();
  const WeightMap map = gguf_weights(model.config);
  size_t used = 0;
  for (const WeightEntry& entry : map.entries) {
    const StoredTensor* a = lora.tensors.find(entry.published + ".lora_a");
    const StoredTensor* b = lora.tensors.find(entry.published + ".lora_b");
    const TensorToWrite base = weight_to_write(entry, {&model.parameters}, DType::f32),
                        merged = weight_to_write(entry, {&model.parameters, &*model.adapter}, DType::f32);
    std::vector<float> sum(static_cast<size_t>(base.bytes()) / sizeof(float)), wanted(sum.size());
    base.fill(std::as_writable_bytes(std::span(sum)));
    merged.fill(std::as_writable_bytes(std::span(wanted)));
    if (a != nullptr) {
      ASSERT_NE(b, nullptr) << entry.published;
      used += 2;
      const Tensor x = a->view(""), y = b->view("");
      const bool embedding = entry.published == "token_embd.weight";
      const int64_t rank = y.cols, cols = base.shape.back();
      ASSERT_EQ(embedding ? x.cols : x.rows, rank);
      for (size_t i = 0; i < sum.size(); ++i) {
        const auto row = static_cast<int64_t>(i) / cols, col = static_cast<int64_t>(i) % cols;
        for (int64_t r = 0; r < rank; ++r)
          sum[i] += alpha / static_cast<float>(rank) *
                    (embedding ? x.row<float>(row)[r] * y.row<float>(col)[r]
                               : y.row<float>(row)[r] * x.row<float>(r)[col]);
      }
    }
    for (size_t i = 0; i < sum.size(); ++i)
      ASSERT_NEAR(sum[i], wanted[i], 1e-5F) << entry.published << " " << i;
  }
  EXPECT_EQ(used, lora.tensors.all().size());
}

TEST(Adapters, AloneInAGgufOrRefusedByName) {
  const std::map<std::string, const char*> refused{
      {"head_tied", "tied"},   {"embed_tied", "tied"}, {"grown", "whole"},   {"saved", "whole"},
      {"rows_tied", "rows"},   {"dora", "DoRA"},       {"bias_all", "bias"}, {"lora_bias", "bias of B"},
      {"saved_tied", "whole"}, {"embed_gpt2", "tied"}};
  int written = 0;
  for (const auto& [name, kind] : expected()["kinds"].items()) {
    if (!kind.contains("logps")) continue;
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    const fs::path file = folder.path() / "lora.gguf";
    const LoadedModel model = load_model(golden / name);
    const std::string error =
        error_text([&] { save_gguf_lora(file, model.config, model.parameters, *model.adapter, DType::f32); });
    if (const auto found = refused.find(name); found != refused.end()) {
      EXPECT_NE(error.find(found->second), std::string::npos) << error;
    }
    EXPECT_TRUE(error.empty() || error.find("--to gguf") != std::string::npos) << error;
    if (!error.empty()) continue;
    ++written;
    expect_llama_cpp_adds_it_up(model, open_gguf(file));
  }
  EXPECT_EQ(written, 7);
}

TEST(Adapters, AStepOfEveryKindIsPeftsStep) {
  int steps = 0;
  for (const auto& [name, kind] : expected()["kinds"].items()) {
    if (!kind.contains("after")) continue;
    SCOPED_TRACE(name);
    ++steps;
    LoadedModel model = load_model(golden / name);
    Parameters& parameters = model.adapter->parameters;
    std::vector<ParameterShape> shapes;
    for (const auto& parameter : parameters.all())
      if (parameter->trainable)
        shapes.push_back({parameter->name, parameter->value.rows, parameter->value.cols});
    Parameters gradients = allocate_parameters(shapes), values = allocate_parameters(shapes);
    for (const ParameterShape& shape : shapes) {
      Parameter& parameter = *parameters.find(shape.name);
      const Tensor own = values.find(shape.name)->value;
      ASSERT_EQ(parameter.value.dtype, DType::f32);
      for (int64_t row = 0; row < own.rows; ++row)
        std::copy_n(parameter.value.row<float>(row), own.cols, own.row<float>(row));
      parameter.value = own;  // a file's own bytes are not written to
      parameter.grad = gradients.find(shape.name)->value;
    }
    const auto backend = make_cpu_backend();
    Decoder decoder(model.config, model.parameters, *backend, {.recompute = Recompute::block});
    decoder.set_adapters({{&*model.adapter, 1.0F}});
    const Batch batch = batch_of();
    decoder.forward(batch, {});
    decoder.backward(batch, std::vector<float>(batch.labels.size(), -1.0F));
    for (const ParameterShape& shape : shapes) {
      const std::span<const float> gradient = gradients.find(shape.name)->value.flat<float>();
      const std::span<float> to = values.find(shape.name)->value.flat<float>();
      for (size_t i = 0; i < to.size(); ++i) to[i] -= expected()["rate"].get<float>() * gradient[i];
    }
    decoder.weights_changed();
    std::vector<float> after(batch.labels.size());
    decoder.score(batch, after);
    expect_near(after, wanted(kind, "after"));

    const TemporaryFolder folder;
    write_adapter(folder.path() / "a", model.config, *model.adapter, "base");
    const Safetensors ours = open_safetensors(folder.path() / "a" / "adapter_model.safetensors");
    const Safetensors theirs = open_safetensors(golden / name / "after.safetensors");
    for (const StoredTensor& tensor : theirs.tensors.all()) {
      const StoredTensor& other = ours.tensors.require(tensor.name, ours.where);
      ASSERT_EQ(other.shape, tensor.shape) << tensor.name;
      const std::span<const float> a = other.view("").flat<float>(), b = tensor.view("").flat<float>();
      for (size_t i = 0; i < a.size(); ++i)
        ASSERT_NEAR(a[i], b[i], 2e-5F * std::max(1.0F, std::fabs(b[i]))) << tensor.name << " " << i;
    }
  }
  EXPECT_GE(steps, 18);
}

TEST(Adapters, AFactorScalesWhatEachOneChanges) {
  for (const char* name : {"saved", "rows_tied", "dora", "dora_head", "lora_bias"}) {
    SCOPED_TRACE(name);
    LoadedModel model = load_model(golden / name);
    ModelConfig config = model.config;
    LoadedModel half;
    half.parameters = merge_adapter(config, model.parameters, *model.adapter, 0.5F);
    half.config = config;
    const std::vector<float> merged = logps(half);
    expect_near(logps(model, 0.5F), {merged.begin(), merged.end()}, 5e-5);
    // The same adapter twice at a half is the adapter once.
    Adapter second = read_adapter(golden / name, model.config);
    const auto backend = make_cpu_backend();
    Decoder decoder(model.config, model.parameters, *backend);
    decoder.set_adapters({{&*model.adapter, 0.5F}, {&second, 0.5F}});
    const Batch batch = batch_of();
    std::vector<float> twice(batch.labels.size());
    decoder.score(batch, twice);
    expect_near(twice, wanted(expected()["kinds"][name]), 5e-5);
    // And nothing of it is left behind.
    decoder.set_adapters({});
    decoder.score(batch, twice);
    model.adapter.reset();
    const std::vector<float> base = logps(model);
    EXPECT_EQ(twice, base);
  }
}

TEST(Adapters, FilesOfTorchSaveAreReadAsData) {
  LoadedModel legacy = load_model(golden / "legacy");
  expect_near(logps(legacy), wanted(expected()["kinds"]["saved"]), 5e-3);  // one matrix in 16 bits
}

std::string error_of(const fs::path& source, const std::function<void(OrderedJson&)>& change) {
  const TemporaryFolder folder;
  fs::copy(source, folder.path() / "a");
  const fs::path file = folder.path() / "a" / "adapter_config.json";
  OrderedJson config = OrderedJson::parse(read_file(file));
  change(config);
  write_file(file, dump_json(config, 1));
  const LoadedModel base = load_model(golden / ".." / "hf");
  return error_text([&] { read_adapter(folder.path() / "a", base.config); });
}

TEST(Adapters, WhatCannotBeHonouredIsRefusedByName) {
  const auto with = [](const char* key, const OrderedJson& value, const char* name = "saved") {
    return error_of(golden / name, [&](OrderedJson& config) { config[key] = value; });
  };
  EXPECT_EQ(with("lora_dropout", 0.1), "");
  EXPECT_EQ(with("init_lora_weights", "gaussian"), "");
  for (const char* key : {"use_qalora", "use_bdlora"})
    EXPECT_NE(with(key, true).find(key), std::string::npos);
  for (const char* key : {"alora_invocation_tokens", "target_parameters", "layer_replication"})
    EXPECT_NE(with(key, {1}).find(key), std::string::npos) << key;
  for (const char* init : {"pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga"})
    EXPECT_NE(with("init_lora_weights", init).find(init), std::string::npos) << init;
  for (const char* type : {"LOHA", "IA3", "ADALORA", "PROMPT_TUNING"})
    EXPECT_NE(with("peft_type", type).find(type), std::string::npos);
  EXPECT_NE(with("something_new", 1).find("something_new"), std::string::npos);
  EXPECT_EQ(with("something_new", nullptr), "");
  EXPECT_NE(with("use_dora", true).find("has no magnitude"), std::string::npos);
  EXPECT_NE(with("use_dora", false, "dora").find("has a magnitude"), std::string::npos);
  EXPECT_NE(with("lora_bias", true).find("lora_B.bias"), std::string::npos);
  EXPECT_NE(with("r", 4).find("should have the shape [4, 16]"), std::string::npos);
  EXPECT_NE(with("r", 0).find("positive"), std::string::npos);
  EXPECT_NE(with("bias", "some").find("some"), std::string::npos);
  EXPECT_NE(with("rank_pattern", {{"q_proj", "x"}}).find("rank_pattern"), std::string::npos);
  EXPECT_EQ(with("target_modules", {"q_proj", "up_proj"}), "");  // peft leaves the others as they are, and so is said
  EXPECT_NE(with("target_modules", {"up_proj"}).find("does not choose"), std::string::npos);
  EXPECT_NE(with("target_modules", "(").find("target_modules"), std::string::npos);
  EXPECT_NE(with("modules_to_save", {"norm", "o_proj", "lm_head", "embed_tokens"})
                .find("model.embed_tokens.weight"),
            std::string::npos);
  EXPECT_NE(with("trainable_token_indices", {1, 2}).find("trainable_tokens_delta"), std::string::npos);
  EXPECT_NE(with("trainable_token_indices", nullptr, "rows").find("trainable_token_indices"),
            std::string::npos);
}

TEST(Adapters, APickleThatWantsMoreThanTensorsIsNotRun) {
  const TemporaryFolder folder;
  const fs::path adapter = folder.path() / "a";
  fs::create_directory(adapter);
  fs::copy(golden / "legacy" / "adapter_config.json", adapter / "adapter_config.json");
  const LoadedModel base = load_model(golden / ".." / "hf");
  const auto error = [&](std::string_view bytes) {
    write_file(adapter / "adapter_model.bin", bytes);
    return error_text([&] { read_adapter(adapter, base.config); });
  };
  using namespace std::string_view_literals;
  EXPECT_NE(error("\x80\x02"
                  "cposix\nsystem\nq\0U\x04trueq\x01\x85q\x02Rq\x03."sv)
                .find("posix.system"),
            std::string::npos);
  EXPECT_NE(error("\x80\x02.").find("nothing is on the stack"), std::string::npos);
  EXPECT_NE(error("\x80\x02i").find("0x69"), std::string::npos);
  EXPECT_NE(error("hello").find("neither of torch.save's formats"), std::string::npos);
  for (const char* name : {"zip", "legacy"}) {
    const std::string whole = read_file(golden / name / "adapter_model.bin");
    for (size_t length = 0; length < whole.size(); length += 97)
      EXPECT_NE(error(whole.substr(0, length)), "") << name;
    EXPECT_EQ(error(whole), "") << name;
  }
}

TEST(Adapters, NamesOfTensors) {
  EXPECT_EQ(parse_peft_name("base_model.model.a.q.lora_A.weight").modules[0], "a.q");
  EXPECT_EQ(parse_peft_name("base_model.model.a.q.lora_B.default.bias").part, PeftPart::bias);
  EXPECT_EQ(parse_peft_name("a.e.lora_embedding_A.default").modules[0], "a.e");
  EXPECT_EQ(parse_peft_name("a.q.lora_magnitude_vector.default.weight").part, PeftPart::magnitude);
  EXPECT_EQ(parse_peft_name("a.e.token_adapter.base_layer.weight").modules[0], "a.e.weight");
  EXPECT_EQ(parse_peft_name("a.e.token_adapter.trainable_tokens_original.default").part, PeftPart::unused);
  EXPECT_EQ(parse_peft_name("lm_head.modules_to_save.default.weight").modules[0], "lm_head.weight");
  EXPECT_EQ(parse_peft_name("a.mlp.modules_to_save.up.weight").modules[1], "a.mlp.up.weight");
  EXPECT_EQ(parse_peft_name("lm_head.original_module.weight").part, PeftPart::unused);
}

TEST(Adapters, AVocabularyThatGrewIsOfTheAdapterAlone) {
  LoadedModel model = load_model(golden / "grown");
  EXPECT_EQ(model.config.vocab_size, 42);
  LoadedModel base = load_model(golden / ".." / "hf");
  const auto backend = make_cpu_backend();
  Decoder decoder(base.config, base.parameters, *backend);
  EXPECT_NE(error_text([&] {
              decoder.set_adapters({{&*model.adapter, 1.0F}});
            }).find("[42, 16]"),
            std::string::npos);
}

LoadedModel copied_with(const fs::path& folder,
                        const std::function<void(std::map<std::string, std::vector<float>>&)>& change) {
  const Safetensors weights = open_safetensors(golden / "tied" / "model.safetensors");
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const StoredTensor& tensor : weights.tensors.all()) {
    const auto flat = tensor.view("").flat<float>();
    values[tensor.name].assign(flat.begin(), flat.end());
    shapes[tensor.name] = tensor.shape;
  }
  values["lm_head.weight"] = values["model.embed_tokens.weight"];
  shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"];
  change(values);
  std::vector<TensorToWrite> tensors;
  for (auto& [name, flat] : values) {
    const auto shape =
        shapes.count(name) != 0 ? shapes[name] : std::vector<int64_t>{static_cast<int64_t>(flat.size())};
    const int64_t cols = shape.back(), rows = static_cast<int64_t>(flat.size()) / cols;
    tensors.push_back(tensor_to_write(name, {flat.data(), DType::f32, rows, cols}, DType::f32, shape));
  }
  fs::create_directories(folder);
  fs::copy(golden / "tied" / "config.json", folder / "config.json");
  write_safetensors(folder / "model.safetensors", std::move(tensors));
  return load_model(folder);
}

TEST(TiedHead, ThatDiffersIsUntiedAndKept) {
  const TemporaryFolder folder;
  EXPECT_TRUE(copied_with(folder.path() / "same", [](auto&) {}).config.tied_embeddings);
  LoadedModel model =
      copied_with(folder.path() / "other", [](auto& values) { values["lm_head.weight"][3] += 1.0F; });
  EXPECT_FALSE(model.config.tied_embeddings);
  save_hf(folder.path() / "saved", to_save(model), DType::f32);
  EXPECT_EQ(read_json(folder.path() / "saved" / "config.json")["tie_word_embeddings"], false);
  LoadedModel back = load_model(folder.path() / "saved");
  EXPECT_FALSE(back.config.tied_embeddings);
  const std::vector<float> before = logps(model), after = logps(back);
  EXPECT_EQ(before, after);
}

TEST(Leftovers, OutsideTheLayersAreNamedAndInsideRefused) {
  const TemporaryFolder folder;
  copied_with(folder.path() / "tower", [](auto& values) { values["vision_tower.weight"] = {1.0F, 2.0F}; });
  EXPECT_NE(error_text([&] {
              copied_with(folder.path() / "inside", [](auto& values) {
                values["model.layers.0.self_attn.q_norm.weight"] = {1.0F, 2.0F};
              });
            }).find("q_norm"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              copied_with(folder.path() / "less", [](auto& values) { values.erase("model.norm.weight"); });
            }).find("model.norm.weight"),
            std::string::npos);
}

}  // namespace
}  // namespace fettle
