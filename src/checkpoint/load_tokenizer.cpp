#include "checkpoint/load_tokenizer.h"

#include "base/open_file.h"
#include "checkpoint/gguf.h"
#include "checkpoint/llama2c.h"

namespace fettle {
namespace {

bool has_tokenizer(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.json") || fs::exists(folder / "tokenizer.model");
}

bool is_gguf(const fs::path& file) {
  return read_start(file, 4) == "GGUF";
}

/// A llama2.c checkpoint rather than its tokenizer, which ends in .bin too.
bool is_checkpoint(const fs::path& file) {
  const std::string first = read_start(file, sizeof(Llama2cHeader));
  return is_llama2c(std::as_bytes(std::span(first)), fs::file_size(file));
}

/// A GGUF may hold the vocabulary alone, without a tensor.
std::shared_ptr<const Tokenizer> of_gguf(const fs::path& file) {
  const Gguf gguf = open_gguf(file);
  const auto vocabulary = gguf_vocabulary(gguf);
  if (!vocabulary) fail(file.string(), "has no tokenizer: the keys tokenizer.ggml.* are missing; name a tokenizer's own file");
  return Tokenizer::from_gguf(*vocabulary, gguf.where);
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& path, const LoadOptions& options) {
  if (!options.tokenizer.empty()) return Tokenizer::open(options.tokenizer);
  if (!fs::exists(path)) fail(path.string(), "there is no such file or folder; a tokenizer stands in a model or in a file of its own");
  if (!fs::is_directory(path)) {
    if (is_gguf(path)) return of_gguf(path);
    if (path.extension() != ".bin" || !is_checkpoint(path)) return Tokenizer::open(path);
  } else if (has_tokenizer(path)) {
    return Tokenizer::from_folder(path);
  } else if (!is_adapter_folder(path) && !detect_format(path)) {
    fail(path.string(), "has no tokenizer.json, no tokenizer.model and no model that holds one");
  }
  LoadOptions without_weights = options;
  without_weights.weights = false;
  const auto model = load_model(path, without_weights);
  if (model.tokenizer == nullptr)
    fail(model.path.string(), "has no tokenizer: {}; name a tokenizer's own file",
         model.format == ModelFormat::llama2c ? "no tokenizer.bin stands beside it" : "neither tokenizer.json nor tokenizer.model is there");
  return model.tokenizer;
}

}  // namespace fettle
