#include "text/tokenizer/pipeline.h"

#include <algorithm>

#include "text/tokenizer/stretch_cache.h"
#include "text/unicode/unicode.h"

namespace fettle {

void PipelineTokenizer::encode_words(AlignedText& text, TokenSink& sink) const {
  if (text.size() == 0) return;
  const size_t first = sink.begins.size();
  if (parts_.pre_tokenizer == nullptr) {
    parts_.model->encode(text.view(), 0, sink);
  } else {
    PreTokenized words{text, {{0, text.size()}}};
    parts_.pre_tokenizer->apply(words);
    sink.ids.reserve(sink.ids.size() + words.words.size() + words.words.size() / 4);
    for (const Span& word : words.words) parts_.model->encode(text.view(word), word.begin, sink);
  }
  for (size_t i = first; i < sink.begins.size(); ++i) sink.begins[i] = text.origin(sink.begins[i]);
}

/// Finds the tokens that are searched for after normalization, and encodes what lies between them.
void PipelineTokenizer::encode_normalized(AlignedText& text, const SpecialRule& rule, TokenSink& sink) const {
  const auto original_rule = [&](uint32_t begin, uint32_t end) {
    return rule(text.origin(begin), text.origin(end));
  };
  const std::vector<Fragment> fragments =
      parts_.added.normalized().find(text.view(), rule ? SpecialRule(original_rule) : SpecialRule());
  if (fragments.size() == 1 && fragments[0].id < 0) return encode_words(text, sink);
  for (const Fragment& fragment : fragments) {
    const uint32_t begin = text.origin(fragment.begin);
    if (fragment.id >= 0) {
      sink.put(fragment.id, begin);
      continue;
    }
    // Words are cut out of a text of their own, so that a pre-tokenizer sees the fragment's edges as the
    // text's.
    AlignedText::Rewrite part;
    AlignedText words(text.view({fragment.begin, fragment.end}), begin, sink.tracked);
    if (sink.tracked) {
      part.copy(text, fragment.begin, fragment.end);
      words.replace(std::move(part));
    }
    encode_words(words, sink);
  }
}

void PipelineTokenizer::encode_plain(std::string_view text, Span span, const SpecialRule& rule,
                                     TokenSink& sink) const {
  AlignedText part(text.substr(span.begin, span.end - span.begin), span.begin, sink.tracked);
  if (parts_.normalizer) parts_.normalizer->apply(part);
  if (parts_.added.normalized().empty()) {
    encode_words(part, sink);
  } else {
    encode_normalized(part, rule, sink);
  }
}

/// What stands between two added tokens does not depend on the text around it, but for the text's start.
void PipelineTokenizer::encode_remembered(std::string_view text, Span span, const SpecialRule& rule,
                                          TokenSink& sink) const {
  const std::string_view stretch = text.substr(span.begin, span.end - span.begin);
  auto place = StretchCache::mine().place(stretch, serial_);
  if (const auto* ids = place.ids()) {
    sink.ids.insert(sink.ids.end(), ids->begin(), ids->end());
    return;
  }
  const size_t first = sink.ids.size();
  encode_plain(text, span, rule, sink);
  place.store(std::span(sink.ids).subspan(first));
}

void PipelineTokenizer::encode_valid(std::string_view text, const SpecialRule& rule, TokenSink& sink) const {
  const bool rule_is_done = parts_.added.normalized().empty();
  for (const Fragment& fragment : parts_.added.raw().find(text, rule)) {
    const size_t size = fragment.end - fragment.begin;
    if (fragment.id >= 0) {
      sink.put(fragment.id, fragment.begin);
    } else if (sink.remember && rule_is_done && fragment.begin > 0 && size >= StretchCache::kLeast &&
               size <= StretchCache::kMost) {
      encode_remembered(text, {fragment.begin, fragment.end}, rule, sink);
    } else {
      encode_plain(text, {fragment.begin, fragment.end}, rule, sink);
    }
  }
}

void PipelineTokenizer::encode_text(std::string_view text, const SpecialRule& rule, TokenSink& sink) const {
  // Offsets have 32 bits, and U+FFFD can make a text three times as long.
  if (text.size() > 0x50000000u)
    fail(parts_.where, "cannot encode {} bytes as one text; split it", text.size());
  if (unicode::valid_prefix(text) == text.size()) return encode_valid(text, rule, sink);
  std::vector<uint32_t> origin;
  const std::string valid = unicode::lossy(text, &origin);
  origin.push_back(static_cast<uint32_t>(text.size()));
  const auto original_rule = [&](uint32_t begin, uint32_t end) { return rule(origin[begin], origin[end]); };
  const size_t first = sink.begins.size();
  encode_valid(valid, rule ? SpecialRule(original_rule) : SpecialRule(), sink);
  for (size_t i = first; i < sink.begins.size(); ++i) sink.begins[i] = origin[sink.begins[i]];
}

std::vector<int32_t> PipelineTokenizer::encode(std::string_view text, EncodeOptions options) const {
  TokenSink sink;
  const Surroundings& around = parts_.surroundings;
  if (options.add_special) sink.ids = around.before;
  const auto never = [](uint32_t, uint32_t) { return Allowed::no; };
  encode_text(text, options.parse_special ? SpecialRule() : SpecialRule(never), sink);
  if (options.add_special) sink.ids.insert(sink.ids.end(), around.behind.begin(), around.behind.end());
  return std::move(sink.ids);
}

Tokenizer::Encoding PipelineTokenizer::encode_pieces(std::span<const Piece> pieces,
                                                     PieceOptions options) const {
  std::string text;
  // Stretches of text where special tokens count, as [begin, end) with neighbours joined.
  std::vector<std::pair<size_t, size_t>> parsed;
  for (const Piece& piece : pieces) {
    const size_t begin = text.size();
    text.append(piece.text);
    if (!piece.parse_special || piece.text.empty()) continue;
    if (!parsed.empty() && parsed.back().second == begin) {
      parsed.back().second = text.size();
    } else {
      parsed.emplace_back(begin, text.size());
    }
  }
  const auto rule = [&](uint32_t begin, uint32_t end) {
    auto after = std::upper_bound(parsed.begin(), parsed.end(), begin,
                                  [](uint32_t at, const auto& stretch) { return at < stretch.second; });
    if (after == parsed.end() || after->first >= end) return Allowed::no;
    return after->first <= begin && end <= after->second ? Allowed::yes : Allowed::skip;
  };
  TokenSink sink;
  sink.tracked = options.begins;
  sink.remember = !options.begins;
  const Surroundings& around = parts_.surroundings;
  if (options.add_special) {
    for (const int32_t id : around.before) sink.put(id, 0);
  }
  encode_text(text, rule, sink);
  if (options.add_special) {
    for (const int32_t id : around.behind) sink.put(id, static_cast<uint32_t>(text.size()));
  }
  return {std::move(sink.ids), {sink.begins.begin(), sink.begins.end()}};
}

std::string PipelineTokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    const AddedToken* added = parts_.added.by_id(id);
    std::string spelled = added != nullptr ? added->spelled : parts_.model->vocabulary().token(id);
    if (!spelled.empty()) tokens.push_back(std::move(spelled));
  }
  std::string text;
  if (parts_.decoder) parts_.decoder->apply(tokens);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !parts_.decoder) text += ' ';
    text += tokens[i];
  }
  return text;
}

