#include "model/families/families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/families/family.h"
#include "model/parameters.h"

namespace fettle {
namespace {

Json llama_json() {
  return Json::parse(R"({"model_type":"llama","vocab_size":64,"hidden_size":32,"intermediate_size":48,
    "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":128,
    "rms_norm_eps":1e-5,"tie_word_embeddings":true,"rope_theta":20000.0})");
}

/// A small config of every family, through its own config.json.
std::map<std::string, Json> all_configs() {
  std::map<std::string, Json> configs;
  configs["llama"] = llama_json();
  configs["mistral"] = llama_json();
  configs["mistral"]["sliding_window"] = 16;
  configs["qwen2"] = llama_json();
  configs["gemma"] = llama_json();
  configs["gemma"]["head_dim"] = 16;
  configs["qwen3"] = llama_json();
  configs["qwen3"]["head_dim"] = 16;
  configs["gemma3_text"] = llama_json();
  configs["gemma3_text"].update(Json::parse(R"({"head_dim":16,"query_pre_attn_scalar":16,"num_hidden_layers":7,
    "sliding_window":8,"rope_scaling":{"rope_type":"linear","factor":8.0}})"));
  configs["mixtral"] = llama_json();
  configs["mixtral"]["num_local_experts"] = 3;
  configs["gpt2"] = Json::parse(R"({"vocab_size":64,"n_embd":32,"n_layer":2,"n_head":4,"n_positions":128})");
  configs["gpt_bigcode"] = configs["gpt2"];
  configs["gpt_neox"] = llama_json();
  configs["gpt_neox"]["rotary_pct"] = 0.5;
  configs["gpt_neox"]["tie_word_embeddings"] = false;
  configs["mpt"] = Json::parse(R"({"vocab_size":64,"d_model":32,"n_layers":2,"n_heads":4,"max_seq_len":128,
    "attn_config":{"clip_qkv":2.5,"softmax_scale":null}})");
  configs["phi"] = llama_json();
  configs["phi"]["tie_word_embeddings"] = false;
  for (auto& [name, config] : configs) config["model_type"] = name;
  return configs;
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Every row of every published tensor belongs to exactly one part, and every parameter is covered once.
void expect_complete(const WeightMap& map, const ModelConfig& config) {
  std::map<std::string, ParameterShape> missing;
  for (const ParameterShape& shape : parameter_shapes(config)) missing.emplace(shape.name, shape);
  std::set<std::string> published;
  for (const WeightEntry& entry : map.entries) {
    EXPECT_TRUE(published.insert(entry.published).second) << entry.published;
    int64_t rows = entry.transposed ? entry.shape.back() : entry.shape.front();
    if (entry.shape.size() == 3) rows *= entry.shape[1];  // stacked experts
    std::vector<int> seen(static_cast<size_t>(rows), 0);
    for (const WeightPart& part : entry.parts) {
      ASSERT_EQ(missing.count(part.name), 1U) << part.name;
      EXPECT_EQ(missing.at(part.name).rows, part.rows);
      EXPECT_EQ(missing.at(part.name).cols, part.cols);
      missing.erase(part.name);
      int64_t count = 0;
      for (const RowRun& run : part.runs) {
        for (int64_t i = 0; i < run.count; ++i) ++seen.at(static_cast<size_t>(run.begin + i * run.step));
        count += run.count;
      }
      EXPECT_EQ(count, entry.shape.size() == 1 ? part.cols : part.rows) << part.name;
    }
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }))
        << entry.published;
  }
  EXPECT_TRUE(missing.empty()) << missing.begin()->first;
}

TEST(Families, EveryMapCoversEveryParameterOnce) {
  for (const auto& [name, json] : all_configs()) {
    SCOPED_TRACE(name);
    ModelConfig config = config_from_hf(json, name);
    expect_complete(hf_weights(config), config);
    expect_complete(gguf_weights(config), config);
    config.set_interleaved(true);
    expect_complete(hf_weights(config), config);
    expect_complete(gguf_weights(config), config);
  }
  ModelConfig config = config_from_hf(llama_json(), "llama");
  config.rope.theta = 10000.0;
  expect_complete(llama2c_weights(config), config);
}

