#pragma once
// Vocabularies whose tokens carry scores instead of a list of merges: SentencePiece, GGUF's "llama",
// llama2.c.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/bpe.h"
#include "text/tokenizer/pipeline.h"

namespace fettle {

/// Types as SentencePiece and GGUF number them.
enum class PieceType : int32_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

struct ScoredVocabulary {
  std::vector<std::string> tokens;  ///< a space is spelled "▁"
  std::vector<float> scores;
  std::vector<PieceType> types;
  bool byte_fallback = false, fuse_unk = true;
  int32_t bos = -1, eos = -1, unk = -1, pad = -1;
  bool add_bos = true, add_eos = false;
  bool add_space_prefix = true;
  /// User-defined pieces are found by the model itself, after normalization (SentencePiece); else before
  /// (llama.cpp).
  bool freeze_user_defined = false;
};

/// One merge of a scored vocabulary: tokens `left` and `right` make `merged`.
struct ScoredMerge {
  int32_t left, right, merged;
  uint32_t rank;  ///< 0 for the highest score; equal scores share a rank
};

/// Every pair of tokens whose concatenation is a token, highest score first; among equals by the ids of the
/// result and its halves. Error naming `where` when sizes differ, a score is not a number or a token is
/// absurdly long.
std::vector<ScoredMerge> score_merges(const ScoredVocabulary& vocabulary, std::string_view where);

/// The BPE model: merge the pair whose result has the highest score, the leftmost among equals.
std::unique_ptr<Bpe> make_scored_bpe(const ScoredVocabulary& vocabulary, std::string_view where);

/// Token -> id. Error when two tokens are spelled alike.
Vocabulary make_vocabulary(const ScoredVocabulary& vocabulary, std::string_view where);

/// Control and unknown pieces become special tokens; user-defined ones added tokens, unless the model freezes
/// them.
AddedTokens make_added_tokens(const ScoredVocabulary& vocabulary);

/// Ids around a text, from add_bos and add_eos.
Surroundings make_surroundings(const ScoredVocabulary& vocabulary);

/// "▁" back to spaces, byte tokens to bytes, without the first `dropped_spaces` spaces: as Llama's
/// tokenizer.json says it, where encoding put one first.
OrderedJson scored_decoder(size_t dropped_spaces);

/// What a tokenizer.json holds for it. `normalizer` and `model` are filled by the caller where null.
OrderedJson scored_json(const ScoredVocabulary& vocabulary, OrderedJson normalizer, OrderedJson model,
                        std::string_view where);
OrderedJson scored_bpe_json(const ScoredVocabulary& vocabulary, std::string_view where);
OrderedJson scored_unigram_json(const ScoredVocabulary& vocabulary);
/// Llama's normalizer: "▁" before the text when `add_space_prefix`, and for every space.
OrderedJson space_normalizer(bool add_space_prefix);

/// The tokenizer as llama.cpp and llama2.c run it: Llama's normalizer and merges by score.
std::shared_ptr<PipelineTokenizer> make_scored_tokenizer(ScoredVocabulary vocabulary, std::string_view where);

GgufVocabulary scored_gguf(const ScoredVocabulary& vocabulary);

}  // namespace fettle
