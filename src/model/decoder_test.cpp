#include "model/decoder.h"

#include <gtest/gtest.h>

#include <functional>

#include "model/test_support.h"

namespace fettle {
namespace {

using test::Model;

struct Variant {
  const char* name;
  std::function<void(ModelConfig&)> change;
};

/// Every switch of ModelConfig, alone and in the combinations that families use.
std::vector<Variant> variants() {
  const auto layer_norm = [](ModelConfig& c) {
    c.norm = NormKind::layer;
    c.norm_bias = true;
  };
  return {
      {"llama", [](ModelConfig&) {}},
      {"tied", [](ModelConfig& c) { c.tied_embeddings = true; }},
      {"many_kv_heads", [](ModelConfig& c) { c.kv_heads = c.heads; }},
      {"window", [](ModelConfig& c) { c.sliding_window = 3; }},
      {"biases", [](ModelConfig& c) { c.qkv_bias = c.output_bias = c.mlp_bias = c.head_bias = true; }},
      {"gemma",
       [](ModelConfig& c) {
         c.norm_offset = 1.0F;
         c.embedding_scale = 3.5F;
         c.activation = Activation::gelu_tanh;
         c.tied_embeddings = true;
       }},
      {"gpt2",
       [=](ModelConfig& c) {
         layer_norm(c);
         c.position = PositionKind::learned;
         c.gated_mlp = false;
         c.activation = Activation::gelu;
         c.qkv_bias = c.output_bias = c.mlp_bias = true;
       }},
      {"neox",
       [=](ModelConfig& c) {
         layer_norm(c);
         c.block = BlockKind::parallel_two_norms;
         c.gated_mlp = false;
         c.rope.rotary_dim = 4;
         c.activation = Activation::gelu_quick;
       }},
      {"phi",
       [=](ModelConfig& c) {
         layer_norm(c);
         c.block = BlockKind::parallel_shared_norm;
         c.gated_mlp = false;
         c.head_bias = true;
       }},
      {"gated_parallel", [](ModelConfig& c) { c.block = BlockKind::parallel_two_norms; }},
      {"mpt",
       [](ModelConfig& c) {
         c.norm = NormKind::layer;
         c.position = PositionKind::alibi;
         c.gated_mlp = false;
         c.clip_qkv = 0.5F;
         c.attention_scale = 0.7F;
       }},
      {"no_position", [](ModelConfig& c) { c.position = PositionKind::none; }},
      {"interleaved",
       [](ModelConfig& c) {
         c.rope.interleaved = true;
         c.rope.scaling = RopeScaling::yarn;
         c.rope.factor = 4.0;
         c.rope.original_context = 16;
       }},
      {"logit_scale", [](ModelConfig& c) { c.logit_scale = 0.4F; }},
      {"qk_norm", [](ModelConfig& c) { c.qk_norm = true; }},
      {"norms_around",
       [](ModelConfig& c) {
         c.norm_after = c.qk_norm = true;
         c.norm_offset = 1.0F;
       }},
      {"norms_after",
       [](ModelConfig& c) {
         c.norm_before = false;
         c.norm_after = true;
       }},
      {"layers_that_differ",
       [](ModelConfig& c) {
         c.each.assign(2, c);
         c.each[0].sliding_window = 3;
         c.each[0].rope.theta = 100.0;
         c.each[0].qk_norm = true;
         c.each[1].heads = 3;
         c.each[1].head_dim = 4;
         c.each[1].intermediate_size = 8;
         c.each[1].gated_mlp = false;
         c.each[1].position = PositionKind::none;
       }},
      {"experts",
       [](ModelConfig& c) {
         c.mlp = MlpKind::experts;
         c.experts = 3;
         c.experts_per_token = 2;
       }},
      {"experts_in_one_layer",
       [](ModelConfig& c) {
         c.each.assign(2, c);
         c.each[1].mlp = MlpKind::experts;
         c.each[1].experts = 4;
         c.each[1].experts_per_token = 1;
         c.each[1].norm_after = true;
       }},
      {"branches_alone",
       [](ModelConfig& c) {
         c.layers = 4;
         c.each.assign(4, c);
         c.each[0].mlp = MlpKind::none;
         c.each[1].mixer = MixerKind::none;
         c.each[2].mlp = MlpKind::none;
         c.each[2].norm_after = true;
         c.each[3].mixer = MixerKind::none;
         c.each[3].norm_after = true;
       }},
  };
}

ModelConfig config_of(const Variant& variant) {
  ModelConfig config = test::tiny_config();
  variant.change(config);
  return config;
}

TEST(Decoder, GradientsOfEveryConfigSwitch) {
  const auto backend = make_reference_backend();
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    Model model(config_of(variant));
    Decoder decoder(model.config, model.parameters, *backend);
    test::expect_gradients(decoder, {&model.parameters}, test::mixed_batch(model.config.vocab_size));
  }
}

std::vector<float> all_gradients(const Parameters& parameters) {
  std::vector<float> all;
  for (const auto& parameter : parameters.all()) {
    if (!parameter->trainable) continue;
    const std::span<float> grad = parameter->grad.flat<float>();
    all.insert(all.end(), grad.begin(), grad.end());
  }
  return all;
}

TEST(Decoder, RecomputationChangesNoBit) {
  const auto backend = make_reference_backend();
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    Model model(config_of(variant));
    const Batch batch = test::mixed_batch(model.config.vocab_size);
    const std::vector<float> dlogp = test::random_weights(batch.labels.size(), 3);
    std::vector<std::vector<float>> gradients, logps;
    for (const Recompute recompute : {Recompute::none, Recompute::block}) {
      Decoder decoder(model.config, model.parameters, *backend, {.recompute = recompute});
      test::zero_gradients(model.parameters);
      logps.emplace_back(batch.labels.size());
      decoder.forward(batch, {});
      decoder.backward(batch, dlogp, logps.back());
      gradients.push_back(all_gradients(model.parameters));
    }
    EXPECT_EQ(gradients[0], gradients[1]);
    EXPECT_EQ(logps[0], logps[1]);
  }
}

