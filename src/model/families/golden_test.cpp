// Every family against the published implementation: logits and gradients of small models with all options on
// (tests/golden/model/make_models.py).
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "model/families/families.h"
#include "model/test_support.h"

namespace fettle {
namespace {

uint64_t splitmix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return hash;
}

/// Element i of the published tensor `name`, by the rule of make_models.py.
float published_value(const std::string& name, int64_t index, double norm_base) {
  const bool norm = name.find("norm") != std::string::npos || name.find("ln_") != std::string::npos;
  const bool norm_weight = norm && name.ends_with("weight");
  const double u =
      static_cast<double>(splitmix64(fnv1a64(name) + static_cast<uint64_t>(index)) >> 40) * 0x1.0p-23 - 1.0;
  return static_cast<float>((norm_weight ? norm_base : 0.0) + (norm_weight ? 0.5 : 0.375) * u);
}

/// Calls visit(published flat index, element of ours) for every element of a part.
template <typename Visit>
void for_each_element(const WeightEntry& entry, const WeightPart& part, const Tensor& ours, Visit visit) {
  const bool vector = entry.shape.size() == 1;
  const int64_t total = entry.transposed ? entry.shape[1] : entry.shape[0];
  int64_t at = 0;
  for (const RowRun& run : part.runs) {
    for (int64_t i = 0; i < run.count; ++i, ++at) {
      const int64_t row = run.begin + i * run.step;
      if (vector) {
        visit(row, ours.row<float>(0)[at]);
        continue;
      }
      for (int64_t col = 0; col < ours.cols; ++col) {
        visit(entry.transposed ? col * total + row : row * ours.cols + col, ours.row<float>(at)[col]);
      }
    }
  }
}

struct Golden {
  std::string name;
  Json json;
};

std::vector<Golden> goldens() {
  std::vector<Golden> all;
  const fs::path folder = fs::path(FETTLE_SOURCE_DIR) / "tests/golden/model";
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".json")
      all.push_back({file.path().stem().string(), read_json(file.path())});
  }
  return all;
}

void expect_close(double found, double expected, double scale, const std::string& what) {
  EXPECT_NEAR(found, expected, 1e-4 * scale) << what;
}

void fill_published(Parameters& parameters, const WeightMap& map, double norm_base) {
  for (const WeightEntry& entry : map.entries) {
    for (const WeightPart& part : entry.parts) {
      for_each_element(entry, part, parameters.find(part.name)->value, [&](int64_t index, float& value) {
        value = published_value(entry.published, index, norm_base) + entry.offset;
      });
    }
  }
}

void expect_gradient(const std::vector<float>& flat, const std::vector<double>& expected, const std::string& what) {
  double norm = 0.0;
  for (const float value : flat) norm += double{value} * double{value};
  norm = std::sqrt(norm);
  expect_close(norm, expected[0], expected[0] + 1e-6, what);
  const size_t size = flat.size();
  const size_t picks[] = {0, size / 3, size * 2 / 3, size - 1};
  for (size_t i = 0; i < 4; ++i) expect_close(flat[picks[i]], expected[i + 1], expected[0] + 1e-6, what);
}

/// `interleaved` runs the model in the other RoPE layout, through permuted rows.
void check(const Golden& golden, Backend& backend, bool interleaved) {
  ModelConfig config = config_from_hf(golden.json["config"], golden.name);
  config.set_interleaved(interleaved);
  const WeightMap map = hf_weights(config);
  Parameters parameters = allocate_parameters(parameter_shapes(config)), gradients;
  test::Model::attach(parameters, gradients);
  fill_published(parameters, map, golden.json["norm_base"].get<double>());

  const auto tokens = golden.json["tokens"].get<std::vector<int32_t>>();
  Decoder decoder(config, parameters, backend, {.context_length = static_cast<int64_t>(tokens.size())});
  Batch batch;
  append_sequence(batch, tokens);
  const std::vector<float> dlogp(batch.labels.size(), -1.0F / static_cast<float>(batch.labels.size()));
  std::vector<float> logp(batch.labels.size());
  decoder.forward(batch, {});
  decoder.backward(batch, dlogp, logp, config.router_loss ? config.router_loss_weight : 0.0F);
  if (const auto routed = golden.json.find("router_loss"); routed != golden.json.end()) {
    EXPECT_NEAR(decoder.router_loss(), routed->get<double>(), 1e-5);
  }
  EXPECT_EQ(decoder.router_loss() != 0.0, config.expert_count() > 0);
  double loss = 0.0;
  for (const float value : logp) loss -= double{value} / static_cast<double>(logp.size());
  expect_close(loss, golden.json["loss"].get<double>(), 1.0 + loss, "loss");

  KvCache cache = KvCache::make(config, static_cast<int64_t>(tokens.size()), DType::f32, backend);
  std::vector<int32_t> rows(tokens.size());
  std::iota(rows.begin(), rows.end(), 0);
  for (const auto& [row, expected] : golden.json["logits"].items()) {
    batch.label_rows = {std::stoi(row)};
    std::vector<float> values(static_cast<size_t>(config.vocab_size));
    decoder.extend(batch, rows, cache, Tensor(values.data(), DType::f32, 1, config.vocab_size));
    double largest = 0.0;
    for (const Json& value : expected) largest = std::max(largest, std::abs(value.get<double>()));
    for (size_t i = 0; i < values.size(); ++i) {
      expect_close(values[i], expected[i].get<double>(), largest, fmt::format("logit {} of row {}", i, row));
    }
  }

  for (const WeightEntry& entry : map.entries) {
    const auto expected =
        json_get<std::vector<double>>(golden.json["gradients"], entry.published.c_str(), golden.name);
    int64_t size = 1;
    for (const int64_t dimension : entry.shape) size *= dimension;
    std::vector<float> flat(static_cast<size_t>(size));
    for (const WeightPart& part : entry.parts) {
      for_each_element(entry, part, parameters.find(part.name)->grad,
                       [&](int64_t index, const float& value) { flat[static_cast<size_t>(index)] = value; });
    }
    expect_gradient(flat, expected, entry.published);
  }
  EXPECT_EQ(golden.json["gradients"].size(), map.entries.size());
}

