#pragma once
// The tokenizer that all formats become: added tokens, normalizer, pre-tokenizer, model, post-processor,
// decoder.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/token_model.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/word_cache.h"

namespace fettle {

struct PipelineParts {
  AddedTokens added;
  std::unique_ptr<Normalizer> normalizer;       ///< may be null
  std::unique_ptr<PreTokenizer> pre_tokenizer;  ///< may be null: a text is one word
  std::unique_ptr<TokenModel> model;
  Surroundings surroundings;
  std::unique_ptr<TokenDecoder> decoder;  ///< null: tokens joined by spaces
  std::string where;                      ///< the file, for errors
  /// tokenizer.json and the GGUF vocabulary; called when someone exports.
  std::function<std::string()> to_json;
  std::function<GgufVocabulary(const class PipelineTokenizer&)> to_gguf;
};

/// tokenizer_config.json and its neighbours: names of the special tokens and the chat template.
struct TokenizerConfig {
  Json config = Json::object();
  std::string chat_template;
};

class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(PipelineParts parts) : parts_(std::move(parts)), serial_(WordCache::new_serial()) {}

  std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const override;
  std::string decode(std::span<const int32_t> ids, bool skip_special) const override;
  Encoding encode_pieces(std::span<const Piece> pieces, PieceOptions options) const override;
  int32_t size() const override;
  std::string token(int32_t id) const override;
  std::optional<int32_t> id(std::string_view token) const override;
  bool is_special(int32_t id) const override;
  std::string bytes(int32_t id) const override;
  std::string to_json() const override { return parts_.to_json(); }
  GgufVocabulary to_gguf() const override;

  /// Takes names of special tokens and the template from `config`; -1 stays where the vocabulary lacks a
  /// name.
  void configure(const TokenizerConfig& config);
  void set_special(int32_t bos, int32_t eos, int32_t unk, int32_t pad);
  /// What a GGUF carries: the default one, and those with names.
  void set_templates(std::string chat_template, const std::map<std::string, std::string>& named);
  /// Export hands out `vocabulary` as it was read.
  void keep_gguf(GgufVocabulary vocabulary);
  const PipelineParts& parts() const { return parts_; }

 private:
  void encode_text(std::string_view text, const SpecialRule& rule, TokenSink& sink) const;
  void encode_valid(std::string_view text, const SpecialRule& rule, TokenSink& sink) const;
  void encode_remembered(std::string_view text, Span span, const SpecialRule& rule, TokenSink& sink) const;
  void encode_plain(std::string_view text, Span span, const SpecialRule& rule, TokenSink& sink) const;
  void encode_words(AlignedText& text, TokenSink& sink) const;
  void encode_normalized(AlignedText& text, const SpecialRule& rule, TokenSink& sink) const;

  PipelineParts parts_;
  uint32_t serial_;
};

}  // namespace fettle