TEST(Families, ConfigsSurviveHuggingFaceAndGguf) {
  for (const auto& [name, json] : all_configs()) {
    SCOPED_TRACE(name);
    const ModelConfig config = config_from_hf(json, name);
    const Json written = config_to_hf(config);
    EXPECT_EQ(dump_json(config_to_hf(config_from_hf(written, name))), dump_json(written));
    const Json metadata = config_to_gguf(config);
    std::set<std::string> tensors;
    for (const WeightEntry& entry : gguf_weights(config).entries) tensors.insert(entry.published);
    const ModelConfig back = config_from_gguf(
        metadata, config.vocab_size,
        [&](std::string_view tensor) { return tensors.count(std::string(tensor)) != 0; }, name);
    EXPECT_EQ(dump_json(config_to_gguf(back)), dump_json(metadata));
    EXPECT_EQ(dump_json(config_to_hf(back)), dump_json(written));
    EXPECT_EQ(back.parameter_count(), config.parameter_count());
  }
}

TEST(Families, RopeScalingsSurvive) {
  const auto with = [](const char* scaling) {
    Json json = llama_json();
    json["rope_scaling"] = Json::parse(scaling);
    return config_from_hf(json, "test");
  };
  for (const char* scaling :
       {R"({"type":"linear","factor":2.0})", R"({"rope_type":"dynamic","factor":4.0})",
        R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
                                  "original_max_position_embeddings":8192})",
        R"({"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32})"}) {
    const ModelConfig config = with(scaling);
    const Json written = config_to_hf(config);
    const ModelConfig back = config_from_hf(written, "again");
    EXPECT_EQ(rope_table(back, 300).inverse_frequencies, rope_table(config, 300).inverse_frequencies)
        << scaling;
    EXPECT_EQ(rope_table(back, 300).magnitude, rope_table(config, 300).magnitude);
  }
  const ModelConfig llama3 =
      with(R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
                                      "original_max_position_embeddings":8192})");
  ModelConfig plain = config_from_hf(llama_json(), "test");
  const ModelConfig unscaled = plain;
  apply_gguf_rope_factors(plain, gguf_rope_factors(llama3), "test");
  EXPECT_EQ(rope_table(plain, 0).inverse_frequencies, rope_table(llama3, 0).inverse_frequencies);
  EXPECT_NE(rope_table(plain, 0).inverse_frequencies, rope_table(unscaled, 0).inverse_frequencies);
  const std::vector<float> strange{1.0F, 3.0F, 7.0F, 7.0F};
  EXPECT_NE(error_of([&] { apply_gguf_rope_factors(plain, strange, "x.gguf"); }).find("rope_freqs"),
            std::string::npos);
}

