#pragma once
// The Unigram language model: the segmentation of highest total score (Kudo 2018, "Subword Regularization").
#include <vector>

#include "text/tokenizer/token_model.h"
#include "text/unicode/aligned_text.h"

namespace fettle {

struct UnigramOptions {
  std::vector<double> scores;  ///< one per token id
  int32_t unk = -1;            ///< -1: a character without a token is an Error
  bool byte_fallback = false;  ///< an unknown stretch becomes its bytes' tokens
  /// SentencePiece sums in float and lets user-defined pieces win always; the `tokenizers` library sums in
  /// double.
  bool like_sentencepiece = false;
  std::vector<bool> user_defined, unusable;  ///< by id; empty: none
};

class Unigram final : public TokenModel {
 public:
  Unigram(Vocabulary vocabulary, UnigramOptions options);
  void encode(std::string_view word, uint32_t begin, TokenSink& sink) const override;
  int32_t unk() const { return options_.unk; }

 private:
  /// A trie over the tokens' bytes: nodes' children lie side by side, sorted by byte.
  struct Node {
    uint32_t first_child = 0;
    uint16_t children = 0;
    uint8_t byte = 0;
    int32_t id = -1;
  };
  struct Best {
    double score = 0;
    int32_t id = -1;
    uint32_t from = kNone;
  };
  static constexpr uint32_t kNone = 0xffffffff;
  void build_trie();
  uint32_t child(uint32_t node, uint8_t byte) const;
  void relax(std::vector<Best>& best, uint32_t from, uint32_t to, int32_t id, double score) const;
  void put_unknown(std::string_view piece, uint32_t begin, TokenSink& sink) const;

  UnigramOptions options_;
  std::vector<Node> nodes_;
  uint32_t root_[256];
  int32_t bytes_[256];
  bool has_bytes_ = false;
  double unknown_score_ = 0, highest_ = 0;
};

}  // namespace fettle