/// logp of one sequence alone.
std::vector<float> score_alone(Decoder& decoder, const std::vector<int32_t>& tokens) {
  Batch batch;
  append_sequence(batch, tokens);
  std::vector<float> logp(batch.labels.size());
  decoder.score(batch, logp);
  return logp;
}

TEST(Decoder, ASpanDoesNotSeeWhatItIsPackedWith) {
  const auto backend = make_reference_backend();
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    Model model(config_of(variant));
    Decoder decoder(model.config, model.parameters, *backend);
    const std::vector<int32_t> tokens = test::random_tokens(9, model.config.vocab_size, 8);
    const std::vector<float> alone = score_alone(decoder, tokens);
    Batch packed = test::mixed_batch(model.config.vocab_size);
    const int64_t first = append_sequence(packed, tokens);
    append_sequence(packed, test::random_tokens(4, model.config.vocab_size, 6));
    std::vector<float> logp(packed.labels.size());
    decoder.score(packed, logp);
    for (size_t i = 0; i < alone.size(); ++i) EXPECT_EQ(logp[static_cast<size_t>(first) + i], alone[i]);

    // Its gradient: that of the packed batch with every other label's weight zero.
    const std::vector<float> weights = test::random_weights(alone.size(), 5);
    Batch single;
    append_sequence(single, tokens);
    test::zero_gradients(model.parameters);
    decoder.forward(single, {});
    decoder.backward(single, weights);
    const std::vector<float> expected = all_gradients(model.parameters);
    std::vector<float> dlogp(packed.labels.size(), 0.0F);
    std::copy(weights.begin(), weights.end(), dlogp.begin() + first);
    test::zero_gradients(model.parameters);
    decoder.forward(packed, {});
    decoder.backward(packed, dlogp);
    const std::vector<float> found = all_gradients(model.parameters);
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], expected[i], 1e-5F + 1e-4F * std::abs(expected[i]));
  }
}

