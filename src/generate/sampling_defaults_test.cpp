#include "generate/sampling_defaults.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace fettle {
namespace {

SamplingDefaults of(const char* json) {
  return sampling_defaults(Json::parse(json), "generation_config.json");
}

TEST(SamplingDefaults, GreedyWhereTheFileSaysNothingOfSampling) {
  EXPECT_TRUE(of(R"({"eos_token_id": [2], "transformers_version": "5.0"})").sampling.greedy());
  EXPECT_FALSE(of(R"({"eos_token_id": 2})").from_model);
  EXPECT_TRUE(of(R"({"do_sample": false, "temperature": 0.6, "top_p": 0.9})").sampling.greedy());
  EXPECT_TRUE(of(R"({"temperature": null, "top_p": null})").sampling.greedy());
}

TEST(SamplingDefaults, TheFilesOwnValues) {
  const auto defaults = of(
      R"({"do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.01, "repetition_penalty": 1.05})");
  EXPECT_TRUE(defaults.from_model);
  const OrderedJson shown = to_json(defaults.sampling);
  EXPECT_EQ(shown.dump(),
            R"({"temperature":0.6,"top_p":0.95,"top_k":20,"min_p":0.01,"repetition_penalty":1.05})");
  EXPECT_FLOAT_EQ(of(R"({"do_sample": true})").sampling.temperature, 1.0F);
  EXPECT_FLOAT_EQ(of(R"({"top_k": 5})").sampling.temperature, 1.0F);
  EXPECT_EQ(of(R"({"top_k": -1, "temperature": 1})").sampling.top_k, 0);
}

TEST(SamplingDefaults, NamesWhatHasNoEffectAndWhatIsWrong) {
  const auto defaults =
      of(R"({"num_beams": 1, "no_repeat_ngram_size": 3, "suppress_tokens": null, "typical_p": 0.9})");
  EXPECT_EQ(defaults.ignored, (std::vector<std::string>{"no_repeat_ngram_size: 3", "typical_p: 0.9"}));
  for (const char* wrong :
       {R"({"temperature": "hot"})", R"({"temperature": -1})", R"({"top_p": 2})", R"({"top_k": 1e12})",
        R"({"do_sample": "yes"})", R"({"repetition_penalty": 0})"}) {
    EXPECT_THROW(of(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace fettle
