// A real trained model, whose greedy text was computed in double precision by another program.
#include <gtest/gtest.h>

#include <cstdlib>

#include "generate/engine.h"
#include "generate/open_model.h"
#include "generate/score.h"

namespace fettle {
namespace {

fs::path models_folder() {
  const char* shared = std::getenv("FETTLE_SHARED");
  return fs::path(shared != nullptr ? shared : "../shared") / "data" / "models";
}

TEST(Stories260K, GreedyTextAndLogProbabilitiesAreTheGoldenOnes) {
  const fs::path weights = models_folder() / "stories260K.bin";
  if (!fs::exists(weights)) GTEST_SKIP() << "skipped: no shared data";
  OpenModelOptions open;
  open.tokenizer = models_folder() / "tok512.bin";
  OpenModel model(weights, open);
  Engine engine(model);
  GenerationRequest request;
  request.prompt = {1};
  request.sampling.temperature = 0.0F;
  request.max_tokens = 199;
  request.logprobs = true;
  request.ignore_eos = true;
  const auto sample = engine.generate(request).samples[0];
  const std::vector<int32_t> golden{403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421,
                                    395, 317, 426, 338, 401, 396, 267, 337, 410, 408, 419};
  EXPECT_EQ(std::vector<int32_t>(sample.tokens.begin(), sample.tokens.begin() + 23), golden);
  const std::vector<float> first{-0.243743F, -0.017513F, -0.012110F, -0.000724F};
  for (size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(sample.infos[i].logp, first[i], 2e-6F);
  double sum = 0.0;
  for (const TokenInfo& info : sample.infos) sum += double{info.logp};
  EXPECT_NEAR(sum, -94.563285, 1e-4);

  const ScoreRow row{{1}, sample.tokens};
  const Score scored = score(model.decoder(), {&row, 1}).front();
  EXPECT_NEAR(scored.logp, -94.563285, 1e-4);
  EXPECT_TRUE(scored.greedy);
  for (size_t i = 0; i < scored.logps.size(); ++i) EXPECT_NEAR(scored.logps[i], sample.infos[i].logp, 1e-4F);
  // One space goes with the beginning of the text, those between words stay.
  EXPECT_EQ(sample.text.substr(0, 16), "Once upon a time");
}

}  // namespace
}  // namespace fettle
