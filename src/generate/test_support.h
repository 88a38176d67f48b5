#pragma once
// A small random model, a tokenizer whose tokens are bytes, and the plain loop that the engine must equal.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>

#include "base/json.h"
#include "base/random.h"
#include "base/threads.h"
#include "generate/engine.h"
#include "generate/score.h"
#include "model/decoder.h"

namespace fettle::test {

/// Ids: 0 unknown, 1 begin, 2 end of sequence, 3 + b the byte b.
inline std::shared_ptr<const Tokenizer> byte_tokenizer() {
  OrderedJson vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  OrderedJson added = OrderedJson::array();
  for (const char* token : {"<unk>", "<s>", "</s>"}) {
    added.push_back({{"id", vocabulary[token]},
                     {"content", token},
                     {"special", true},
                     {"normalized", false},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false}});
  }
  const OrderedJson json = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocabulary},
        {"merges", OrderedJson::array()}}}};
  return Tokenizer::from_json(json.dump(), "bytes");
}

constexpr int32_t byte_vocabulary = 259;

inline ModelConfig byte_config() {
  ModelConfig config;
  config.family = "llama";
  config.vocab_size = byte_vocabulary;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 6;
  config.context_length = 160;
  return config;
}

/// Weights large enough that the model says something of its own.
struct SmallModel {
  ModelConfig config;
  Parameters parameters;
  std::unique_ptr<Backend> backend = make_cpu_backend();
  Decoder decoder;

  explicit SmallModel(const ModelConfig& c = byte_config(), uint64_t seed = 5)
      : config(c), parameters(random_parameters(c, seed)), decoder(config, scaled(parameters), *backend) {
    set_threads(1);  // such small products only wait for each other
  }

  static Parameters& scaled(Parameters& parameters) {
    for (const auto& parameter : parameters.all()) {
      if (parameter->name.find("norm") != std::string::npos) continue;
      for (float& value : parameter->value.flat<float>()) value *= 12.0F;
    }
    return parameters;
  }
};

inline std::vector<int32_t> random_prompt(int32_t count, uint64_t seed) {
  Random random(seed, 3);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(3 + random.below(256)));
  return tokens;
}

inline GenerationRequest greedy(std::vector<int32_t> prompt, int64_t max_tokens) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0.0F;
  request.max_tokens = max_tokens;
  return request;
}

/// The model's first choices, one whole forward pass per token, no cache.
inline std::vector<int32_t> greedy_by_scoring(Decoder& decoder, std::vector<int32_t> tokens, int64_t count) {
  const size_t prompt = tokens.size();
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int32_t> extended = tokens;
    extended.push_back(0);
    Batch batch;
    append_sequence(batch, extended);
    std::vector<float> logp(batch.labels.size());
    std::vector<int32_t> best(batch.labels.size());
    decoder.score(batch, logp, best);
    tokens.push_back(best.back());
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt), tokens.end()};
}

}  // namespace fettle::test