TEST(Decoder, ASharedPromptEqualsTwoSequences) {
  const auto backend = make_reference_backend();
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    Model model(config_of(variant));
    Decoder decoder(model.config, model.parameters, *backend);
    const std::vector<int32_t> prompt = test::random_tokens(6, model.config.vocab_size, 1);
    const std::vector<int32_t> chosen = test::random_tokens(4, model.config.vocab_size, 2);
    const std::vector<int32_t> rejected = test::random_tokens(5, model.config.vocab_size, 3);
    Batch shared, separate;
    const std::vector<std::span<const int32_t>> answers{chosen, rejected};
    append_shared_prompt(shared, prompt, answers);
    for (const std::vector<int32_t>& answer : {chosen, rejected}) {
      std::vector<int32_t> whole = prompt;
      whole.insert(whole.end(), answer.begin(), answer.end());
      std::vector<uint8_t> mask(whole.size(), 0);
      std::fill(mask.begin() + static_cast<int64_t>(prompt.size()), mask.end(), uint8_t{1});
      append_sequence(separate, whole, mask);
    }
    ASSERT_EQ(shared.labels, separate.labels);
    const std::vector<float> dlogp = test::random_weights(shared.labels.size(), 4);
    std::vector<std::vector<float>> logps, gradients;
    for (const Batch& batch : {shared, separate}) {
      test::zero_gradients(model.parameters);
      logps.emplace_back(batch.labels.size());
      decoder.forward(batch, {});
      decoder.backward(batch, dlogp, logps.back());
      gradients.push_back(all_gradients(model.parameters));
    }
    for (size_t i = 0; i < logps[0].size(); ++i)
      EXPECT_NEAR(logps[0][i], logps[1][i], 2e-6F * std::abs(logps[1][i]) + 1e-6F);
    for (size_t i = 0; i < gradients[0].size(); ++i) {
      ASSERT_NEAR(gradients[0][i], gradients[1][i], 1e-5F + 1e-4F * std::abs(gradients[1][i]));
    }
  }
}

TEST(Decoder, ForwardScoreAndBackwardAgreeOnLogp) {
  const auto backend = make_reference_backend();
  Model model(test::tiny_config());
  Decoder decoder(model.config, model.parameters, *backend);
  const Batch batch = test::mixed_batch(model.config.vocab_size);
  std::vector<float> scored(batch.labels.size()), forwarded(scored.size()), back(scored.size());
  std::vector<int32_t> best(scored.size());
  decoder.score(batch, scored, best);
  decoder.forward(batch, forwarded);
  test::zero_gradients(model.parameters);
  decoder.backward(batch, test::random_weights(scored.size(), 1), back);
  EXPECT_EQ(scored, forwarded);
  EXPECT_EQ(scored, back);
  for (size_t i = 0; i < best.size(); ++i) {
    EXPECT_LE(scored[i], 0.0F);
    if (scored[i] > std::log(0.5F)) {
      EXPECT_EQ(best[i], batch.labels[i]);
    }
  }
}

/// logp of tokens[1…] from logits that extend() gave.
float logp_of(std::span<const float> logits, int32_t label) {
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit});
  return static_cast<float>(double{logits[static_cast<size_t>(label)]} - std::log(sum));
}

/// Feeds `tokens` in steps of `step`; rows of the cache start at `first` and leave a gap in the middle of the
/// sequence.
std::vector<float> extend_logp(Decoder& decoder, const std::vector<int32_t>& tokens, int32_t step,
                               KvCache& cache, int32_t first) {
  const int32_t vocab = decoder.config().vocab_size;
  Buffer buffer(int64_t{vocab} * step * 4);
  std::vector<float> out;
  std::vector<KeyRange> pages;
  for (int32_t begin = 0; begin < static_cast<int32_t>(tokens.size()); begin += step) {
    const int32_t end = std::min(begin + step, static_cast<int32_t>(tokens.size()));
    const int32_t row = first + begin + (begin >= 4 ? 3 : 0);
    Batch batch;
    std::vector<int32_t> rows;
    for (int32_t t = begin; t < end; ++t) {
      batch.tokens.push_back(tokens[static_cast<size_t>(t)]);
      batch.positions.push_back(t);
      batch.label_rows.push_back(t - begin);
      rows.push_back(row + t - begin);
    }
    batch.ranges = pages;
    batch.spans.push_back({0, end - begin, row, 0, static_cast<int32_t>(pages.size())});
    const Tensor logits(buffer.data(), DType::f32, end - begin, vocab);
    decoder.extend(batch, rows, cache, logits);
    pages.push_back({row, row + end - begin});
    for (int32_t t = begin; t < end && t + 1 < static_cast<int32_t>(tokens.size()); ++t) {
      const std::span<const float> row_logits(logits.row<float>(t - begin), static_cast<size_t>(vocab));
      out.push_back(logp_of(row_logits, tokens[static_cast<size_t>(t) + 1]));
    }
  }
  return out;
}

