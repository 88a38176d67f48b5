#pragma once
// New tokens for a model: its tokenizer's files and its tables grow together.
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/load.h"

namespace fettle {

/// How a new row begins: as the mean of the rows there are, or drawn around it with their deviation, column by column.
enum class RowInit : uint8_t { mean, random };

struct TokensToAdd {
  std::vector<std::string> texts;
  RowInit init = RowInit::mean;
  bool special = false;  ///< written by templates alone, left out of decoded text
};

/// Adds the tokens behind those of the tokenizer and returns their ids. Embedding, untied head and its bias get rows for
/// them where they have none (published tables are often padded); the rows begin as `init` says, the same for the same
/// seed. The tokenizer's files are written anew into a folder that lives as long as the model. Throws Error(usage) for
/// empty texts, texts twice and tokens there are already.
std::vector<int32_t> add_tokens(LoadedModel& model, const TokensToAdd& tokens, uint64_t seed);

}  // namespace fettle
