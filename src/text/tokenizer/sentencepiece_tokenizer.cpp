// The pipeline of a SentencePiece model. Algorithm: sentencepiece, src/normalizer.cc, bpe_model.cc,
// unigram_model.cc.
#include <algorithm>
#include <limits>

#include "base/base64.h"
#include "text/tokenizer/precompiled.h"
#include "text/tokenizer/sentencepiece.h"
#include "text/tokenizer/tokenizer_json.h"
#include "text/tokenizer/unigram.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";

class SentencePieceNormalizer final : public Normalizer {
 public:
  SentencePieceNormalizer(const SentencePieceModel& model, std::string_view where)
      : prefix_(model.add_dummy_prefix && !model.whitespace_as_suffix),
        suffix_(model.add_dummy_prefix && model.whitespace_as_suffix),
        remove_(model.remove_extra_whitespaces),
        space_(model.escape_whitespaces ? kSpaceMark : " ") {
    if (!model.character_map.empty()) map_ = std::make_unique<CharacterMap>(model.character_map, where);
    for (size_t id = 0; id < model.vocabulary.tokens.size(); ++id) {
      if (model.vocabulary.types[id] != PieceType::user_defined) continue;
      AddedToken token;
      token.id = static_cast<int32_t>(id);
      kept_.add(model.vocabulary.tokens[id], token);
    }
  }

  void apply(AlignedText& text) const override {
    if (text.size() == 0) return;
    AlignedText::Rewrite rewrite;
    rewrite.text.reserve(text.size() + text.size() / 2 + 8);
    const std::vector<Fragment> fragments = kept_.find(text.view(), {});
    uint32_t start = 0;
    if (remove_) start = skip_spaces(text, fragments);
    if (start >= text.size()) return text.replace(std::move(rewrite));
    if (prefix_) rewrite.put(space_, text, start);
    bool after_space = remove_;
    for (const Fragment& fragment : fragments) {
      if (fragment.end <= start) continue;
      const Span span{std::max(fragment.begin, start), fragment.end};
      if (fragment.id >= 0) {
        put(text, text.view(span), span.begin, after_space, rewrite);
      } else {
        write(text, span, after_space, rewrite);
      }
    }
    if (remove_) drop_trailing_spaces(text, rewrite);
    if (suffix_) rewrite.put(space_, text, text.size());
    text.replace(std::move(rewrite));
  }

 private:
  /// What the text at `at` becomes; `length` is how much of it is used up.
  std::string_view mapped(std::string_view text, size_t at, size_t end, size_t& length) const {
    const std::string_view rest = text.substr(at, end - at);
    if (map_) {
      if (const auto found = map_->longest(rest, length)) return *found;
    }
    length = unicode::length(rest[0]);
    return rest.substr(0, length);
  }

  uint32_t skip_spaces(const AlignedText& text, const std::vector<Fragment>& fragments) const {
    // A user-defined piece ends the leading space, even one that begins with a space.
    if (fragments.front().id >= 0) return 0;
    const uint32_t end = fragments.front().end;
    size_t at = 0, length = 0;
    while (at < end && mapped(text.view(), at, end, length) == " ") at += length;
    return static_cast<uint32_t>(at);
  }

  void put(const AlignedText& text, std::string_view piece, uint32_t at, bool& after_space,
           AlignedText::Rewrite& rewrite) const {
    while (after_space && piece.starts_with(' ')) piece.remove_prefix(1);
    if (!piece.empty()) {
      for (size_t done = 0; done < piece.size();) {
        const size_t space = std::min(piece.find(' ', done), piece.size());
        if (done < space) rewrite.put(piece.substr(done, space - done), text, at);
        if (space < piece.size()) rewrite.put(space_, text, at);
        done = space + 1;
      }
      after_space = piece.ends_with(' ');
    }
    if (!remove_) after_space = false;
  }

  void write(const AlignedText& text, Span span, bool& after_space, AlignedText::Rewrite& rewrite) const {
    const std::string_view view = text.view();
    if (!map_ && !remove_) {
      for (uint32_t at = span.begin; at < span.end;) {
        const auto space = static_cast<uint32_t>(std::min<size_t>(view.find(' ', at), span.end));
        if (at < space) rewrite.copy(text, at, space);
        if (space < span.end) rewrite.put(space_, text, space);
        at = space + 1;
      }
      return;
    }
    size_t length = 0;
    for (size_t at = span.begin; at < span.end; at += length) {
      const std::string_view piece = mapped(view, at, span.end, length);
      put(text, piece, static_cast<uint32_t>(at), after_space, rewrite);
    }
  }

  void drop_trailing_spaces(const AlignedText& text, AlignedText::Rewrite& rewrite) const {
    while (rewrite.text.ends_with(space_)) rewrite.text.resize(rewrite.text.size() - space_.size());
    if (text.tracked()) rewrite.origins.resize(rewrite.text.size());
  }

  bool prefix_, suffix_, remove_;
  std::string space_;
  std::unique_ptr<CharacterMap> map_;
  TokenFinder kept_;
};

std::unique_ptr<TokenModel> make_model(const SentencePieceModel& model, std::string_view where) {
  if (model.kind == SentencePieceModel::Kind::bpe) return make_scored_bpe(model.vocabulary, where);
  UnigramOptions options;
  options.like_sentencepiece = true;
  options.byte_fallback = model.vocabulary.byte_fallback;
  options.unk = model.vocabulary.unk;
  for (size_t id = 0; id < model.vocabulary.tokens.size(); ++id) {
    const PieceType type = model.vocabulary.types[id];
    options.scores.push_back(static_cast<double>(model.vocabulary.scores[id]));
    options.user_defined.push_back(type == PieceType::user_defined);
    options.unusable.push_back(type != PieceType::normal && type != PieceType::user_defined);
  }
  return std::make_unique<Unigram>(make_vocabulary(model.vocabulary, where), std::move(options));
}