/// LoRA beside a frozen base, against PEFT.
void check_lora(const Golden& golden, Backend& backend) {
  const Json& lora = golden.json["lora"];
  const ModelConfig config = config_from_hf(golden.json["config"], golden.name);
  Parameters parameters = allocate_parameters(parameter_shapes(config)), gradients;
  fill_published(parameters, hf_weights(config), golden.json["norm_base"].get<double>());
  AdapterConfig settings;
  settings.rank = lora["rank"];
  settings.alpha = lora["alpha"];
  settings.targets = lora["targets"].get<std::vector<std::string>>();
  Adapter adapter = make_adapter(config, settings, 1);
  test::Model::attach(adapter.parameters, gradients);
  std::map<std::string, Parameter*> published;
  for (const AdapterEntry& entry : adapter_entries(config, settings)) {
    published[entry.published + ".lora_A.weight"] = adapter.parameters.find(entry.modules[0] + ".lora_a");
    published[entry.published + ".lora_B.weight"] = adapter.parameters.find(entry.modules[0] + ".lora_b");
  }
  for (const auto& [name, parameter] : published) {
    const std::span<float> values = parameter->value.flat<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = published_value(name, static_cast<int64_t>(i), 1.0);
  }
  const auto tokens = golden.json["tokens"].get<std::vector<int32_t>>();
  Decoder decoder(config, parameters, backend, {.context_length = static_cast<int64_t>(tokens.size())});
  decoder.set_adapters({{&adapter, 1.0F}});
  Batch batch;
  append_sequence(batch, tokens);
  const std::vector<float> dlogp(batch.labels.size(), -1.0F / static_cast<float>(batch.labels.size()));
  std::vector<float> logp(batch.labels.size());
  decoder.forward(batch, {});
  decoder.backward(batch, dlogp, logp);
  double loss = 0.0;
  for (const float value : logp) loss -= double{value} / static_cast<double>(logp.size());
  expect_close(loss, lora["loss"].get<double>(), 1.0 + loss, "loss");
  ASSERT_EQ(lora["gradients"].size(), published.size());
  for (const auto& [name, expected] : lora["gradients"].items()) {
    ASSERT_EQ(published.count(name), 1U) << name;
    const auto found = published[name]->grad.flat<float>();
    expect_gradient({found.begin(), found.end()}, expected.get<std::vector<double>>(), name);
  }
}

TEST(Golden, LoraEqualsPeft) {
  const auto reference = make_reference_backend(), cpu = make_cpu_backend();
  int checked = 0;
  for (const Golden& golden : goldens()) {
    if (!golden.json.contains("lora")) continue;
    SCOPED_TRACE(golden.name);
    check_lora(golden, *reference);
    check_lora(golden, *cpu);
    ++checked;
  }
  EXPECT_GE(checked, 4);
}

TEST(Golden, ReferenceBackendEqualsThePublishedImplementations) {
  const auto backend = make_reference_backend();
  const std::vector<Golden> all = goldens();
  EXPECT_GE(all.size(), 27U);
  for (const Golden& golden : all) {
    SCOPED_TRACE(golden.name);
    check(golden, *backend, false);
  }
}

TEST(Golden, InterleavedRopeGivesTheSame) {
  const auto backend = make_reference_backend();
  for (const Golden& golden : goldens()) {
    const std::string family = golden.json["config"]["model_type"];
    if (family != "llama" && family != "mistral" && family != "phi" && family != "mixtral" && family != "qwen3") continue;
    SCOPED_TRACE(golden.name);
    check(golden, *backend, true);
  }
}

TEST(Golden, CpuBackendEqualsThePublishedImplementations) {
  const auto backend = make_cpu_backend();
  for (const Golden& golden : goldens()) {
    SCOPED_TRACE(golden.name);
    check(golden, *backend, false);
  }
}

}  // namespace
}  // namespace fettle
