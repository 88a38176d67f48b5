#pragma once
// The names that GGUF's `tokenizer.ggml.pre` gives to pre-tokenizers, and the tokenizer.json descriptions
// they stand for.
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace fettle {

struct GgufPreTokenizer {
  Json description;            ///< value for "pre_tokenizer"
  bool ignore_merges = false;  ///< a word that is a token stays whole
  bool add_bos = false;        ///< what llama.cpp assumes when `add_bos_token` is missing
};

/// Error naming `where` for a name that is not known.
GgufPreTokenizer gguf_pre_tokenizer(std::string_view name, std::string_view where);

/// The GGUF name of a tokenizer.json pre-tokenizer, if there is one.
std::optional<std::string> gguf_pre_name(const Json& description, bool ignore_merges);

}  // namespace fettle
