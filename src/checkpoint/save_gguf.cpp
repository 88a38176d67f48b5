// Writing GGUF: which tensor gets which type, and the metadata that llama.cpp asks for.
#include "base/log.h"
#include "checkpoint/gguf.h"
#include "checkpoint/save.h"
#include "kernels/quant.h"
#include "model/families/families.h"

namespace fettle {
namespace {

/// general.file_type: llama.cpp's number for what most of a file's matrices are.
int64_t file_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 0;
    case DType::f16:
      return 1;
    case DType::q4_0:
      return 2;
    case DType::q4_1:
      return 3;
    case DType::q8_0:
      return 7;
    case DType::q5_0:
      return 8;
    case DType::q5_1:
      return 9;
    case DType::q2_k:
      return 10;
    case DType::q3_k:
      return 11;
    case DType::q4_k:
      return 14;
    case DType::q5_k:
      return 16;
    case DType::q6_k:
      return 18;
    case DType::bf16:
      return 32;
    default:
      fail_usage("GGUF weights cannot be {}", dtype_name(dtype));
  }
}

/// What llama.cpp takes where the blocks of 256 do not divide a row.
DType without_super_blocks(DType dtype) {
  switch (dtype) {
    case DType::q2_k:
    case DType::q3_k:
    case DType::q4_k:
      return DType::q5_0;
    case DType::q5_k:
      return DType::q5_1;
    case DType::q6_k:
      return DType::q8_0;
    default:
      return dtype;
  }
}

DType fitting(DType dtype, int64_t cols) {
  if (cols % block_layout(dtype).elements == 0) return dtype;
  const DType smaller = without_super_blocks(dtype);
  return cols % block_layout(smaller).elements == 0 ? smaller : DType::f16;
}

/// The matrix that gives the logits is the one that rounding hurts most: six bits or eight, as llama.cpp
/// does.
DType output_type(DType dtype, int64_t cols) {
  if (!is_quantized(dtype) || dtype == DType::q8_0) return fitting(dtype, cols);
  return cols % block_layout(DType::q6_k).elements == 0 ? DType::q6_k : fitting(DType::q8_0, cols);
}

DType type_of(const WeightEntry& entry, const ModelToSave& model, DType dtype) {
  const bool router = entry.published.ends_with(".ffn_gate_inp.weight");
  if (entry.shape.size() == 1 || entry.published == "position_embd.weight" || router) return DType::f32;
  const int64_t cols = entry.shape.back();
  const bool output = entry.published == "output.weight" ||
                      (entry.published == "token_embd.weight" && model.config->tied_embeddings);
  return output ? output_type(dtype, cols) : fitting(dtype, cols);
}

GgufValue scalar(const Json& value) {
  if (value.is_boolean()) return GgufValue::boolean(value.get<bool>());
  if (value.is_number_float()) return GgufValue::f32(value.get<float>());
  if (value.is_number_integer()) return GgufValue::u32(value.get<int64_t>());
  return GgufValue::text(value.get<std::string>());
}

GgufMetadata metadata_of(const ModelToSave& model, DType dtype) {
  const Json config = config_to_gguf(*model.config);
  GgufMetadata metadata{{"general.architecture", scalar(config["general.architecture"])},
                        {"general.type", GgufValue::text("model")}};
  if (!model.name.empty()) metadata.emplace_back("general.name", GgufValue::text(model.name));
  for (const auto& [key, value] : config.items()) {
    if (key != "general.architecture" && !key.starts_with("tokenizer."))
      metadata.emplace_back(key, scalar(value));
  }
  metadata.emplace_back("general.file_type", GgufValue::u32(file_type(dtype)));
  if (is_quantized(dtype)) metadata.emplace_back("general.quantization_version", GgufValue::u32(2));
  return metadata;
}

/// The model's vocabulary with as many tokens as the embedding has rows (published models pad their
/// matrices).
GgufVocabulary padded_vocabulary(const ModelToSave& model) {
  GgufVocabulary vocabulary = model.tokenizer->to_gguf();
  const auto size = static_cast<size_t>(model.config->vocab_size);
  if (vocabulary.tokens.size() > size) {
    fail("GGUF", "the tokenizer has {} tokens, the model {}; they do not belong together",
         vocabulary.tokens.size(), size);
  }
  constexpr int32_t unused = 5;
  while (vocabulary.tokens.size() < size) {
    vocabulary.tokens.push_back(fmt::format("[PAD{}]", vocabulary.tokens.size()));
    if (!vocabulary.token_types.empty()) vocabulary.token_types.push_back(unused);
    if (!vocabulary.scores.empty()) vocabulary.scores.push_back(-1000.0F);
  }
  return vocabulary;
}

}  // namespace

void save_gguf(const fs::path& file, const ModelToSave& model, DType dtype) {
  GgufMetadata metadata = metadata_of(model, dtype);
  if (!keeps_windows_in_gguf(*model.config) && model.config->sliding_window > 0 && model.config->sliding_window < model.config->context_length) {
    log_warning(
        "{}: llama.cpp attends over the whole context where this model has a window of {} tokens; longer "
        "texts come out "
        "differently there",
        file.string(), model.config->sliding_window);
  }
  if (model.tokenizer == nullptr)
    fail(file.string(), "the model has no tokenizer, which a GGUF must hold; give one with --tokenizer");
  add_vocabulary(metadata, padded_vocabulary(model));
  std::vector<TensorToWrite> tensors;
  for (const WeightEntry& entry : gguf_weights(*model.config).entries) {
    tensors.push_back(weight_to_write(entry, model.weights, type_of(entry, model, dtype)));
  }
  const std::vector<float> factors = gguf_rope_factors(*model.config);
  if (!factors.empty()) {
    const auto count = static_cast<int64_t>(factors.size());
    tensors.push_back(tensor_to_write("rope_freqs.weight",
                                      {const_cast<float*>(factors.data()), DType::f32, 1, count}, DType::f32,
                                      {count}));
  }
  write_gguf(file, metadata, tensors);
}

}  // namespace fettle