TEST(Decoder, ExtendTokenByTokenEqualsScore) {
  const auto backend = make_reference_backend();
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    Model model(config_of(variant));
    Decoder decoder(model.config, model.parameters, *backend);
    const std::vector<int32_t> tokens = test::random_tokens(11, model.config.vocab_size, 8);
    const std::vector<float> expected = score_alone(decoder, tokens);
    KvCache cache = KvCache::make(model.config, 48, DType::f32, *backend);
    for (const int32_t step : {1, 2, 11}) {
      const std::vector<float> found = extend_logp(decoder, tokens, step, cache, 5 * step % 7);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5F) << "step " << step;
    }
    KvCache half = KvCache::make(model.config, 48, DType::f16, *backend);
    const std::vector<float> rounded = extend_logp(decoder, tokens, 3, half, 0);
    for (size_t i = 0; i < rounded.size(); ++i) EXPECT_NEAR(rounded[i], expected[i], 0.02F);
  }
}

TEST(Decoder, HiddenTimesHeadGivesTheLogits) {
  const auto backend = make_reference_backend();
  Model model(test::tiny_config());
  Decoder decoder(model.config, model.parameters, *backend);
  const std::vector<int32_t> tokens = test::random_tokens(6, model.config.vocab_size, 1);
  Batch batch;
  append_sequence(batch, tokens);
  std::vector<float> values(batch.label_rows.size() * static_cast<size_t>(model.config.hidden_size));
  const Tensor hidden(values.data(), DType::f32, static_cast<int64_t>(batch.label_rows.size()),
                      model.config.hidden_size);
  decoder.hidden(batch, hidden);
  std::vector<float> logits(batch.label_rows.size() * static_cast<size_t>(model.config.vocab_size));
  const Tensor product(logits.data(), DType::f32, hidden.rows, model.config.vocab_size);
  backend->matmul(product, hidden, model.parameters.find("head.weight")->value, {.transpose_b = true});
  const std::vector<float> expected = score_alone(decoder, tokens);
  for (int64_t i = 0; i < hidden.rows; ++i) {
    const std::span<const float> row(product.row<float>(i), static_cast<size_t>(product.cols));
    EXPECT_NEAR(logp_of(row, batch.labels[static_cast<size_t>(i)]), expected[static_cast<size_t>(i)], 1e-5F);
  }
}

TEST(Decoder, OnlyWhatIsTrainableGetsAGradient) {
  const auto backend = make_reference_backend();
  for (const char* lowest :
       {"layers.1.v.weight", "layers.1.down.weight", "layers.0.norm2.weight", "norm.weight", "head.weight"}) {
    SCOPED_TRACE(lowest);
    Model model(test::tiny_config());
    const Batch batch = test::mixed_batch(model.config.vocab_size);
    const std::vector<float> dlogp = test::random_weights(batch.labels.size(), 3);
    const auto run = [&] {
      Decoder decoder(model.config, model.parameters, *backend);
      decoder.forward(batch, {});
      decoder.backward(batch, dlogp);
      const std::span<float> grad = model.parameters.find(lowest)->grad.flat<float>();
      return std::vector<float>(grad.begin(), grad.end());
    };
    const std::vector<float> expected = run();
    Parameter& kept = *model.parameters.find(lowest);
    const Tensor grad = kept.grad;
    Model::freeze(model.parameters);
    kept.trainable = true;
    kept.grad = grad;
    test::zero_gradients(model.parameters);
    EXPECT_EQ(run(), expected);
    const Decoder decoder(model.config, model.parameters, *backend);
    const int64_t partial = decoder.training_bytes(100, 50, Recompute::none);
    model.train_all();
    EXPECT_LE(partial, decoder.training_bytes(100, 50, Recompute::none));
  }
}

