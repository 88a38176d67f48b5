// New tokens on a base, and adapters that are more than LoRA, from the config to the folder that is opened
// again.
#include "base/error.h"
#include "checkpoint/export.h"
#include "checkpoint/safetensors.h"
#include "model/decoder.h"
#include "train/test_model.h"

namespace fettle::train {
namespace {

class Tokens : public TrainTest {
 protected:
  void SetUp() override {
    TrainTest::SetUp();
    std::string rows;
    for (int i = 0; i < 8; ++i)
      rows += dump_json(Json{{"prompt", "say " + std::to_string(i)},
                             {"completion", "<note>" + std::to_string(i) + "</note>"}}) +
              "\n";
    write_file(root() / "notes.jsonl", rows);
  }
  Json tokens(const std::string& out, const Json& more) const {
    Json json =
        config("sft", out,
               {{"data", (root() / "notes.jsonl").string()}, {"tokens", {{"add", {"<note>", "</note>"}}}}});
    json.merge_patch(more);
    return json;
  }
  std::vector<float> logps(const fs::path& path, const std::string& text) const {
    LoadedModel model = load_model(path);
    const auto backend = make_cpu_backend();
    Decoder decoder(model.config, model.parameters, *backend);
    if (model.adapter) decoder.set_adapters({{&*model.adapter, 1.0F}});
    Batch batch;
    append_sequence(batch, model.tokenizer->encode(text, {false, true}));
    std::vector<float> result(batch.labels.size());
    decoder.score(batch, result);
    return result;
  }
};

TEST_F(Tokens, FullTrainingGrowsTokenizerAndTables) {
  run(tokens("full", {{"tokens", {{"init", "random"}}}}));
  const LoadedModel model = load_model(root() / "full");
  EXPECT_EQ(model.config.vocab_size, 260);
  EXPECT_EQ(model.tokenizer->size(), 260);
  EXPECT_EQ(model.tokenizer->encode("<note>", {}), std::vector<int32_t>{258});
  EXPECT_EQ(model.tokenizer->decode(std::vector<int32_t>{258, 259}), "<note></note>");
  const Json written = read_json(root() / "full" / "tokenizer.json");
  EXPECT_EQ(written["added_tokens"][3]["content"], "</note>");
  ExportOptions options;
  options.to = ModelFormat::gguf;
  options.output = root() / "full.gguf";
  export_model(model, options);
  const LoadedModel gguf = load_model(options.output);
  EXPECT_EQ(gguf.tokenizer->encode("<note>", {}), std::vector<int32_t>{258});
}

TEST_F(Tokens, BesideAnAdapterTheNewRowsAreTrainedAndOpenedAgain) {
  for (const Json& adapter : {Json{{"rank", 4}}, Json{{"rank", 4}, {"modules_to_save", {"embed_tokens"}}},
                              Json{{"rank", 2}, {"dora", true}}}) {
    fs::remove_all(root() / "lora");
    fs::remove_all(root() / "merged");
    const TrainResult result = run(tokens("lora", {{"adapter", adapter}}));
    EXPECT_LT(result.steps.back().loss, result.steps.front().loss);
    const LoadedModel model = load_model(root() / "lora");
    EXPECT_EQ(model.config.vocab_size, 260);
    EXPECT_EQ(model.tokenizer->encode("</note>", {}), std::vector<int32_t>{259});
    const Json written = read_json(root() / "lora" / "adapter_config.json");
    EXPECT_EQ(written["trainable_token_indices"].is_null(), adapter.contains("modules_to_save"));
    ExportOptions options;
    options.dtype = DType::f32;
    options.output = root() / "merged";
    export_model(model, options);
    const std::vector<float> beside = logps(root() / "lora", "a<note>b</note>c"),
                             merged = logps(root() / "merged", "a<note>b</note>c");
    ASSERT_EQ(beside.size(), merged.size());
    for (size_t i = 0; i < beside.size(); ++i) EXPECT_NEAR(beside[i], merged[i], 2e-4) << i;
  }
}

TEST_F(Tokens, GoingOnGivesTheSameBytes) {
  const Json more{{"adapter", {{"rank", 2}, {"dropout", 0.1}}}, {"save_every", 2}};
  run(tokens("whole", more));
  TrainCallbacks callbacks;
  callbacks.progress = false;
  int asked = 0;
  callbacks.should_stop = [&] { return ++asked > 4; };
  EXPECT_THROW(train(train_config_from_json(tokens("again", more), "test"), callbacks), Error);
  run(tokens("again", more));
  EXPECT_TRUE(bytes("whole/adapter_model.safetensors") == bytes("again/adapter_model.safetensors"));
  EXPECT_EQ(timeless(bytes("whole/metrics.jsonl")), timeless(bytes("again/metrics.jsonl")));
}

TEST_F(Tokens, WhatCannotBeIsSaid) {
  const auto error = [&](const Json& more) {
    try {
      run(tokens("wrong", more));
    } catch (const Error& problem) {
      return std::string(problem.what());
    }
    return std::string();
  };
  EXPECT_NE(error({{"tokens", {{"add", {"<|im_end|>"}}}}}).find("is token 257"), std::string::npos);
  EXPECT_NE(error({{"tokens", {{"add", {"<a>", "<a>"}}}}}).find("twice"), std::string::npos);
  EXPECT_NE(error({{"tokens", {{"init", "zeros"}}}}).find("mean | random"), std::string::npos);
  EXPECT_NE(error({{"adapter", {{"targets", {"embed_tokens"}}}}}).find("embed_tokens"), std::string::npos);
  EXPECT_NE(error({{"adapter", {{"targets", {"no_proj"}}}}}).find("no_proj"), std::string::npos);
}

TEST_F(Tokens, EveryKindOfAdapterIsTrainedWrittenAndGoneOnWith) {
  const std::vector<Json> kinds{
      {{"targets", {"lm_head", "embed_tokens"}}},
      {{"targets", {"q_proj"}}, {"modules_to_save", {"norm", "o_proj"}}},
      {{"targets", {"all-linear"}}, {"dora", true}, {"dropout", 0.1}},
      {{"targets", {"q_proj"}}, {"lora_bias", true}},
      {{"target_pattern", ".*\\.1\\..*_proj"}, {"rank_pattern", {{"q_proj", 3}}}, {"rslora", true}}};
  for (size_t i = 0; i < kinds.size(); ++i) {
    SCOPED_TRACE(i);
    const std::string out = "kind" + std::to_string(i);
    Json adapter = kinds[i];
    adapter["rank"] = 2;
    const TrainResult result = run(config("sft", out, {{"adapter", adapter}}));
    EXPECT_LT(result.steps.back().loss, result.steps.front().loss);
    const Safetensors written = open_safetensors(root() / out / "adapter_model.safetensors");
    for (const StoredTensor& tensor : written.tensors.all())
      EXPECT_TRUE(tensor.name.find(".lora_") != std::string::npos || adapter.contains("modules_to_save"))
          << tensor.name;
    const TrainResult more = run(
        config("sft", out + "-more", {{"model", (root() / out).string()}, {"adapter", {{"dropout", 0}}}}));
    EXPECT_LT(more.steps.front().loss, result.steps.front().loss);
  }
}

}  // namespace
}  // namespace fettle::train
