// The keys tokenizer.ggml.* of a GGUF and back.
#include <algorithm>
#include <cctype>

#include "checkpoint/gguf.h"

namespace fettle {
namespace {

template <typename T>
const T* get(const Gguf& gguf, std::string_view key, std::string_view expected) {
  const GgufValue* value = gguf.find(key);
  if (value == nullptr) return nullptr;
  const T* content = std::get_if<T>(&value->value);
  if (content == nullptr) fail(gguf.where, "key '{}' should hold {}", key, expected);
  return content;
}

std::string text_of(const Gguf& gguf, std::string_view key) {
  const auto* text = get<std::string>(gguf, key, "a string");
  return text == nullptr ? std::string() : *text;
}

std::optional<bool> flag_of(const Gguf& gguf, std::string_view key) {
  const auto* flag = get<int64_t>(gguf, key, "a boolean");
  return flag == nullptr ? std::nullopt : std::optional(*flag != 0);
}

/// -1 when the key is absent or names no token (some converters write 2^32 - 1 for "none").
int32_t id_of(const Gguf& gguf, std::string_view key, size_t count) {
  const auto* id = get<int64_t>(gguf, key, "a token id");
  return id == nullptr || *id < 0 || *id >= static_cast<int64_t>(count) ? -1 : static_cast<int32_t>(*id);
}

void check_length(const Gguf& gguf, std::string_view key, size_t found, size_t expected) {
  if (found != expected)
    fail(gguf.where, "key '{}' has {} elements, the vocabulary has {} tokens", key, found, expected);
}

/// A template's name as llama.cpp's converter spells it in a key.
std::string key_name(std::string name) {
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

}  // namespace

std::optional<GgufVocabulary> gguf_vocabulary(const Gguf& gguf) {
  const auto* tokens = get<GgufValue::Texts>(gguf, "tokenizer.ggml.tokens", "a list of strings");
  if (tokens == nullptr) return std::nullopt;
  GgufVocabulary result;
  result.tokens = *tokens;
  result.model = text_of(gguf, "tokenizer.ggml.model");
  result.pre = text_of(gguf, "tokenizer.ggml.pre");
  if (const auto* scores = get<GgufValue::Numbers>(gguf, "tokenizer.ggml.scores", "a list of numbers")) {
    check_length(gguf, "tokenizer.ggml.scores", scores->size(), tokens->size());
    for (const double score : *scores) result.scores.push_back(static_cast<float>(score));
  }
  if (const auto* kinds = get<GgufValue::Integers>(gguf, "tokenizer.ggml.token_type", "a list of integers")) {
    check_length(gguf, "tokenizer.ggml.token_type", kinds->size(), tokens->size());
    for (const int64_t kind : *kinds)
      result.token_types.push_back(static_cast<int32_t>(std::clamp<int64_t>(kind, 0, 255)));
  }
  if (const auto* merges = get<GgufValue::Texts>(gguf, "tokenizer.ggml.merges", "a list of strings"))
    result.merges = *merges;
  result.bos = id_of(gguf, "tokenizer.ggml.bos_token_id", tokens->size());
  result.eos = id_of(gguf, "tokenizer.ggml.eos_token_id", tokens->size());
  result.unk = id_of(gguf, "tokenizer.ggml.unknown_token_id", tokens->size());
  result.pad = id_of(gguf, "tokenizer.ggml.padding_token_id", tokens->size());
  result.add_bos = flag_of(gguf, "tokenizer.ggml.add_bos_token");
  result.add_eos = flag_of(gguf, "tokenizer.ggml.add_eos_token");
  result.add_space_prefix = flag_of(gguf, "tokenizer.ggml.add_space_prefix");
  result.chat_template = text_of(gguf, "tokenizer.chat_template");
  constexpr std::string_view named = "tokenizer.chat_template.";
  for (const auto& [key, value] : gguf.metadata) {
    if (key.starts_with(named)) result.named_templates[key.substr(named.size())] = text_of(gguf, key);
  }
  return result;
}

void add_vocabulary(GgufMetadata& metadata, const GgufVocabulary& vocabulary) {
  const auto add = [&](const char* key, GgufValue value) { metadata.emplace_back(key, std::move(value)); };
  const auto add_id = [&](const char* key, int32_t id) {
    if (id >= 0) add(key, GgufValue::u32(id));
  };
  const auto add_flag = [&](const char* key, std::optional<bool> flag) {
    if (flag) add(key, GgufValue::boolean(*flag));
  };
  add("tokenizer.ggml.model", GgufValue::text(vocabulary.model));
  if (!vocabulary.pre.empty()) add("tokenizer.ggml.pre", GgufValue::text(vocabulary.pre));
  add("tokenizer.ggml.tokens", GgufValue::texts(vocabulary.tokens));
  if (!vocabulary.scores.empty()) add("tokenizer.ggml.scores", GgufValue::f32s(vocabulary.scores));
  if (!vocabulary.token_types.empty())
    add("tokenizer.ggml.token_type", GgufValue::i32s(vocabulary.token_types));
  if (!vocabulary.merges.empty()) add("tokenizer.ggml.merges", GgufValue::texts(vocabulary.merges));
  add_id("tokenizer.ggml.bos_token_id", vocabulary.bos);
  add_id("tokenizer.ggml.eos_token_id", vocabulary.eos);
  add_id("tokenizer.ggml.unknown_token_id", vocabulary.unk);
  add_id("tokenizer.ggml.padding_token_id", vocabulary.pad);
  add_flag("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  add_flag("tokenizer.ggml.add_eos_token", vocabulary.add_eos);
  add_flag("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  if (!vocabulary.chat_template.empty())
    add("tokenizer.chat_template", GgufValue::text(vocabulary.chat_template));
  std::vector<std::string> names;
  for (const auto& [name, source] : vocabulary.named_templates) {
    std::string key = key_name(name);
    while (std::find(names.begin(), names.end(), key) != names.end()) key += '_';
    names.push_back(std::move(key));
    metadata.emplace_back("tokenizer.chat_template." + names.back(), GgufValue::text(source));
  }
  if (!names.empty()) add("tokenizer.chat_templates", GgufValue::texts(names));
}

}  // namespace fettle
