#pragma once
// SentencePiece's model file, a protobuf (sentencepiece_model.proto), and its normalizer.
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/scored_vocabulary.h"

namespace fettle {

struct SentencePieceModel {
  enum class Kind { unigram = 1, bpe = 2 };
  Kind kind = Kind::unigram;
  ScoredVocabulary vocabulary;
  std::string character_map;  ///< precompiled_charsmap; empty: identity
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  bool whitespace_as_suffix = false;
};

/// Error naming `where` and the field when lengths lie, pieces repeat, or the model is neither Unigram nor
/// BPE.
SentencePieceModel read_sentencepiece(std::string_view bytes, std::string_view where);

/// SentencePiece's own normalization: character map, whitespace removal, dummy prefix, "▁" for spaces;
/// user-defined pieces pass through untouched.
std::unique_ptr<Normalizer> make_sentencepiece_normalizer(const SentencePieceModel& model,
                                                          std::string_view where);

/// The whole tokenizer, with tokens that its folder's configuration adds: ids equal those of the
/// `sentencepiece` library.
std::shared_ptr<PipelineTokenizer> sentencepiece_tokenizer(SentencePieceModel model, std::string_view where,
                                                           const std::vector<AddedToken>& added = {});

/// Its normalizer as stages of tokenizer.json, as near as those come.
OrderedJson sentencepiece_normalizer_json(const SentencePieceModel& model);

}  // namespace fettle
