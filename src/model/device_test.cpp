// Every family on a device whose memory the host cannot touch: training, scoring, generation and adapters give the bits that
// the same kernels give on host memory. A host read of a device's tensor ends the test.
#include "model/device.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "kernels/backends.h"
#include "model/families/families.h"
#include "model/test_support.h"

namespace fettle {
namespace {

struct Case {
  std::string name;
  ModelConfig config;
};

std::vector<Case> families() {
  std::vector<Case> all;
  for (const auto& file : fs::directory_iterator(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/model")) {
    if (file.path().extension() != ".json") continue;
    const std::string name = file.path().stem().string();
    all.push_back({name, config_from_hf(read_json(file.path())["config"], name)});
  }
  std::sort(all.begin(), all.end(), [](const Case& a, const Case& b) { return a.name < b.name; });
  return all;
}

/// Everything that a run computed, one value behind the other.
class Results {
 public:
  explicit Results(Backend& backend) : backend_(backend) {}
  void add(const std::vector<float>& values) { all_.insert(all_.end(), values.begin(), values.end()); }
  void add(const Tensor& tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.size()));
    backend_.copy_to_host(values.data(), tensor);
    add(values);
  }
  const std::vector<float>& all() const { return all_; }

 private:
  Backend& backend_;
  std::vector<float> all_;
};

/// Trainable parameters and their gradients, in the backend's memory.
void place(Parameters& values, Parameters& gradients, Backend& backend) {
  test::Model::attach(values, gradients);
  move_to(values, backend);
  move_to(gradients, backend);
  for (const auto& parameter : values.all()) parameter->grad = gradients.find(parameter->name)->value;
}

void generate(Decoder& decoder, Backend& backend, Results& results) {
  const ModelConfig& config = decoder.config();
  const std::vector<int32_t> tokens = test::random_tokens(9, config.vocab_size, 8);
  KvCache cache = KvCache::make(config, 24, DType::bf16, backend);
  const Buffer memory(int64_t{config.vocab_size} * 4, backend.memory());
  const Tensor logits(memory.data(), DType::f32, 1, config.vocab_size);
  for (int32_t begin = 0; begin < 9; begin += 3) {
    Batch batch;
    std::vector<int32_t> rows;
    for (int32_t t = begin; t < begin + 3; ++t) {
      batch.tokens.push_back(tokens[static_cast<size_t>(t)]);
      batch.positions.push_back(t);
      rows.push_back(2 + t);
    }
    batch.label_rows = {2};
    batch.ranges = {{2, 2 + begin}};
    batch.spans = {{0, 3, 2 + begin, 0, begin > 0 ? 1 : 0}};
    decoder.extend(batch, rows, cache, logits);
    results.add(logits);
  }
}

void train_and_score(Decoder& decoder, Backend& backend, Results& results, const std::vector<Parameters*>& trained) {
  const ModelConfig& config = decoder.config();
  const Batch batch = test::mixed_batch(config.vocab_size);
  std::vector<float> logp(batch.labels.size());
  std::vector<int32_t> best(logp.size());
  decoder.score(batch, logp, best);
  results.add(logp);
  decoder.forward(batch, logp);
  decoder.backward(batch, test::random_weights(logp.size(), 3), {}, 0.1F);
  results.add({static_cast<float>(decoder.router_loss())});
  for (const Parameters* parameters : trained)
    for (const auto& parameter : parameters->all())
      if (parameter->trainable) results.add(parameter->grad);
  const Buffer memory(static_cast<int64_t>(logp.size()) * config.hidden_size * 4, backend.memory());
  const Tensor hidden(memory.data(), DType::f32, static_cast<int64_t>(logp.size()), config.hidden_size);
  decoder.hidden(batch, hidden);
  results.add(hidden);
}

std::vector<float> run_model(const ModelConfig& config, Backend& backend, DecoderOptions options) {
  test::Model model(config);
  place(model.parameters, model.gradients, backend);
  Decoder decoder(config, model.parameters, backend, options);
  Results results(backend);
  train_and_score(decoder, backend, results, {&model.parameters});
  decoder.weights_changed();
  generate(decoder, backend, results);
  return results.all();
}

std::vector<float> run_adapter(const ModelConfig& config, AdapterConfig settings, float factor, Backend& backend) {
  test::Model model(config);
  test::Model::freeze(model.parameters);
  settings.rank = 3;
  settings.dropout = 0.25F;
  Adapter adapter = make_adapter(config, settings, 5, &model.parameters);
  Adapter second = make_adapter(config, {.rank = 2, .targets = {"all-linear"}}, 7);
  test::randomise(adapter.parameters, 6);
  test::randomise(second.parameters, 9);
  Parameters gradients, second_gradients;
  place(adapter.parameters, gradients, backend);
  place(second.parameters, second_gradients, backend);
  move_to(model.parameters, backend);
  Decoder decoder(config, model.parameters, backend);
  decoder.set_adapters({{&adapter, factor}});
  decoder.set_dropout_step(4, 2);
  Results results(backend);
  train_and_score(decoder, backend, results, {&adapter.parameters});
  decoder.weights_changed();
  decoder.set_dropout_step(0, 0);
  decoder.set_adapters({{&adapter, factor}, {&second, 0.5F}});
  train_and_score(decoder, backend, results, {&adapter.parameters, &second.parameters});
  generate(decoder, backend, results);
  return results.all();
}

TEST(Device, EveryFamilyTrainsScoresAndGenerates) {
  const auto host = make_reference_backend(), device = make_backend("reference");
  const std::vector<Case> all = families();
  EXPECT_GE(all.size(), 27U);
  for (const Case& one : all) {
    SCOPED_TRACE(one.name);
    EXPECT_EQ(run_model(one.config, *device, {}), run_model(one.config, *host, {}));
  }
}

TEST(Device, EveryFamilyOnTheProcessorsKernels) {
  const auto host = make_cpu_backend(), device = make_backend("reference:cpu");
  for (const Case& one : families()) {
    SCOPED_TRACE(one.name);
    const DecoderOptions options{.product = Product::bf16, .recompute = Recompute::block};
    EXPECT_EQ(run_model(one.config, *device, options), run_model(one.config, *host, options));
  }
}

TEST(Device, AdaptersOfEveryKind) {
  const auto host = make_cpu_backend(), device = make_backend("reference:cpu");
  for (const char* name : {"llama", "gpt2", "mixtral", "gemma3"}) {
    SCOPED_TRACE(name);
    const ModelConfig config =
        config_from_hf(read_json(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/model" / (std::string(name) + ".json"))["config"], name);
    AdapterConfig lora, dora, rows;
    lora.targets = dora.targets = {"all-linear"};
    dora.dora = true;
    const bool gpt2 = std::string(name) == "gpt2";
    rows.targets = {gpt2 ? "c_attn" : "q_proj"};
    rows.token_indices = {{gpt2 ? "wte" : "embed_tokens", {3, 4, 7}}};
    for (const AdapterConfig& settings : {lora, dora, rows}) {
      for (const float factor : {1.0F, 0.5F})
        EXPECT_EQ(run_adapter(config, settings, factor, *device), run_adapter(config, settings, factor, *host));
    }
  }
}

TEST(Device, WholeModulesAreBlendedThere) {
  const auto host = make_cpu_backend(), device = make_backend("reference:cpu");
  AdapterConfig settings;
  settings.targets = {"q_proj"};
  settings.modules_to_save = {"norm", "o_proj", "embed_tokens"};
  for (const float factor : {1.0F, 0.3F})
    EXPECT_EQ(run_adapter(test::tiny_config(), settings, factor, *device),
              run_adapter(test::tiny_config(), settings, factor, *host));
}

TEST(Device, WeightsOfAnyStoredTypeMoveThereAndBack) {
  const auto cpu = make_cpu_backend(), device = make_backend("reference:cpu");
  for (const DType type : {DType::f16, DType::bf16, DType::q8_0, DType::q4_k}) {
    const Buffer memory(row_bytes(type, 256) * 8);
    Parameters parameters;
    // Rows with a gap between them, as the parts of a fused weight have.
    parameters.add("w", Tensor(memory.data(), type, 4, 256, 512));
    parameters.add("b", Tensor(memory.data(), type, 2, 256));
    const std::vector<float> values(256, 0.5F);
    for (const auto& parameter : parameters.all())
      for (int64_t row = 0; row < parameter->value.rows; ++row)
        cpu->copy(parameter->value.row_slice(row, row + 1), Tensor(const_cast<float*>(values.data()), DType::f32, 1, 256));
    const Tensor before = parameters.find("w")->value;
    EXPECT_EQ(on_host(parameters, *cpu).find("w")->value.data, memory.data());
    move_to(parameters, *cpu);
    EXPECT_EQ(parameters.find("w")->value.data, memory.data());
    move_to(parameters, *device);
    EXPECT_NE(parameters.find("w")->value.data, memory.data());
    const Parameters back = on_host(parameters, *device);
    EXPECT_TRUE(back.find("w")->value.contiguous());
    for (int64_t row = 0; row < 4; ++row)
      EXPECT_EQ(0, std::memcmp(back.find("w")->value.row_slice(row, row + 1).data, before.row_slice(row, row + 1).data,
                               static_cast<size_t>(row_bytes(type, 256))));
  }
}

}  // namespace
}  // namespace fettle
