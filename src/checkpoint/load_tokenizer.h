#pragma once
// The tokenizer alone, for work that needs no weights.
#include <memory>

#include "checkpoint/load.h"

namespace fettle {

/// Of a model (a folder, an adapter's folder, a .gguf, a llama2.c checkpoint), or of a tokenizer's own files: a folder with
/// tokenizer.json or tokenizer.model, or one of these files; a config and weights need not be there. `options.tokenizer`, where
/// given, stands for the model's own. Never null: throws Error naming what is missing.
std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& path, const LoadOptions& options = {});

}  // namespace fettle
