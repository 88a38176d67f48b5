#include "checkpoint/llama2c.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "model/families/families.h"

namespace fettle {
namespace {

constexpr size_t header_bytes = sizeof(Llama2cHeader);
constexpr uint32_t later_magic = 0x616B3432;  // "ak42": versions 1 and 2
constexpr std::string_view after_rotary = "norm.weight";

Llama2cHeader header_of(std::span<const std::byte> bytes, std::string_view where) {
  if (bytes.size() < header_bytes)
    fail(where, "has {} bytes, too few for a llama2.c checkpoint", bytes.size());
  uint32_t magic = 0;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  if (magic == later_magic) fail(where, "is a llama2.c checkpoint of version 1 or 2; export it as version 0");
  Llama2cHeader header{};
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

/// Numbers of the rotary tables that stand after the last norm and mean nothing.
int64_t rotary_numbers(const ModelConfig& config) {
  return config.context_length * config.head_dim;
}

/// Bytes that follow from the config, or nothing when they leave int64.
std::optional<int64_t> expected_bytes(const ModelConfig& config, const WeightMap& map) {
  int64_t numbers = rotary_numbers(config);
  for (const WeightEntry& entry : map.entries) {
    const auto elements = checked_elements(entry.shape);
    if (!elements || __builtin_add_overflow(numbers, *elements, &numbers)) return std::nullopt;
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(numbers, 4, &bytes)) return std::nullopt;
  return bytes + static_cast<int64_t>(header_bytes);
}

/// The map's entries are one a tensor and layer: a lying layer count must not make billions of them.
void check_counts(const Llama2cHeader& header, uint64_t file_bytes, std::string_view where) {
  const std::array<int64_t, 4> sizes{header.dim, header.hidden_dim, header.n_layers, header.n_heads};
  const bool possible =
      std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size > 0; }) &&
      static_cast<uint64_t>(header.n_layers) <= file_bytes / 4 / static_cast<uint64_t>(header.dim);
  if (!possible) fail(where, "has sizes that no llama2.c checkpoint of {} bytes has", file_bytes);
}

}  // namespace

bool is_llama2c(std::span<const std::byte> first_bytes, uint64_t file_bytes) {
  try {
    const Llama2cHeader header = header_of(first_bytes, "");
    check_counts(header, file_bytes, "");
    const ModelConfig config = config_from_llama2c(header, "");
    return expected_bytes(config, llama2c_weights(config)) == static_cast<int64_t>(file_bytes);
  } catch (const Error&) {
    return false;
  }
}

ModelConfig llama2c_config(std::span<const std::byte> bytes, std::string_view where) {
  const Llama2cHeader header = header_of(bytes, where);
  check_counts(header, bytes.size(), where);
  ModelConfig config = config_from_llama2c(header, where);
  const auto expected = expected_bytes(config, llama2c_weights(config));
  if (expected != static_cast<int64_t>(bytes.size())) {
    fail(where,
         "should have {} bytes by its header (dim {}, {} layers, {} tokens), found {}; is it cut short or "
         "another format?",
         expected.value_or(-1), config.hidden_size, config.layers, config.vocab_size, bytes.size());
  }
  return config;
}

Parameters llama2c_parameters(std::span<const std::byte> bytes, const ModelConfig& config,
                              std::string_view where) {
  TensorSet tensors;
  const WeightMap map = llama2c_weights(config);
  size_t offset = header_bytes;
  for (const WeightEntry& entry : map.entries) {
    const auto size = static_cast<size_t>(checked_elements(entry.shape).value()) * 4;
    FETTLE_CHECK(offset + size <= bytes.size());
    tensors.add({entry.published, "F32", DType::f32, entry.shape, bytes.subspan(offset, size)}, where);
    offset += size;
    if (entry.published == after_rotary) offset += static_cast<size_t>(rotary_numbers(config)) * 4;
  }
  return read_weights(map, tensors, where);
}

void write_llama2c(const fs::path& file, const ModelConfig& config, const WeightSource& weights) {
  const Llama2cHeader header = config_to_llama2c(config);
  const WeightMap map = llama2c_weights(config);
  AtomicFile out(file);
  out.write(&header, sizeof header);
  std::vector<std::byte> bytes;
  for (const WeightEntry& entry : map.entries) {
    const TensorToWrite tensor = weight_to_write(entry, weights, DType::f32);
    bytes.resize(static_cast<size_t>(tensor.bytes()));
    tensor.fill(bytes);
    out.write(bytes.data(), bytes.size());
    if (entry.published != after_rotary) continue;
    bytes.assign(static_cast<size_t>(rotary_numbers(config)) * 4, std::byte{0});
    out.write(bytes.data(), bytes.size());
  }
  out.commit();
}

void write_llama2c_tokenizer(const fs::path& file, const GgufVocabulary& vocabulary) {
  if (vocabulary.model != "llama" || vocabulary.scores.size() != vocabulary.tokens.size()) {
    fail(file.string(), "llama2.c reads SentencePiece tokenizers alone, this one is '{}'", vocabulary.model);
  }
  constexpr std::string_view word_begin = "\xE2\x96\x81";  // SentencePiece's mark of a space
  std::vector<std::string> texts;
  int32_t longest = 0;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    std::string text = vocabulary.tokens[i];
    for (size_t at = text.find(word_begin); at != std::string::npos; at = text.find(word_begin, at)) {
      text.replace(at, word_begin.size(), " ");
    }
    // llama2.c shows the marks of begin and end as lines of their own.
    if (static_cast<int32_t>(i) == vocabulary.bos || static_cast<int32_t>(i) == vocabulary.eos)
      text = "\n" + text + "\n";
    longest = std::max(longest, static_cast<int32_t>(text.size()));
    texts.push_back(std::move(text));
  }
  AtomicFile out(file);
  out.write(&longest, sizeof longest);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto length = static_cast<int32_t>(texts[i].size());
    out.write(&vocabulary.scores[i], sizeof(float));
    out.write(&length, sizeof length);
    out.write(texts[i]);
  }
  out.commit();
}

}  // namespace fettle
