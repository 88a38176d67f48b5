#pragma once
// Writes models so that transformers, vLLM, llama.cpp, Ollama and llama2.c open them without a fix by hand.
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/load.h"
#include "checkpoint/weights.h"
#include "model/config.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

/// What is to be written; nothing is owned but small values.
struct ModelToSave {
  const ModelConfig* config = nullptr;
  WeightSource weights;                  ///< parameters, and an adapter that is merged while they are written
  const Tokenizer* tokenizer = nullptr;  ///< may be null: then no tokenizer is written (GGUF needs one)
  fs::path tokenizer_folder;             ///< its files are copied byte for byte where there is one
  Json source_config = Json::object();   ///< keys of an earlier config.json that are kept
  Json generation_config = Json::object();  ///< written as generation_config.json unless empty
  std::string name;                         ///< GGUF general.name
};
/// A loaded model as it is, without its adapter.
ModelToSave to_save(const LoadedModel& model);

/// Writes the tokenizer's own files, copied byte for byte where the model came with them, else made anew.
void write_tokenizer_files(const fs::path& folder, const ModelToSave& model);

/// Writes config.json, generation_config.json, weights (sharded beyond `shard_bytes`) and tokenizer files
/// into `folder`, which may hold other files. Each file appears whole or not at all, the weights last.
/// `dtype`: f32, f16 or bf16.
void write_hf_files(const fs::path& folder, const ModelToSave& model, DType dtype,
                    int64_t shard_bytes = 5'000'000'000);
/// The same as a fresh folder that replaces `folder` in one step.
void save_hf(const fs::path& folder, const ModelToSave& model, DType dtype,
             int64_t shard_bytes = 5'000'000'000);

/// One GGUF v3 file. Vectors stay f32; matrices become `dtype`, and where its block does not divide a row, or
/// for the output matrix of the small types, what llama.cpp takes there. A weight that is stored in that very
/// type is copied bit for bit. Throws Error when llama.cpp knows no such architecture.
void save_gguf(const fs::path& file, const ModelToSave& model, DType dtype);

/// The adapter alone as a GGUF of llama.cpp's LoRA (f32, f16 or bf16), to stand beside the model that is
/// `base`. Throws Error naming what such a file cannot hold: magnitudes, whole modules, rows, biases.
void save_gguf_lora(const fs::path& file, const ModelConfig& config, const Parameters& base,
                    const Adapter& adapter, DType dtype);

/// A llama2.c version 0 checkpoint (f32), and `file`'s folder/tokenizer.bin when the tokenizer is
/// SentencePiece's.
void save_llama2c(const fs::path& file, const ModelToSave& model);

}  // namespace fettle
