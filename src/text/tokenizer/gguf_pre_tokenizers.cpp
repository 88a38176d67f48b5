#include "text/tokenizer/gguf_pre_tokenizers.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "text/tokenizer/split_patterns.h"

namespace fettle {
namespace {

constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json split(std::string_view pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json sequence(const std::vector<Json>& stages) {
  return {{"type", "Sequence"}, {"pretokenizers", stages}};
}

Json patterns(const std::vector<std::string_view>& list) {
  std::vector<Json> stages;
  for (const std::string_view pattern : list) stages.push_back(split(pattern));
  stages.push_back(byte_level(false));
  return sequence(stages);
}

Json single_digits() {
  return sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)});
}

struct Family {
  std::vector<std::string_view> names;  ///< the first is the one written
  GgufPreTokenizer pre;
};

/// Names and pipelines as llama.cpp pairs them.
const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum",
        "modern-bert", "roberta-bpe", "mpt", "olmo", "jais", "trillion", "granite-docling"},
       {byte_level(true)}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
       {single_digits()}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {patterns({kLlama3Pattern}), true, true}},
      {{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, {patterns({kLlama3Pattern})}},
      {{"qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan", "megrez", "kormo"}, {patterns({kQwen2Pattern})}},
      {{"qwen35"}, {patterns({kQwen35Pattern})}},
      {{"tekken"}, {patterns({kTekkenPattern}), true}},
      {{"gpt-4o", "llama4", "kanana2"}, {patterns({kO200kPattern})}},
      {{"deepseek-v3", "hunyuan-dense"},
       {patterns({R"(\p{N}{1,3})", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", kDeepseek3Pattern})}},
      {{"falcon"}, {patterns({R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, "[0-9][0-9][0-9]"})}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {patterns({R"( ?[^(\s|.,!?…。，、।۔،)]+)"})}},
      {{"viking"}, {patterns({R"( ?[^(\s|.,!?…。，、।۔،)]+)", R"(\p{N})"})}},
      {{"default", ""},
       {patterns({R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"})}},
  };
  return table;
}

/// Descriptions that mean the same, brought to one spelling.
Json canonical(const Json& description) {
  if (!description.is_object()) return description;
  const std::string kind = description.value("type", "");
  if (kind == "ByteLevel") {
    Json plain = byte_level(description.value("use_regex", true));
    plain["add_prefix_space"] = description.value("add_prefix_space", true);
    return plain;
  }
  if (kind == "Digits")
    return {{"type", "Digits"}, {"individual_digits", description.value("individual_digits", false)}};
  if (kind == "Split" && description.value("behavior", "") == "Removed" &&
      description.value("invert", false)) {
    Json isolated = description;
    isolated["behavior"] = "Isolated";
    isolated["invert"] = false;
    return isolated;
  }
  if (kind != "Sequence" || !description.contains("pretokenizers")) return description;
  std::vector<Json> stages;
  for (const Json& stage : description["pretokenizers"]) stages.push_back(canonical(stage));
  if (stages.size() == 1) return stages[0];
  // GPT-2's pattern is what ByteLevel uses by itself.
  if (stages.size() >= 2 && stages.back() == byte_level(false) &&
      stages[stages.size() - 2] == split(kGpt2Pattern)) {
    stages.pop_back();
    stages.back() = byte_level(true);
  }
  return stages.size() == 1 ? stages[0] : sequence(stages);
}

}  // namespace

GgufPreTokenizer gguf_pre_tokenizer(std::string_view name, std::string_view where) {
  std::vector<std::string> known;
  for (const Family& family : families()) {
    if (std::find(family.names.begin(), family.names.end(), name) != family.names.end()) return family.pre;
    known.insert(known.end(), family.names.begin(), family.names.end());
  }
  const std::string near = nearest_name(name, known);
  fail(where, "tokenizer.ggml.pre '{}' is not known{}", name,
       near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

std::optional<std::string> gguf_pre_name(const Json& description, bool ignore_merges) {
  const Json wanted = canonical(description);
  std::optional<std::string> similar;
  for (const Family& family : families()) {
    if (canonical(family.pre.description) != wanted) continue;
    if (family.pre.ignore_merges == ignore_merges) return std::string(family.names.front());
    if (!similar) similar = std::string(family.names.front());
  }
  return similar;
}

}  // namespace fettle
