#pragma once
// A tiny random chat model and data for the tests of this module.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/save.h"
#include "train/trainer.h"

namespace fettle::train {

inline std::string utf8(uint32_t code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

/// A byte-level tokenizer without merges: one token per byte, and the two ChatML marks.
inline void write_tiny_tokenizer(const fs::path& folder) {
  OrderedJson vocabulary = OrderedJson::object();
  const auto printable = [](uint32_t b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  uint32_t extra = 0;
  for (uint32_t b = 0; b < 256; ++b) vocabulary[utf8(printable(b) ? b : 256 + extra++)] = b;
  const auto mark = [](int id, const char* text) {
    return OrderedJson{{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
                       {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  const OrderedJson tokenizer{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", {mark(256, "<|im_start|>"), mark(257, "<|im_end|>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocabulary},
        {"merges", OrderedJson::array()}}}};
  const OrderedJson config{{"tokenizer_class", "GPT2Tokenizer"},
                           {"eos_token", "<|im_end|>"},
                           {"chat_template",
                            "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ "
                            "message['content'] }}<|im_end|>\n{% endfor %}"
                            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"}};
  write_file(folder / "tokenizer.json", dump_json(tokenizer));
  write_file(folder / "tokenizer_config.json", dump_json(config));
}

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.family = "llama";
  config.vocab_size = 258;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.context_length = 512;
  config.tied_embeddings = true;
  config.eos = {257};
  return config;
}

/// A folder with the model `base`, data files, and configs over them; caches stay inside.
class TrainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("FETTLE_CACHE", (root() / "cache").c_str(), 1);
    setenv("FETTLE_THREADS", "1", 1);
    set_threads(1);
    fs::create_directories(root() / "base");
    write_tiny_tokenizer(root() / "base");
    config_ = tiny_config();
    parameters_ = random_parameters(config_, 5);
    save_base();
    write_rows();
  }

  void save_base() {
    tokenizer_ = Tokenizer::from_folder(root() / "base");
    LoadedModel model;
    model.config = config_;
    model.parameters = to_f32(parameters_);
    model.tokenizer = tokenizer_;
    model.tokenizer_folder = root() / "base";
    write_hf_files(root() / "base", to_save(model), DType::f32);
  }

  void write_rows() {
    std::string pairs, chats, judged, texts;
    for (int i = 0; i < 12; ++i) {
      const std::string question = "What is " + std::to_string(i) + "?";
      const std::string good =
          "It is number " + std::to_string(i) + std::string(static_cast<size_t>(i % 5), '!');
      const std::string bad = "No idea" + std::string(static_cast<size_t>(i % 3), '.');
      const std::string id = "row-" + std::to_string(i);
      pairs += dump_json(Json{{"id", id}, {"prompt", question}, {"chosen", good}, {"rejected", bad}}) + "\n";
      judged += dump_json(Json{{"id", id},
                               {"prompt", question},
                               {"completion", i % 2 == 0 ? good : bad},
                               {"label", i % 2 == 0}}) +
                "\n";
      chats +=
          dump_json(Json{
              {"id", id},
              {"messages",
               {{{"role", "user"}, {"content", question}}, {{"role", "assistant"}, {"content", good}}}}}) +
          "\n";
      texts += dump_json(Json{{"id", id}, {"text", question + " " + good}}) + "\n";
    }
    write_file(root() / "pairs.jsonl", pairs);
    write_file(root() / "judged.jsonl", judged);
    write_file(root() / "chats.jsonl", chats);
    write_file(root() / "texts.jsonl", texts);
  }

  std::string data_of(const std::string& method) const {
    if (method == "pretrain") return "texts.jsonl";
    if (method == "sft" || method == "weighted-sft") return "chats.jsonl";
    return method == "kto" ? "judged.jsonl" : "pairs.jsonl";
  }

  /// JSON of a small run of `method`; `more` is merged into it.
  Json config(const std::string& method, const std::string& out, const Json& more = Json::object()) const {
    Json json{{"method", method},
              {"model", (root() / "base").string()},
              {"data", (root() / data_of(method)).string()},
              {"out", (root() / out).string()},
              {"batch_size", 4},
              {"max_length", 64},
              {"steps", 6},
              {"learning_rate", 1e-2},
              {"dtype", "f32"}};
    json.merge_patch(more);
    return json;
  }

  TrainResult run(const Json& json) const {
    TrainCallbacks callbacks;
    callbacks.progress = false;
    callbacks.on_plan = [](const TrainPlan&) {};
    return train(train_config_from_json(json, "test"), callbacks);
  }

  std::string bytes(const std::string& path) const { return read_file(root() / path); }
  fs::path root() const { return folder_.path(); }

  TemporaryFolder folder_;
  ModelConfig config_;
  Parameters parameters_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

/// metrics.jsonl without the fields that depend on time.
inline std::string timeless(const std::string& metrics) {
  std::string out;
  for (size_t begin = 0, end; (end = metrics.find('\n', begin)) != std::string::npos; begin = end + 1) {
    OrderedJson row = OrderedJson::parse(metrics.substr(begin, end - begin));
    for (const char* key : {"seconds", "tokens_per_second", "peak_memory_bytes"}) row.erase(key);
    out += row.dump() + "\n";
  }
  return out;
}

}  // namespace fettle::train
