#pragma once
// llama2.c's tokenizer.bin: the longest token's length, then for each token its score (float), its length
// (int32) and its bytes; all little-endian.
#include <string_view>

#include "text/tokenizer/scored_vocabulary.h"

namespace fettle {

/// Ids 0, 1, 2 are unknown, BOS and EOS; 3 to 258 are the bytes. Error naming `where` and the token.
ScoredVocabulary read_llama2c(std::string_view bytes, std::string_view where);

}  // namespace fettle
