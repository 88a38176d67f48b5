#pragma once
// Byte-pair encoding over a vocabulary with ranked merges: the `BPE` model of tokenizer.json, and, with ranks
// made from scores, what SentencePiece and llama2.c do.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe_merge.h"
#include "text/tokenizer/token_model.h"
#include "text/tokenizer/word_cache.h"

namespace fettle {

struct BpeOptions {
  bool byte_level = false;     ///< words are raw bytes and tokens are spelled as in byte_level.h
  bool byte_fallback = false;  ///< a character without a token becomes its bytes' tokens, <0x00> to <0xFF>
  bool fuse_unk = false;       ///< neighbouring unknown characters become one unknown token
  bool ignore_merges = false;  ///< a word that is itself a token is that token
  int32_t unk = -1;            ///< -1: characters without a token are dropped
  std::string continuing_subword_prefix, end_of_word_suffix;
  /// Cut a word before each "▁" that no token has inside after that character. The ids stay the same, since
  /// no merge could cross the cut; it makes words short where a whole text is one word, as in Llama 2.
  bool cut_at_spaces = false;
  /// Tokens that are found in a word first and never merge with their neighbours (SentencePiece's
  /// user-defined pieces).
  std::vector<int32_t> frozen;
};

class Bpe final : public TokenModel {
 public:
  Bpe(Vocabulary vocabulary, MergeTable merges, BpeOptions options);
  void encode(std::string_view word, uint32_t begin, TokenSink& sink) const override;
  int32_t unk() const { return options_.unk; }

 private:
  class Starter;
  bool encode_whole(std::string_view word, std::vector<Symbol>& symbols) const;
  bool start_bytes(std::string_view word, std::vector<Symbol>& symbols) const;
  bool start_characters(std::string_view word, std::vector<Symbol>& symbols) const;
  int32_t find_character(std::string_view character, bool first, bool last) const;
  void encode_unfrozen(std::string_view word, uint32_t begin, TokenSink& sink) const;
  void encode_cached(std::string_view word, uint32_t begin, TokenSink& sink) const;
  void find_cuts();

  MergeTable merges_;
  BpeOptions options_;
  TokenFinder frozen_;
  uint32_t serial_;
  std::array<int32_t, 256> bytes_{};  ///< byte-level: the token of a byte; else of <0xXX> when byte_fallback
  std::array<int32_t, 128> ascii_{};  ///< the token of a plain ASCII character
  std::vector<uint32_t> lengths_;     ///< bytes of text behind a token
  std::array<bool, 128> space_inside_after_{};  ///< a token has "▁" right after this ASCII character
  bool can_cut_ = false;
};

}  // namespace fettle
