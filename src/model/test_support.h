#pragma once
// Small models and batches for the tests of this module.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "model/decoder.h"

namespace fettle::test {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.family = "llama";
  config.vocab_size = 19;
  config.hidden_size = 12;
  config.intermediate_size = 20;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 6;
  config.context_length = 64;
  return config;
}

/// Values large enough that every path matters; norms near one.
inline void randomise(Parameters& parameters, uint64_t seed) {
  uint64_t stream = 0;
  for (const auto& parameter : parameters.all()) {
    Random random(seed, ++stream);
    const bool norm =
        parameter->name.find("norm") != std::string::npos && parameter->name.ends_with("weight");
    for (float& value : parameter->value.flat<float>()) {
      value = static_cast<float>((norm ? 1.0 : 0.0) + 0.3 * random.normal());
    }
  }
}

/// Parameters with gradients of their own.
struct Model {
  ModelConfig config;
  Parameters parameters;
  Parameters gradients;

  explicit Model(const ModelConfig& model, uint64_t seed = 1)
      : config(model), parameters(allocate_parameters(parameter_shapes(model))) {
    randomise(parameters, seed);
    train_all();
  }
  void train_all() { attach(parameters, gradients); }
  /// Makes everything trainable with fresh gradients.
  static void attach(Parameters& values, Parameters& grads) {
    std::vector<ParameterShape> shapes;
    for (const auto& parameter : values.all()) {
      shapes.push_back({parameter->name, parameter->value.rows, parameter->value.cols});
    }
    grads = allocate_parameters(shapes);
    for (const auto& parameter : values.all()) {
      parameter->trainable = true;
      parameter->grad = grads.find(parameter->name)->value;
    }
  }
  static void freeze(Parameters& values) {
    for (const auto& parameter : values.all()) {
      parameter->trainable = false;
      parameter->grad = Tensor();
    }
  }
};

inline void zero_gradients(Parameters& parameters) {
  for (const auto& parameter : parameters.all()) {
    if (!parameter->trainable) continue;
    for (float& value : parameter->grad.flat<float>()) value = 0.0F;
  }
}

inline std::vector<int32_t> random_tokens(int32_t count, int32_t vocab, uint64_t seed) {
  Random random(seed, 99);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab))));
  return tokens;
}

/// Two sequences, one with a mask, and a prompt that two answers share.
inline Batch mixed_batch(int32_t vocab) {
  Batch batch;
  append_sequence(batch, random_tokens(5, vocab, 1));
  const std::vector<uint8_t> mask{0, 0, 1, 0, 1, 1, 1};
  append_sequence(batch, random_tokens(7, vocab, 2), mask);
  const std::vector<int32_t> prompt = random_tokens(4, vocab, 3), chosen = random_tokens(3, vocab, 4),
                             rejected = random_tokens(5, vocab, 5);
  const std::vector<std::span<const int32_t>> answers{chosen, rejected};
  append_shared_prompt(batch, prompt, answers);
  return batch;
}

inline std::vector<float> random_weights(size_t count, uint64_t seed) {
  Random random(seed, 7);
  std::vector<float> weights;
  for (size_t i = 0; i < count; ++i) weights.push_back(static_cast<float>(random.normal()));
  return weights;
}

/// Σ weights · logp of a fresh forward pass.
inline double weighted_logp(Decoder& decoder, const Batch& batch, const std::vector<float>& weights) {
  std::vector<float> logp(batch.labels.size());
  decoder.forward(batch, logp);
  double sum = 0.0;
  for (size_t i = 0; i < logp.size(); ++i) sum += double{logp[i]} * double{weights[i]};
  return sum;
}

/// Checks every trainable parameter's gradient along itself and along a random direction.
inline void expect_gradients(Decoder& decoder, const std::vector<Parameters*>& sets, const Batch& batch) {
  const std::vector<float> weights = random_weights(batch.labels.size(), 11);
  for (Parameters* set : sets) zero_gradients(*set);
  decoder.forward(batch, {});
  decoder.backward(batch, weights);
  uint64_t stream = 1000;
  for (Parameters* set : sets) {
    for (const auto& parameter : set->all()) {
      if (!parameter->trainable) continue;
      const std::span<float> values = parameter->value.flat<float>(), grad = parameter->grad.flat<float>();
      const std::vector<float> original(values.begin(), values.end());
      double norm = 0.0;
      for (const float g : grad) norm += double{g} * double{g};
      norm = std::sqrt(norm);
      for (const bool along_gradient : {true, false}) {
        Random random(3, ++stream);
        std::vector<double> direction;
        double length = 0.0, expected = 0.0;
        for (const float g : grad) {
          direction.push_back(along_gradient ? double{g} + 1e-12 : random.normal());
          length += direction.back() * direction.back();
        }
        length = std::sqrt(length);
        const double step = 2e-3;
        const auto moved = [&](double by) {
          for (size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<float>(double{original[i]} + by * direction[i] / length);
          }
          return weighted_logp(decoder, batch, weights);
        };
        for (size_t i = 0; i < grad.size(); ++i) expected += double{grad[i]} * direction[i] / length;
        // Central differences of two widths, combined so that the cubic term drops out.
        const double narrow = moved(step) - moved(-step), wide = moved(2.0 * step) - moved(-2.0 * step);
        const double measured = (8.0 * narrow - wide) / (12.0 * step);
        EXPECT_NEAR(measured, expected, 3e-3 * norm + 2e-3) << parameter->name;
      }
      std::copy(original.begin(), original.end(), values.begin());
    }
  }
}

}  // namespace fettle::test
