#pragma once
// The GGUF container, versions 2 and 3, little-endian
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): typed metadata, then tensors at aligned
// offsets.
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/stored_tensor.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

/// The file's numbers for its types of values.
enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

/// One value of the metadata. Integers of every width are kept as int64 (u64 beyond that by its bits).
struct GgufValue {
  using Integers = std::vector<int64_t>;  ///< also of booleans
  using Numbers = std::vector<double>;
  using Texts = std::vector<std::string>;
  using Nested = std::vector<GgufValue>;

  GgufType type = GgufType::u32;
  GgufType element = GgufType::u32;  ///< of an array
  std::variant<int64_t, double, std::string, Integers, Numbers, Texts, Nested> value;

  static GgufValue u32(int64_t value) { return {GgufType::u32, {}, value}; }
  static GgufValue f32(float value) { return {GgufType::f32, {}, static_cast<double>(value)}; }
  static GgufValue boolean(bool value) { return {GgufType::boolean, {}, static_cast<int64_t>(value)}; }
  static GgufValue text(std::string value) { return {GgufType::text, {}, std::move(value)}; }
  static GgufValue texts(Texts values) { return {GgufType::array, GgufType::text, std::move(values)}; }
  static GgufValue f32s(std::span<const float> values) {
    return {GgufType::array, GgufType::f32, Numbers(values.begin(), values.end())};
  }
  static GgufValue i32s(std::span<const int32_t> values) {
    return {GgufType::array, GgufType::i32, Integers(values.begin(), values.end())};
  }
};

using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;  ///< in the file's order

struct Gguf {
  uint32_t version = 3;
  GgufMetadata metadata;
  TensorSet tensors;  ///< shapes outermost first (the file has them innermost first); keeps the map
  std::string where;

  const GgufValue* find(std::string_view key) const;
  /// Every key as JSON (numbers, booleans, strings), short lists of numbers too; without the vocabulary's long ones.
  Json scalars() const;
};

/// Checks every count and length against the bytes that are there before anything is allocated for it; names
/// and keys are unique, tensors lie aligned, inside the file and apart. Throws Error naming `where`, the key
/// or tensor, what was expected and found. Tensors point into `bytes`.
Gguf parse_gguf(std::span<const std::byte> bytes, std::string_view where);

/// Maps one file.
Gguf open_gguf(const fs::path& file);

/// Writes version 3 with an alignment of 32; the file appears whole or not at all.
void write_gguf(const fs::path& file, const GgufMetadata& metadata,
                const std::vector<TensorToWrite>& tensors);

/// GGUF's number for a dtype (its ggml_type), and its name there ("Q4_K").
uint32_t gguf_tensor_type(DType dtype);

/// The tokenizer's keys, or nothing when the file has no vocabulary. Throws Error when lists of different
/// length or wrong types contradict each other.
std::optional<GgufVocabulary> gguf_vocabulary(const Gguf& gguf);
void add_vocabulary(GgufMetadata& metadata, const GgufVocabulary& vocabulary);

}  // namespace fettle