TEST(Decoder, ThePlanIsWhatARunTakes) {
  const auto backend = make_reference_backend();
  Model model(test::tiny_config());
  Decoder decoder(model.config, model.parameters, *backend);
  EXPECT_LT(decoder.training_bytes(1000, 10, Recompute::block),
            decoder.training_bytes(1000, 10, Recompute::none));
  EXPECT_LT(decoder.training_bytes(100, 10, Recompute::none),
            decoder.training_bytes(101, 10, Recompute::none));
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    Model planned(config_of(variant));
    Decoder run(planned.config, planned.parameters, *backend);
    const Batch batch = test::mixed_batch(planned.config.vocab_size);
    for (const Recompute recompute : {Recompute::none, Recompute::block}) {
      run.set_recompute(recompute);
      run.reserve_training(batch.size(), static_cast<int64_t>(batch.labels.size()));
      test::zero_gradients(planned.parameters);
      run.forward(batch, {});  // the arena throws if the plan falls short
      run.backward(batch, test::random_weights(batch.labels.size(), 3), {}, 0.5F);
    }
  }
}

TEST(Decoder, CpuEqualsReferenceAndRecomputationChangesNoBit) {
  const auto reference = make_reference_backend();
  const auto cpu = make_cpu_backend();
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    Model model(config_of(variant));
    const Batch batch = test::mixed_batch(model.config.vocab_size);
    const std::vector<float> dlogp = test::random_weights(batch.labels.size(), 3);
    const auto run = [&](Backend& backend, DecoderOptions options) {
      Decoder decoder(model.config, model.parameters, backend, options);
      test::zero_gradients(model.parameters);
      std::vector<float> result(batch.labels.size());
      decoder.forward(batch, {});
      decoder.backward(batch, dlogp, result);
      const std::vector<float> gradients = all_gradients(model.parameters);
      result.insert(result.end(), gradients.begin(), gradients.end());
      return result;
    };
    const std::vector<float> expected = run(*reference, {});
    const std::vector<float> found = run(*cpu, {});
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], expected[i], 2e-4F * std::abs(expected[i]) + 5e-4F) << i;
    }
    EXPECT_EQ(found, run(*cpu, {.recompute = Recompute::block}));
  }
}

TEST(Decoder, Bf16ProductsReadFreshRoundedWeights) {
  const auto cpu = make_cpu_backend();
  if (!cpu->has_bf16()) GTEST_SKIP() << "skipped: no bf16 products on this machine";
  ModelConfig config = test::tiny_config();
  config.hidden_size = config.intermediate_size = 64;
  config.head_dim = 32;
  Model model(config);
  for (const auto& parameter : model.parameters.all()) {
    if (parameter->value.rows == 1) continue;
    for (float& value : parameter->value.flat<float>()) value *= 0.4F;
  }
  const Batch batch = test::mixed_batch(config.vocab_size);
  const std::vector<float> dlogp = test::random_weights(batch.labels.size(), 3);
  std::vector<float> exact(batch.labels.size()), rounded(exact.size()), changed(exact.size()),
      fresh(exact.size());
  {
    Decoder decoder(config, model.parameters, *cpu);
    decoder.score(batch, exact);
  }
  {
    Decoder decoder(config, model.parameters, *cpu, {.product = Product::bf16});
    EXPECT_FALSE(model.parameters.find("layers.0.q.weight")->bf16.absent());
    EXPECT_TRUE(model.parameters.find("norm.weight")->bf16.absent());
    decoder.forward(batch, rounded);
    test::zero_gradients(model.parameters);
    decoder.backward(batch, dlogp);
    for (float& value : model.parameters.find("layers.1.up.weight")->value.flat<float>()) value *= 1.5F;
    decoder.weights_changed();
    decoder.score(batch, changed);
  }
  EXPECT_TRUE(model.parameters.find("layers.0.q.weight")->bf16.absent());
  Decoder decoder(config, model.parameters, *cpu, {.product = Product::bf16});
  decoder.score(batch, fresh);
  EXPECT_EQ(changed, fresh);
  EXPECT_NE(rounded, exact);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i], exact[i], 0.1F);
}

