// Each value of the JSON files of a model in turn becomes one of every other type: what is then refused names file and key.
#include <gtest/gtest.h>

#include <fstream>

#include "base/ordered_json.h"
#include "checkpoint/load.h"
#include "checkpoint/peft.h"
#include "checkpoint/safetensors.h"
#include "generate/sampling_defaults.h"
#include "model/families/families.h"

namespace fettle {
namespace {

/// A place in a document: its value, and the keys that lead there.
struct Place {
  OrderedJson::json_pointer pointer;
  std::vector<std::string> keys;
};

/// Of long lists and objects the first members stand for all.
void find_places(const OrderedJson& value, const Place& here, std::vector<Place>& out) {
  size_t seen = 0;
  if (!here.pointer.empty()) out.push_back(here);
  const auto add = [&](const auto& step, const std::string& key, const OrderedJson& child) {
    Place place{here.pointer / step, here.keys};
    if (!key.empty()) place.keys.push_back(key);
    find_places(child, place, out);
  };
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) {
      if (++seen > 40) break;
      add(key, key, child);
    }
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size() && i < 3; ++i) add(i, "", value[i]);
  }
}

const std::vector<OrderedJson>& replacements() {
  static const std::vector<OrderedJson> values{nullptr, true, -7, 3.5, 18446744073709551615ULL, "x", OrderedJson::array(), OrderedJson::array({"x"}),
                                               OrderedJson::array({OrderedJson::array()}), OrderedJson::object(), OrderedJson{{"x", 1}}};
  return values;
}

/// Runs `open` on every changed document; `file` is the name that errors must have.
template <typename Open>
void try_all(const OrderedJson& document, const std::string& file, Open open) {
  std::vector<Place> places;
  find_places(document, Place{OrderedJson::json_pointer(), {}}, places);
  size_t refused = 0;
  for (const Place& place : places) {
    for (const OrderedJson& value : replacements()) {
      OrderedJson changed = document;
      changed[place.pointer] = value;
      const std::string what = fmt::format("{} with {} = {}", file, place.pointer.to_string(), dump_json(value));
      try {
        open(changed);
      } catch (const Error& error) {
        ++refused;
        const std::string message = error.what();
        EXPECT_NE(message.find(file), std::string::npos) << what << "\n" << message;
        EXPECT_EQ(message.find("type must be"), std::string::npos) << what << "\n" << message;
        // The key itself, or one that stands around it where many are of one kind (a vocabulary, a list of stages).
        bool named = place.keys.empty();
        for (const std::string& key : place.keys) named |= message.find(key) != std::string::npos;
        EXPECT_TRUE(named) << what << "\n" << message;
      } catch (const std::exception& error) {
        ADD_FAILURE() << what << "\n" << error.what();
      }
    }
  }
  EXPECT_GT(refused, 0U) << file;
}

OrderedJson read_document(const fs::path& file) {
  return parse_ordered_json(read_file(file), file.string());
}

void write_text(const fs::path& file, const OrderedJson& document) {
  std::ofstream(file) << dump_json(document);
}

TEST(JsonTypes, Configs) {
  for (const auto& entry : fs::directory_iterator("tests/golden/model")) {
    if (entry.path().extension() != ".json") continue;
    const OrderedJson golden = read_document(entry.path());
    if (!golden.contains("config")) continue;
    try_all(golden["config"], "config.json", [](const OrderedJson& config) { config_from_hf(Json(config), "config.json"); });
  }
  try_all(read_document("starter/model/config.json"), "config.json",
          [](const OrderedJson& config) { config_from_hf(Json(config), "config.json"); });
}

TEST(JsonTypes, GenerationConfigs) {
  OrderedJson document = read_document("starter/model/generation_config.json");
  for (const char* key : {"temperature", "top_p", "min_p", "repetition_penalty"}) document[key] = 0.5;
  document["top_k"] = 5;
  document["do_sample"] = true;
  try_all(document, "generation_config.json", [](const OrderedJson& config) { sampling_defaults(Json(config), "generation_config.json"); });
}

