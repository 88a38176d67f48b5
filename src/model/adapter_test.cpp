#include "model/adapter.h"

#include <gtest/gtest.h>

#include "model/test_support.h"

namespace fettle {
namespace {

using test::Model;

/// An adapter on every linear layer whose B is not zero, trainable; the base is frozen.
struct Adapted {
  explicit Adapted(const ModelConfig& config, float dropout = 0.0F) : model(config) {
    Model::freeze(model.parameters);
    AdapterConfig settings;
    settings.rank = 3;
    settings.alpha = 4.5F;
    settings.dropout = dropout;
    settings.targets = {"all-linear"};
    adapter = make_adapter(config, settings, 5);
    test::randomise(adapter.parameters, 6);
    Model::attach(adapter.parameters, gradients);
  }
  Model model;
  Adapter adapter;
  Parameters gradients;
};

ModelConfig plain_gpt2() {
  ModelConfig config = test::tiny_config();
  config.family = "gpt2";
  config.norm = NormKind::layer;
  config.norm_bias = config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.position = PositionKind::learned;
  config.gated_mlp = false;
  config.kv_heads = config.heads;
  return config;
}

TEST(Adapter, FreshOnesChangeNothing) {
  const auto backend = make_reference_backend();
  Model model(test::tiny_config());
  Adapter adapter = make_adapter(model.config, {}, 1);
  EXPECT_EQ(adapter.parameters.all().size(), 2U * 7U * 2U);
  Decoder decoder(model.config, model.parameters, *backend);
  const Batch batch = test::mixed_batch(model.config.vocab_size);
  std::vector<float> before(batch.labels.size()), after(before.size());
  decoder.score(batch, before);
  decoder.set_adapters({{&adapter}});
  decoder.score(batch, after);
  EXPECT_EQ(before, after);
}

TEST(Adapter, GradientsOverAFrozenBase) {
  const auto backend = make_reference_backend();
  for (const ModelConfig& config : {test::tiny_config(), plain_gpt2()}) {
    SCOPED_TRACE(config.family);
    Adapted adapted(config);
    Decoder decoder(config, adapted.model.parameters, *backend);
    decoder.set_adapters({{&adapted.adapter, 0.8F}});
    test::expect_gradients(decoder, {&adapted.adapter.parameters}, test::mixed_batch(config.vocab_size));
  }
}

TEST(Adapter, GradientsWithDropoutAndRecomputation) {
  const auto backend = make_reference_backend();
  for (const ModelConfig& config : {test::tiny_config(), plain_gpt2()}) {
    Adapted adapted(config, 0.3F);
    Decoder decoder(config, adapted.model.parameters, *backend, {.recompute = Recompute::block});
    decoder.set_adapters({{&adapted.adapter}});
    decoder.set_dropout_step(9, 4);
    const Batch batch = test::mixed_batch(config.vocab_size);
    test::expect_gradients(decoder, {&adapted.adapter.parameters}, batch);
    std::vector<float> dropped(batch.labels.size()), scored(dropped.size()), again(dropped.size());
    decoder.forward(batch, dropped);
    decoder.score(batch, scored);
    EXPECT_NE(dropped, scored);
    decoder.set_dropout_step(9, 5);
    decoder.forward(batch, again);
    EXPECT_NE(dropped, again);
    decoder.set_dropout_step(0, 0);
    decoder.forward(batch, again);
    EXPECT_EQ(scored, again);
  }
}

TEST(Adapter, GradientsOfEmbeddingHeadRowsAndWholeModules) {
  const auto backend = make_reference_backend();
  std::vector<AdapterConfig> kinds(4);
  kinds[0].targets = {"embed_tokens", "lm_head"};
  kinds[1].targets = {"q_proj"};
  kinds[1].token_indices = {{"embed_tokens", {3, 4, 7}}, {"lm_head", {2, 3}}};
  kinds[2].targets = {"q_proj"};
  kinds[2].modules_to_save = {"norm", "o_proj", "embed_tokens"};
  kinds[3].targets = {"up_proj"};
  kinds[3].token_indices = {{"embed_tokens", {0, 1, 2, 3, 4, 5}}};
  for (const AdapterConfig& kind : kinds) {
    for (const bool tied : {false, true}) {
      ModelConfig config = test::tiny_config();
      config.logit_scale = 0.7F;
      config.embedding_scale = 1.5F;
      config.tied_embeddings = tied;
      Model model(config);
      Model::freeze(model.parameters);
      AdapterConfig settings = kind;
      settings.rank = 2;
      Adapter adapter = make_adapter(config, settings, 5, &model.parameters);
      test::randomise(adapter.parameters, 6);
      Parameters gradients;
      Model::attach(adapter.parameters, gradients);
      Decoder decoder(config, model.parameters, *backend);
      decoder.set_adapters({{&adapter}});
      if (kind.token_indices.empty())
        test::expect_gradients(decoder, {&adapter.parameters}, test::mixed_batch(config.vocab_size));
      const Batch batch = test::mixed_batch(config.vocab_size);
      std::vector<float> beside(batch.labels.size()), merged(beside.size());
      decoder.score(batch, beside);
      ModelConfig untied = config;
      Parameters weights = merge_adapter(untied, model.parameters, adapter);
      EXPECT_EQ(untied.tied_embeddings, tied && !adapter.separates_head());
      Decoder(untied, weights, *backend).score(batch, merged);
      for (size_t i = 0; i < merged.size(); ++i) EXPECT_NEAR(merged[i], beside[i], 3e-5F);
    }
  }
}

TEST(Adapter, ABiasThatTheModelHasNoPlaceForIsNotMerged) {
  ModelConfig config = test::tiny_config();
  const Model model(config);
  AdapterConfig settings{.rank = 2, .targets = {"up_proj"}};
  settings.lora_bias = true;
  const Adapter adapter = make_adapter(config, settings, 5, &model.parameters);
  try {
    merge_adapter(config, model.parameters, adapter);
    FAIL() << "was merged";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("layers.0.up.bias"), std::string::npos);
  }
}

TEST(Adapter, SeveralAtOnceAndBesideATrainableBase) {
  const auto backend = make_reference_backend();
  Adapted adapted(test::tiny_config());
  adapted.model.train_all();
  Adapter second = make_adapter(adapted.model.config, {.rank = 2, .targets = {"q_proj", "down_proj"}}, 8);
  test::randomise(second.parameters, 9);
  Parameters gradients;
  Model::attach(second.parameters, gradients);
  Decoder decoder(adapted.model.config, adapted.model.parameters, *backend);
  decoder.set_adapters({{&adapted.adapter, 0.5F}, {&second, 2.0F}});
  test::expect_gradients(decoder,
                         {&adapted.adapter.parameters, &second.parameters, &adapted.model.parameters},
                         test::mixed_batch(adapted.model.config.vocab_size));
}

TEST(Adapter, MergingEqualsApplying) {
  const auto backend = make_reference_backend();
  for (const ModelConfig& config : {test::tiny_config(), plain_gpt2()}) {
    Adapted adapted(config);
    const Batch batch = test::mixed_batch(config.vocab_size);
    std::vector<float> applied(batch.labels.size()), merged(applied.size()), plain(applied.size());
    Decoder decoder(config, adapted.model.parameters, *backend);
    decoder.score(batch, plain);
    decoder.set_adapters({{&adapted.adapter, 0.7F}});
    decoder.score(batch, applied);
    decoder.set_adapters({});
    ModelConfig same = config;
    Parameters weights = merge_adapter(same, adapted.model.parameters, adapted.adapter, 0.7F);
    EXPECT_EQ(same.tied_embeddings, config.tied_embeddings);
    Decoder(config, weights, *backend).score(batch, merged);
    EXPECT_NE(plain, applied);
    for (size_t i = 0; i < merged.size(); ++i) EXPECT_NEAR(merged[i], applied[i], 2e-5F);
  }
}

TEST(Adapter, ScaleFollowsThePaperOrRankStabilisation) {
  AdapterConfig config;
  config.rank = 4;
  config.alpha = 8.0F;
  config.alpha_pattern = {{"layers.1.*", 4.0F}};
  const auto scale = [&](const char* module) {
    return find_lora(make_adapter(test::tiny_config(), config, 1), module).scale;
  };
  EXPECT_FLOAT_EQ(scale("layers.0.q"), 2.0F);
  EXPECT_FLOAT_EQ(scale("layers.1.q"), 1.0F);
  config.rslora = true;
  EXPECT_FLOAT_EQ(scale("layers.0.q"), 4.0F);
}

TEST(Adapter, AStrangersAdapterIsRefused) {
  const auto backend = make_reference_backend();
  Model model(test::tiny_config());
  ModelConfig wider = model.config;
  wider.intermediate_size = 24;
  Adapter adapter = make_adapter(wider, {}, 1);
  Decoder decoder(model.config, model.parameters, *backend);
  EXPECT_THROW(decoder.set_adapters({{&adapter}}), Error);
  EXPECT_THROW(make_adapter(model.config, {.targets = {"c_attn"}}, 1), Error);
}

}  // namespace
}  // namespace fettle