TEST(Decoder, Bf16ActivationsTakeLessAndGiveNearlyTheSameGradients) {
  const auto reference = make_reference_backend(), cpu = make_cpu_backend();
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    const ModelConfig config = config_of(variant);
    const Batch batch = test::mixed_batch(config.vocab_size);
    const std::vector<float> weights = test::random_weights(batch.labels.size(), 11);
    const auto run = [&](Backend& backend, DecoderOptions options) {
      Model model(config);
      Decoder decoder(config, model.parameters, backend, options);
      std::vector<float> logp(batch.labels.size()), scored(logp.size());
      decoder.forward(batch, logp);
      decoder.backward(batch, weights);
      decoder.score(batch, scored);
      EXPECT_EQ(logp, scored);
      std::vector<float> all = logp;
      for (const auto& parameter : model.parameters.all()) {
        const auto grad = parameter->grad.flat<float>();
        all.insert(all.end(), grad.begin(), grad.end());
      }
      return all;
    };
    const std::vector<float> exact = run(*reference, {});
    const std::vector<float> rounded = run(*reference, {.activations = DType::bf16});
    double difference = 0.0, length = 0.0;
    for (size_t i = 0; i < exact.size(); ++i) {
      difference += std::pow(double{exact[i]} - double{rounded[i]}, 2);
      length += std::pow(double{exact[i]}, 2);
    }
    EXPECT_GT(difference, 0.0);
    // A value at which a router or a clip decides otherwise is another function.
    const bool decides = config.expert_count() > 0 || config.clip_qkv > 0.0F;
    EXPECT_LT(std::sqrt(difference / length), decides ? 0.1 : 0.04);
    const std::vector<float> fast = run(*cpu, {.activations = DType::bf16});
    EXPECT_EQ(fast, run(*cpu, {.activations = DType::bf16, .recompute = Recompute::block}));
    double apart = 0.0;
    for (size_t i = 0; i < fast.size(); ++i) apart += std::pow(double{fast[i]} - double{rounded[i]}, 2);
    EXPECT_LT(std::sqrt(apart / length), decides ? 0.1 : 0.04);
  }
  ModelConfig deep = test::tiny_config();
  deep.layers = 24;
  Model model(deep);
  const Decoder wide(deep, model.parameters, *cpu), narrow(deep, model.parameters, *cpu, {.activations = DType::bf16});
  EXPECT_LT(narrow.training_bytes(64, 8, Recompute::none), 7 * wide.training_bytes(64, 8, Recompute::none) / 10);
}

TEST(Decoder, FrozenWeightsOfAnyStoredType) {
  const auto backend = make_reference_backend();
  ModelConfig config = test::tiny_config();
  config.hidden_size = config.intermediate_size = 32;
  config.head_dim = 16;
  const Batch batch = test::mixed_batch(config.vocab_size);
  for (const DType dtype : {DType::f16, DType::bf16, DType::q8_0, DType::q4_1}) {
    SCOPED_TRACE(dtype_name(dtype));
    Model model(config);
    Model::freeze(model.parameters);
    std::vector<std::unique_ptr<Buffer>> buffers;
    for (const auto& parameter : model.parameters.all()) {
      // Files keep norms in f32 beside quantised matrices, and in the same type beside f16 ones.
      if (parameter->value.rows == 1 && is_quantized(dtype)) continue;
      const Tensor from = parameter->value;
      buffers.push_back(std::make_unique<Buffer>(from.rows * row_bytes(dtype, from.cols)));
      parameter->value = Tensor(buffers.back()->data(), dtype, from.rows, from.cols);
      backend->copy(parameter->value, from);
    }
    Adapter adapter = make_adapter(config, {.rank = 2}, 3);
    test::randomise(adapter.parameters, 4);
    Parameters gradients;
    Model::attach(adapter.parameters, gradients);
    const auto run = [&](Parameters& weights) {
      Decoder decoder(config, weights, *backend);
      decoder.set_adapters({{&adapter}});
      test::zero_gradients(adapter.parameters);
      std::vector<float> logp(batch.labels.size());
      decoder.forward(batch, logp);
      decoder.backward(batch, test::random_weights(logp.size(), 3));
      const std::vector<float> all = all_gradients(adapter.parameters);
      logp.insert(logp.end(), all.begin(), all.end());
      return logp;
    };
    Parameters unpacked = to_f32(model.parameters);
    EXPECT_EQ(run(model.parameters), run(unpacked));
  }
}

TEST(Decoder, MissingAndMisshapenWeightsAreNamed) {
  const auto backend = make_reference_backend();
  Model model(test::tiny_config());
  ModelConfig config = model.config;
  config.qkv_bias = true;
  try {
    Decoder decoder(config, model.parameters, *backend);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find("layers.0.q.bias"), std::string_view::npos);
  }
  config = model.config;
  config.intermediate_size = 24;
  EXPECT_THROW(Decoder(config, model.parameters, *backend), Error);
}

}  // namespace
}  // namespace fettle
