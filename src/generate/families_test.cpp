// Families whose layers differ, from the folder and the GGUF file that were written: the same text from both, and through
// the engine what whole forward passes give.
#include <gtest/gtest.h>

#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "generate/engine.h"
#include "generate/open_model.h"
#include "generate/test_support.h"
#include "model/families/families.h"

namespace fettle {
namespace {

LoadedModel model_of(const std::string& golden) {
  Json json = read_json(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/model" / (golden + ".json"))["config"];
  json["vocab_size"] = test::byte_vocabulary;
  json["max_position_embeddings"] = 160;
  LoadedModel model;
  model.config = config_from_hf(json, golden);
  model.parameters = random_parameters(model.config, 5);
  test::SmallModel::scaled(model.parameters);
  model.tokenizer = test::byte_tokenizer();
  return model;
}

struct Answer {
  std::vector<int32_t> tokens;
  std::string text;
};

Answer answer_of(LoadedModel& model, const std::vector<int32_t>& prompt) {
  const auto backend = make_cpu_backend();
  Decoder decoder(model.config, model.parameters, *backend);
  EngineOptions options;
  options.page_rows = 8;
  options.max_running = 4;
  options.step_tokens = 24;
  options.kv_bytes = 4 << 20;
  Engine engine(decoder, model.tokenizer, options);
  auto request = test::greedy(prompt, 40);
  request.ignore_eos = true;
  const GenerationResult result = engine.generate(request);
  EXPECT_EQ(result.samples[0].tokens, test::greedy_by_scoring(decoder, prompt, 40));
  return {result.samples[0].tokens, result.samples[0].text};
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
      back.tokenizer = model.tokenizer;
      const Answer found = answer_of(back, prompt);
      EXPECT_EQ(found.tokens, expected.tokens) << written;
      EXPECT_EQ(found.text, expected.text) << written;
    }
  }
}

}  // namespace
}  // namespace fettle
