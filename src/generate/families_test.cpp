// Families whose layers differ, from the folder and the GGUF file that were written: the same text from both, and through
// the engine what whole forward passes give.
#include <gtest/gtest.h>

#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "generate/engine.h"
#include "generate/open_model.h"
#include "generate/test_support.h"
#include "kernels/backends.h"
#include "model/device.h"
#include "model/families/families.h"

namespace fettle {
namespace {

/// A token per byte, in a form that a GGUF file can hold.
std::shared_ptr<const Tokenizer> gguf_bytes() {
  GgufVocabulary vocabulary{.model = "llama", .pre = "default", .tokens = {"<unk>", "<s>", "</s>"}};
  vocabulary.token_types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back(fmt::format("<0x{:02X}>", byte));
    vocabulary.token_types.push_back(6);
  }
  vocabulary.scores.assign(vocabulary.tokens.size(), 0.0F);
  vocabulary.unk = 0;
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  return Tokenizer::from_gguf(vocabulary, "bytes");
}

LoadedModel model_of(const std::string& golden) {
  Json json = read_json(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/model" / (golden + ".json"))["config"];
  json["vocab_size"] = test::byte_vocabulary;
  json["max_position_embeddings"] = 160;
  if (json["model_type"] == "mixtral") json["hidden_act"] = "silu";  // the one that a GGUF of a Mixtral means
  LoadedModel model;
  model.config = config_from_hf(json, golden);
  model.parameters = random_parameters(model.config, 5);
  test::SmallModel::scaled(model.parameters);
  model.tokenizer = gguf_bytes();
  return model;
}

struct Answer {
  std::vector<int32_t> tokens;
  std::string text;
};

Answer answer_of(LoadedModel& model, const std::vector<int32_t>& prompt, const char* device = "cpu", int32_t count = 40) {
  const auto backend = make_backend(device);
  move_to(model.parameters, *backend);
  Decoder decoder(model.config, model.parameters, *backend);
  EngineOptions options;
  options.page_rows = 8;
  options.max_running = 4;
  options.step_tokens = 24;
  options.kv_bytes = 4 << 20;
  Engine engine(decoder, model.tokenizer, options);
  auto request = test::greedy(prompt, count);
  request.ignore_eos = true;
  const GenerationResult result = engine.generate(request);
  EXPECT_EQ(result.samples[0].tokens, test::greedy_by_scoring(decoder, prompt, count));
  return {result.samples[0].tokens, result.samples[0].text};
}

TEST(FamiliesOnADevice, AnswerAsTheyDoOnTheProcessor) {
  set_threads(1);
  for (const auto& file : fs::directory_iterator(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/model")) {
    if (file.path().extension() != ".json") continue;
    const std::string name = file.path().stem().string();
    SCOPED_TRACE(name);
    LoadedModel model = model_of(name);
    const std::vector<int32_t> prompt = test::random_prompt(11, 3);
    const Answer expected = answer_of(model, prompt, "cpu", 20);
    const Answer found = answer_of(model, prompt, "reference:cpu", 20);
    EXPECT_EQ(found.tokens, expected.tokens);
    EXPECT_EQ(found.text, expected.text);
  }
}

TEST(FamiliesWithDifferentLayers, GiveTheSameTextFromFolderAndGguf) {
  set_threads(1);
  for (const char* name : {"qwen3", "gemma3", "mixtral", "mixtral_window"}) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    LoadedModel model = model_of(name);
    const std::vector<int32_t> prompt = test::random_prompt(29, 3);
    const Answer expected = answer_of(model, prompt);
    save_hf(folder.path() / "hf", to_save(model), DType::f32);
    save_gguf(folder.path() / "m.gguf", to_save(model), DType::f32);
    for (const char* written : {"hf", "m.gguf"}) {
      LoadedModel back = load_model(folder.path() / written);
      EXPECT_EQ(back.config.family, model.config.family);
      ASSERT_NE(back.tokenizer, nullptr);
      const Answer found = answer_of(back, prompt);
      EXPECT_EQ(found.tokens, expected.tokens) << written;
      EXPECT_EQ(found.text, expected.text) << written;
    }
  }
}

}  // namespace
}  // namespace fettle