/// Pieces of the model keep their own type unless they are listed again.
void add_listed(const std::vector<AddedToken>& listed, PipelineParts& parts) {
  const Vocabulary& vocabulary = parts.model->vocabulary();
  for (const AddedToken& token : listed) {
    const int32_t known = vocabulary.find(token.content);
    const std::string& taken = vocabulary.token(token.id);
    if (known >= 0 ? known != token.id : !taken.empty()) {
      fail(parts.where, "added token '{}' has id {}, but the model gives {}", token.content, token.id,
           known >= 0 ? fmt::format("it {}", known) : fmt::format("that id to '{}'", taken));
    }
    if (parts.added.by_id(token.id) == nullptr) parts.added.add(token, nullptr);
  }
}

/// A model that removes spaces around a text drops all of them from its start when decoding, too.
OrderedJson piece_decoder(const SentencePieceModel& model) {
  constexpr size_t all = std::numeric_limits<uint32_t>::max();
  return scored_decoder(model.remove_extra_whitespaces ? all : model.add_dummy_prefix ? 1 : 0);
}

std::string export_json(const SentencePieceModel& model, const AddedTokens& added, const std::string& where) {
  OrderedJson inner = model.kind == SentencePieceModel::Kind::bpe ? scored_bpe_json(model.vocabulary, where)
                                                                  : scored_unigram_json(model.vocabulary);
  OrderedJson json =
      scored_json(model.vocabulary, sentencepiece_normalizer_json(model), std::move(inner), where);
  json["decoder"] = piece_decoder(model);
  for (const auto& [id, token] : added.all()) {
    const auto index = static_cast<size_t>(id);
    const bool piece =
        index < model.vocabulary.types.size() && model.vocabulary.types[index] != PieceType::normal;
    if (!piece) json["added_tokens"].push_back(added_token_json(token));
  }
  return dump_json(json);
}

/// The vocabulary and the tokens added behind it.
GgufVocabulary with_added(GgufVocabulary out, const PipelineTokenizer& tokenizer) {
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const auto index = static_cast<size_t>(id);
    const AddedToken* added = tokenizer.parts().added.by_id(id);
    if (index >= out.tokens.size()) {
      out.tokens.push_back(added != nullptr ? added->content : fmt::format("[PAD{}]", id));
      out.scores.push_back(-1e4f);
      out.token_types.push_back(static_cast<int32_t>(PieceType::unused));
    }
    if (added != nullptr && id != tokenizer.unk()) {
      out.token_types[index] =
          static_cast<int32_t>(added->special ? PieceType::control : PieceType::user_defined);
    }
  }
  return out;
}

}  // namespace

std::unique_ptr<Normalizer> make_sentencepiece_normalizer(const SentencePieceModel& model,
                                                          std::string_view where) {
  return std::make_unique<SentencePieceNormalizer>(model, where);
}

OrderedJson sentencepiece_normalizer_json(const SentencePieceModel& model) {
  OrderedJson stages = OrderedJson::array();
  const auto replace = [&](const char* kind, std::string_view pattern, std::string_view content) {
    stages.push_back({{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}});
  };
  if (!model.character_map.empty()) {
    stages.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(model.character_map)}});
  }
  if (model.remove_extra_whitespaces) {
    replace("Regex", R"(\A +| +\z)", "");
    replace("Regex", " {2,}", " ");
  }
  const std::string_view space = model.escape_whitespaces ? kSpaceMark : " ";
  if (model.add_dummy_prefix && !model.whitespace_as_suffix)
    stages.push_back({{"type", "Prepend"}, {"prepend", space}});
  if (model.add_dummy_prefix && model.whitespace_as_suffix) replace("Regex", R"((?<=[\s\S])\z)", space);
  if (model.escape_whitespaces) replace("String", " ", space);
  return {{"type", "Sequence"}, {"normalizers", stages}};
}

std::shared_ptr<PipelineTokenizer> sentencepiece_tokenizer(SentencePieceModel model, std::string_view where,
                                                           const std::vector<AddedToken>& added) {
  PipelineParts parts;
  parts.where = where;
  parts.model = make_model(model, where);
  parts.added = make_added_tokens(model.vocabulary);
  add_listed(added, parts);
  parts.normalizer = make_sentencepiece_normalizer(model, where);
  parts.decoder = make_decoder(Json::parse(piece_decoder(model).dump()), where);
  parts.surroundings = make_surroundings(model.vocabulary);
  const auto kept = std::make_shared<const SentencePieceModel>(std::move(model));
  parts.to_json = [kept, all = parts.added, place = parts.where] { return export_json(*kept, all, place); };
  parts.to_gguf = [kept](const PipelineTokenizer& tokenizer) {
    if (kept->kind != SentencePieceModel::Kind::bpe) {
      fail(tokenizer.parts().where,
           "a SentencePiece Unigram model cannot be written to a GGUF; only BPE models can");
    }
    return with_added(scored_gguf(kept->vocabulary), tokenizer);
  };
  auto tokenizer = std::make_shared<PipelineTokenizer>(std::move(parts));
  const ScoredVocabulary& vocabulary = kept->vocabulary;
  tokenizer->set_special(vocabulary.bos, vocabulary.eos, vocabulary.unk, vocabulary.pad);
  return tokenizer;
}

}  // namespace fettle