TEST(Families, UnsupportedSettingsNameTheKey) {
  struct Case {
    const char *family, *key, *value, *expected;
  };
  const Case cases[] = {
      {"llama", "model_type", R"("lama")", "did you mean 'llama'"},
      {"llama", "hidden_size", R"("x")", "hidden_size"},
      {"llama", "hidden_size", "-1", "hidden_size"},
      {"llama", "num_attention_heads", "0", "head"},
      {"llama", "num_attention_heads", "5", "multiple"},
      {"llama", "hidden_act", R"("snake")", "hidden_act"},
      {"llama", "rope_scaling", R"({"rope_type":"longrope"})", "longrope"},
      {"llama", "rope_scaling", R"({"rope_type":"linear"})", "factor"},
      {"llama", "rope_scaling", "[1]", "rope_scaling"},
      {"llama", "eos_token_id", R"("</s>")", "eos_token_id"},
      {"mistral", "layer_types", R"(["full_attention"])", "layer_types"},
      {"qwen2", "layer_types", R"(["sliding_attention"])", "layer_types"},
      {"qwen3", "layer_types", R"(["sliding_attention","linear_attention"])", "linear_attention"},
      {"gemma3_text", "final_logit_softcapping", "30.0", "final_logit_softcapping"},
      {"gemma3_text", "use_bidirectional_attention", "true", "use_bidirectional_attention"},
      {"gemma3_text", "sliding_window_pattern", "0", "sliding_window_pattern"},
      {"gemma3_text", "rope_parameters", R"({"rope_theta":5.0})", "rope_parameters"},
      {"mixtral", "router_jitter_noise", "0.1", "router_jitter_noise"},
      {"mixtral", "num_experts_per_tok", "4", "experts"},
      {"mixtral", "num_local_experts", "2000000000", "experts"},
      {"gemma", "use_bidirectional_attention", "true", "use_bidirectional_attention"},
      {"gpt2", "scale_attn_by_inverse_layer_idx", "true", "scale_attn_by_inverse_layer_idx"},
      {"gpt2", "n_embd", "2147483647", "multiple"},
      {"mpt", "attn_config", R"({"attn_type":"multiquery_attention"})", "attn_type"},
      {"mpt", "expansion_ratio", "2", "expansion_ratio"},
      {"phi", "qk_layernorm", "true", "qk_layernorm"},
  };
  for (const Case& test : cases) {
    Json json = all_configs()[test.family];
    json[test.key] = Json::parse(test.value);
    if (std::string_view(test.key) == "layer_types") json["use_sliding_window"] = true;
    const std::string message = error_of([&] { config_from_hf(json, "config.json"); });
    EXPECT_NE(message.find(test.expected), std::string::npos) << test.key << ": " << message;
    EXPECT_EQ(message.find("config.json"), 0U) << message;
  }
  EXPECT_NE(error_of([] { config_from_hf(Json::array(), "config.json"); }).find("model_type"),
            std::string::npos);
}

TEST(Families, LayersThatDifferSurvive) {
  Json json = all_configs()["qwen2"];
  json.update(Json::parse(R"({"use_sliding_window":true,"sliding_window":9,"max_window_layers":1})"));
  const ModelConfig qwen = config_from_hf(json, "qwen2");
  EXPECT_EQ(qwen.layer(0).sliding_window, 0);
  EXPECT_EQ(qwen.layer(1).sliding_window, 9);
  EXPECT_EQ(qwen.longest_window(), 0);
  EXPECT_EQ(config_to_hf(qwen)["layer_types"], Json::array({"full_attention", "sliding_attention"}));
  EXPECT_EQ(dump_json(config_to_hf(config_from_hf(config_to_hf(qwen), "again"))), dump_json(config_to_hf(qwen)));
  EXPECT_NE(error_of([&] { config_to_gguf(qwen); }).find("differ"), std::string::npos);

  json = llama_json();
  json["hidden_act"] = "gelu";
  EXPECT_NE(error_of([&] { config_to_gguf(config_from_hf(json, "gelu")); }).find("activation"), std::string::npos);

  const ModelConfig gemma = config_from_hf(all_configs()["gemma3_text"], "gemma3");
  EXPECT_EQ(gemma.layer(4).sliding_window, 8);
  EXPECT_EQ(gemma.layer(4).rope.theta, 10000.0);
  EXPECT_EQ(gemma.layer(4).rope.scaling, RopeScaling::none);
  EXPECT_EQ(gemma.layer(5).sliding_window, 0);
  EXPECT_EQ(gemma.layer(5).rope.theta, 20000.0);
  EXPECT_EQ(gemma.layer(5).rope.factor, 8.0);
  EXPECT_EQ(config_to_gguf(gemma)["gemma3.rope.freq_base_swa"], 10000.0);
  json = all_configs()["gemma3_text"];
  json["sliding_window_pattern"] = 3;
  EXPECT_EQ(config_to_gguf(config_from_hf(json, "three"))["gemma3.attention.sliding_window_pattern"], 3);
  json["num_hidden_layers"] = 2;
  json["layer_types"] = Json::parse(R"(["full_attention","sliding_attention"])");
  EXPECT_NE(error_of([&] { config_to_gguf(config_from_hf(json, "odd")); }).find("every n-th"), std::string::npos);
}

