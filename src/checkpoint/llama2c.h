#pragma once
// Version 0 checkpoints of llama2.c (https://github.com/karpathy/llama2.c): seven int32, then f32 tensors
// kind by kind, without names; and its tokenizer.bin.
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"
#include "checkpoint/weights.h"
#include "model/config.h"
#include "model/parameters.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

/// Whether the bytes can be one: sizes that fit together and give exactly `file_bytes`.
bool is_llama2c(std::span<const std::byte> first_bytes, uint64_t file_bytes);

/// The config of a checkpoint. Throws Error when the sizes are impossible or do not give the file's length.
ModelConfig llama2c_config(std::span<const std::byte> bytes, std::string_view where);
/// Views on `bytes`, whose owner the caller keeps.
Parameters llama2c_parameters(std::span<const std::byte> bytes, const ModelConfig& config,
                              std::string_view where);

/// Throws Error when the model is not of the plain Llama 2 architecture.
void write_llama2c(const fs::path& file, const ModelConfig& config, const WeightSource& weights);
/// Throws Error when the vocabulary is not SentencePiece's.
void write_llama2c_tokenizer(const fs::path& file, const GgufVocabulary& vocabulary);

}  // namespace fettle