/// A tokenizer with every stage that has settings.
OrderedJson tokenizer_document() {
  OrderedJson document = read_document("starter/model/tokenizer.json");
  document["normalizer"] = OrderedJson::parse(R"({"type": "Sequence", "normalizers": [
      {"type": "NFC"}, {"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"String": "a"}, "content": "b"},
      {"type": "Replace", "pattern": {"Regex": "c+"}, "content": "d"}, {"type": "Strip", "strip_left": true, "strip_right": false},
      {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": false}]})");
  document["post_processor"] = OrderedJson::parse(R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|im_end|>", "type_id": 0}},
      {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<|im_end|>": {"id": "<|im_end|>", "ids": [1], "tokens": ["<|im_end|>"]}}})");
  return document;
}

TEST(JsonTypes, Tokenizers) {
  const OrderedJson document = tokenizer_document();
  const auto open = [&](const OrderedJson& changed) {
    Tokenizer::from_json(dump_json(changed), "tokenizer.json")->encode("a cc text");
  };
  open(document);
  try_all(document, "tokenizer.json", open);
  for (const char* stages : {R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "a+"}, "behavior": "Isolated", "invert": false},
          {"type": "Digits", "individual_digits": true}, {"type": "Punctuation", "behavior": "Isolated"}, {"type": "CharDelimiterSplit", "delimiter": "x"}]})",
                             R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": true, "prepend_scheme": "always", "split": true})",
                             R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})"}) {
    OrderedJson part{{"pre_tokenizer", OrderedJson::parse(stages)}};
    try_all(part, "tokenizer.json", [&](const OrderedJson& changed) {
      OrderedJson whole = document;
      whole["pre_tokenizer"] = changed["pre_tokenizer"];
      open(whole);
    });
  }
  for (const char* stages : {R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "}, {"type": "ByteFallback"},
          {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
                             R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": true})",
                             R"({"type": "WordPiece", "prefix": "##", "cleanup": true})", R"({"type": "BPEDecoder", "suffix": "</w>"})"}) {
    OrderedJson part{{"decoder", OrderedJson::parse(stages)}};
    try_all(part, "tokenizer.json", [&](const OrderedJson& changed) {
      OrderedJson whole = document;
      whole["decoder"] = changed["decoder"];
      open(whole);
    });
  }
}

TEST(JsonTypes, TokenizerConfigs) {
  TemporaryFolder folder;
  fs::copy_file("starter/model/tokenizer.json", folder.path() / "tokenizer.json");
  OrderedJson document = read_document("starter/model/tokenizer_config.json");
  for (const char* key : {"bos_token", "eos_token", "pad_token", "unk_token"}) document[key] = {{"content", "<|im_end|>"}, {"special", true}};
  document["add_bos_token"] = document["add_eos_token"] = false;
  document["chat_template"] = OrderedJson::array({{{"name", "default"}, {"template", "x"}}, {{"name", "tool_use"}, {"template", "y"}}});
  const auto open = [&](const OrderedJson& changed) {
    write_text(folder.path() / "tokenizer_config.json", changed);
    Tokenizer::from_folder(folder.path());
  };
  open(document);
  try_all(document, "tokenizer_config.json", open);
}

TEST(JsonTypes, AdaptersAndIndexes) {
  const fs::path golden = "tests/golden/checkpoint";
  const LoadedModel base = load_model(golden / "hf", {.weights = false});
  for (const auto& entry : fs::directory_iterator(golden / "adapters")) {
    if (!fs::exists(entry.path() / "adapter_config.json") || !fs::exists(entry.path() / "adapter_model.safetensors")) continue;
    const Safetensors weights = open_safetensors(entry.path() / "adapter_model.safetensors");
    try_all(read_document(entry.path() / "adapter_config.json"), "adapter_config.json", [&](const OrderedJson& config) {
      try {
        parse_adapter(config, weights.tensors, "adapter_config.json and its weights", base.config, "adapter_config.json");
      } catch (const Error& error) {
        // What no longer fits the weights is told by their names.
        if (std::string_view(error.what()).starts_with("adapter_config.json and its weights")) return;
        throw;
      }
    });
  }
  TemporaryFolder folder;
  fs::copy_file("starter/model/model.safetensors", folder.path() / "a.safetensors");
  OrderedJson index{{"metadata", {{"total_size", 1}}}, {"weight_map", OrderedJson::object()}};
  const Safetensors shard = open_safetensors(folder.path() / "a.safetensors");
  for (const StoredTensor& tensor : shard.tensors.all()) index["weight_map"][tensor.name] = "a.safetensors";
  const fs::path file = folder.path() / "model.safetensors.index.json";
  try_all(index, "model.safetensors.index.json", [&](const OrderedJson& changed) {
    write_text(file, changed);
    open_sharded_safetensors(file);
  });
}

}  // namespace
}  // namespace fettle