TEST(Families, ExpertsStandAloneOrStacked) {
  const ModelConfig config = config_from_hf(all_configs()["mixtral"], "mixtral");
  const auto find = [](const WeightMap& map, std::string_view name) {
    return *std::find_if(map.entries.begin(), map.entries.end(),
                         [&](const WeightEntry& entry) { return entry.published == name; });
  };
  const WeightEntry alone = find(hf_weights(config), "model.layers.1.block_sparse_moe.experts.2.w2.weight");
  EXPECT_EQ(alone.parts.at(0).name, "layers.1.experts.2.down.weight");
  EXPECT_EQ(alone.shape, (std::vector<int64_t>{32, 48}));
  const WeightEntry stacked = find(gguf_weights(config), "blk.1.ffn_down_exps.weight");
  EXPECT_EQ(stacked.shape, (std::vector<int64_t>{3, 32, 48}));
  ASSERT_EQ(stacked.parts.size(), 3U);
  EXPECT_EQ(stacked.parts[2].name, "layers.1.experts.2.down.weight");
  EXPECT_EQ(stacked.parts[2].runs.at(0).begin, 64);
  // As PEFT has it where the experts are stacked tensors: "all-linear" is attention alone.
  AdapterConfig adapter;
  adapter.targets = {"all-linear"};
  EXPECT_EQ(adapter_entries(config, adapter).size(), 8U);
  adapter.targets = {"w1"};
  EXPECT_EQ(adapter_entries(config, adapter).size(), 6U);
}

TEST(Families, FusedRowsStandWhereTheyArePublished) {
  const ModelConfig neox = config_from_hf(all_configs()["gpt_neox"], "neox");
  for (const WeightEntry& entry : hf_weights(neox).entries) {
    if (entry.published != "gpt_neox.layers.1.attention.query_key_value.weight") continue;
    ASSERT_EQ(entry.parts.size(), 3U);
    EXPECT_EQ(entry.parts[1].name, "layers.1.k.weight");
    ASSERT_EQ(entry.parts[1].runs.size(), 4U);
    EXPECT_EQ(entry.parts[1].runs[2].begin, 2 * 24 + 8);  // head 2 of width 8: its q, k, v start at 48
  }
  ModelConfig llama = config_from_hf(llama_json(), "llama");
  EXPECT_TRUE(hf_weights(llama).entries[2].parts[0].contiguous());
  EXPECT_FALSE(gguf_weights(llama).entries[2].parts[0].contiguous());
  llama.rope.interleaved = true;
  EXPECT_FALSE(hf_weights(llama).entries[2].parts[0].contiguous());
  EXPECT_TRUE(gguf_weights(llama).entries[2].parts[0].contiguous());
}

TEST(Families, AdapterTargets) {
  const ModelConfig llama = config_from_hf(llama_json(), "llama");
  EXPECT_EQ(adapter_entries(llama, {}).size(), 14U);
  AdapterConfig adapter;
  adapter.targets = {"q_proj", "self_attn.v_proj"};
  EXPECT_EQ(adapter_entries(llama, adapter).size(), 4U);
  adapter.targets = {"c_attn"};
  EXPECT_TRUE(adapter_entries(llama, adapter).empty());
  EXPECT_NE(error_of([&] { check_targets(llama, adapter); }).find("q_proj"), std::string::npos);
  const ModelConfig gpt2 = config_from_hf(all_configs()["gpt2"], "gpt2");
  const std::vector<AdapterEntry> entries = adapter_entries(gpt2, adapter);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].published, "transformer.h.1.attn.c_attn");
  EXPECT_EQ(entries[1].modules, (std::vector<std::string>{"layers.1.q", "layers.1.k", "layers.1.v"}));
  EXPECT_EQ(entries[1].out, 96);
}

}  // namespace
}  // namespace fettle