int32_t PipelineTokenizer::size() const {
  const auto& added = parts_.added.all();
  const int32_t last = added.empty() ? 0 : added.rbegin()->first + 1;
  return std::max(parts_.model->vocabulary().size(), last);
}

std::string PipelineTokenizer::token(int32_t id) const {
  const AddedToken* added = parts_.added.by_id(id);
  return added != nullptr ? added->content : parts_.model->vocabulary().token(id);
}

std::optional<int32_t> PipelineTokenizer::id(std::string_view token) const {
  if (const AddedToken* added = parts_.added.by_content(token)) return added->id;
  return parts_.model->vocabulary().id(token);
}

bool PipelineTokenizer::is_special(int32_t id) const {
  const AddedToken* added = parts_.added.by_id(id);
  return added != nullptr && added->special;
}

std::string PipelineTokenizer::bytes(int32_t id) const {
  if (const AddedToken* added = parts_.added.by_id(id)) return added->content;
  std::string spelled = token(id);
  if (spelled.empty() || !parts_.decoder) return spelled;
  // Behind another token nothing is stripped as the start of a text.
  std::vector<std::string> tokens{"x", std::move(spelled)};
  parts_.decoder->apply(tokens);
  std::string joined;
  for (const std::string& part : tokens) joined += part;
  return joined.substr(std::min<size_t>(1, joined.size()));
}

GgufVocabulary PipelineTokenizer::to_gguf() const {
  GgufVocabulary vocabulary = parts_.to_gguf(*this);
  vocabulary.bos = bos_;
  vocabulary.eos = eos_;
  vocabulary.unk = unk_;
  vocabulary.pad = pad_;
  vocabulary.chat_template = chat_template_;
  vocabulary.named_templates = named_templates();
  vocabulary.named_templates.erase("default");
  return vocabulary;
}

void PipelineTokenizer::set_templates(std::string chat_template, const std::map<std::string, std::string>& named) {
  chat_template_ = std::move(chat_template);
  if (named.empty()) return;
  Json list = Json::array();
  if (!chat_template_.empty()) list.push_back({{"name", "default"}, {"template", chat_template_}});
  for (const auto& [name, source] : named) list.push_back({{"name", name}, {"template", source}});
  config_["chat_template"] = std::move(list);
}

void PipelineTokenizer::keep_gguf(GgufVocabulary vocabulary) {
  const auto kept = std::make_shared<const GgufVocabulary>(std::move(vocabulary));
  parts_.to_gguf = [kept](const PipelineTokenizer&) { return *kept; };
}

void PipelineTokenizer::set_special(int32_t bos, int32_t eos, int32_t unk, int32_t pad) {
  bos_ = bos;
  eos_ = eos;
  unk_ = unk;
  pad_ = pad;
}

void PipelineTokenizer::configure(const TokenizerConfig& config) {
  config_ = config.config;
  chat_template_ = config.chat_template;
  const auto look_up = [&](const char* key, int32_t& id) {
    const auto found = config_.find(key);
    if (found == config_.end()) return;
    const Json& value = found->is_object() && found->contains("content") ? (*found)["content"] : *found;
    if (value.is_string()) id = this->id(value.get<std::string>()).value_or(-1);
  };
  look_up("bos_token", bos_);
  look_up("eos_token", eos_);
  look_up("pad_token", pad_);
  look_up("unk_token", unk_);
}

}  // namespace fettle
