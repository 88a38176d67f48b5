#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "model/test_support.h"

namespace fettle {
namespace {

TEST(Config, BrokenOnesAreRefusedWithTheirValue) {
  struct Case {
    std::function<void(ModelConfig&)> change;
    const char* expected;
  };
  const Case cases[] = {
      {[](ModelConfig& c) { c.vocab_size = 0; }, "vocab_size"},
      {[](ModelConfig& c) { c.hidden_size = -3; }, "-3"},
      {[](ModelConfig& c) { c.kv_heads = 3; }, "multiple"},
      {[](ModelConfig& c) { c.hidden_size = 2147483647; }, "too wide"},
      {[](ModelConfig& c) { c.head_dim = 2147483647; }, "too wide"},
      {[](ModelConfig& c) { c.layers = 20000; }, "layers"},
      {[](ModelConfig& c) { c.context_length = int64_t{1} << 40; }, "context"},
      {[](ModelConfig& c) { c.head_dim = 5; }, "even"},
      {[](ModelConfig& c) { c.rope.rotary_dim = 8; }, "head_dim = 6"},
      {[](ModelConfig& c) { c.rope.theta = 0.0; }, "theta"},
      {[](ModelConfig& c) { c.rope.theta = std::nan(""); }, "theta"},
      {[](ModelConfig& c) { c.norm_eps = -1.0F; }, "epsilon"},
      {[](ModelConfig& c) { c.sliding_window = -1; }, "sliding_window"},
      {[](ModelConfig& c) { c.clip_qkv = 1.0F; }, "clip_qkv"},
      {[](ModelConfig& c) {
         c.rope.scaling = RopeScaling::linear;
         c.rope.factor = 0.0;
       },
       "factor"},
      {[](ModelConfig& c) { c.rope.scaling = RopeScaling::yarn; }, "original_max_position_embeddings"},
      {[](ModelConfig& c) { c.tied_embeddings = c.head_bias = true; }, "bias"},
      {[](ModelConfig& c) { c.each.assign(3, c); }, "3 layers are described"},
      {[](ModelConfig& c) { c.mixer = MixerKind::none, c.mlp = MlpKind::none; }, "a mixer, an MLP or both"},
      {[](ModelConfig& c) { c.norm_before = false; }, "norms before or after"},
      {[](ModelConfig& c) {
         c.each.assign(2, c);
         c.each[1].heads = 0;
       },
       "attention heads"},
      {[](ModelConfig& c) {
         c.mlp = MlpKind::experts;
         c.experts = 2;
         c.experts_per_token = 3;
       },
       "cannot go to 3"},
      {[](ModelConfig& c) {
         c.mlp = MlpKind::experts;
         c.experts = 4000;
         c.experts_per_token = 1;
         c.layers = 100;
       },
       "400000 experts"},
  };
  test::tiny_config().validate("ok");
  for (const Case& test : cases) {
    ModelConfig config = test::tiny_config();
    test.change(config);
    try {
      config.validate("model.json");
      ADD_FAILURE() << test.expected;
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(test.expected), std::string_view::npos) << error.what();
      EXPECT_EQ(std::string_view(error.what()).find("model.json: "), 0U);
    }
  }
}

TEST(Config, RopeTables) {
  ModelConfig config = test::tiny_config();
  config.head_dim = 8;
  const std::vector<float> plain = rope_table(config, 0).inverse_frequencies;
  ASSERT_EQ(plain.size(), 4U);
  EXPECT_FLOAT_EQ(plain[0], 1.0F);
  EXPECT_FLOAT_EQ(plain[2], 0.01F);
  config.rope.scaling = RopeScaling::linear;
  config.rope.factor = 4.0;
  EXPECT_FLOAT_EQ(rope_table(config, 0).inverse_frequencies[2], 0.0025F);
  config.rope.scaling = RopeScaling::dynamic;
  EXPECT_EQ(rope_table(config, config.context_length).inverse_frequencies, plain);
  EXPECT_LT(rope_table(config, 2 * config.context_length).inverse_frequencies[3], plain[3]);
  config.rope.scaling = RopeScaling::yarn;
  config.rope.original_context = 32;
  EXPECT_FLOAT_EQ(rope_table(config, 0).magnitude, static_cast<float>(0.1 * std::log(4.0) + 1.0));
  config.rope.attention_factor = 1.5;
  EXPECT_FLOAT_EQ(rope_table(config, 0).magnitude, 1.5F);
}

TEST(Config, AlibiSlopes) {
  EXPECT_EQ(alibi_slopes(4, 8.0F), (std::vector<float>{0.25F, 0.0625F, 0.015625F, 0.00390625F}));
  // Six heads: every second of eight, then the first ones between.
  const std::vector<float> eight = alibi_slopes(8, 8.0F);
  EXPECT_EQ(alibi_slopes(6, 8.0F),
            (std::vector<float>{eight[1], eight[3], eight[5], eight[7], eight[0], eight[2]}));
}

TEST(Parameters, CountsMatchTheConfig) {
  const ModelConfig config = test::tiny_config();
  const Parameters parameters = random_parameters(config, 7);
  EXPECT_EQ(parameters.count(), config.parameter_count());
  EXPECT_EQ(parameters.value_bytes(), 4 * config.parameter_count());
  EXPECT_EQ(parameters.count(true), 0);
  const std::span<float> norm = parameters.find("layers.1.norm2.weight")->value.flat<float>();
  EXPECT_EQ(std::count(norm.begin(), norm.end(), 1.0F), config.hidden_size);
  double square = 0.0;
  const std::span<float> embedding = parameters.find("embed.weight")->value.flat<float>();
  for (const float value : embedding) square += double{value} * double{value};
  EXPECT_NEAR(std::sqrt(square / static_cast<double>(embedding.size())), 0.02, 0.003);
  EXPECT_EQ(parameters.find("nothing"), nullptr);
}

TEST(Batch, SequencesAndSharedPrompts) {
  Batch batch;
  const std::vector<int32_t> tokens{5, 6, 7, 8};
  const std::vector<uint8_t> mask{1, 0, 1, 1};
  EXPECT_EQ(append_sequence(batch, tokens, mask), 0);
  EXPECT_EQ(batch.labels, (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(batch.label_rows, (std::vector<int32_t>{1, 2}));
  const std::vector<int32_t> chosen{9, 10}, rejected{11};
  const std::vector<std::span<const int32_t>> answers{chosen, rejected};
  EXPECT_EQ(append_shared_prompt(batch, tokens, answers), 2);
  EXPECT_EQ(batch.labels, (std::vector<int32_t>{7, 8, 9, 10, 11}));
  EXPECT_EQ(batch.label_rows, (std::vector<int32_t>{1, 2, 7, 8, 7}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 4}));
  ASSERT_EQ(batch.spans.size(), 4U);
  EXPECT_EQ(batch.spans[3].q_begin, 10);
  EXPECT_EQ(batch.spans[3].range_end - batch.spans[3].range_begin, 1);
  EXPECT_EQ(batch.ranges[0].end, 8);
  batch.clear();
  EXPECT_EQ(batch.size(), 0);
}

}  // namespace
}  // namespace fettle
