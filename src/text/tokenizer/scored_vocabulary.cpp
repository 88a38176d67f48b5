#include "text/tokenizer/scored_vocabulary.h"

#include <algorithm>
#include <cmath>

#include "text/tokenizer/tokenizer_json.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
/// Trying every split of a piece is quadratic in its length; real pieces have tens of bytes.
constexpr size_t kLongestPiece = 4096;

bool mergeable(PieceType type) {
  return type == PieceType::normal || type == PieceType::user_defined || type == PieceType::unused;
}

bool is_added(const ScoredVocabulary& vocabulary, size_t id) {
  const PieceType type = vocabulary.types[id];
  return type == PieceType::unknown || type == PieceType::control ||
         (type == PieceType::user_defined && !vocabulary.freeze_user_defined);
}

void check_sizes(const ScoredVocabulary& vocabulary, std::string_view where) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0) fail(where, "the vocabulary is empty");
  if (vocabulary.scores.size() != count || vocabulary.types.size() != count) {
    fail(where, "{} tokens, but {} scores and {} types", count, vocabulary.scores.size(),
         vocabulary.types.size());
  }
  for (size_t id = 0; id < count; ++id) {
    if (std::isnan(vocabulary.scores[id])) fail(where, "token {} has a score that is not a number", id);
    const bool searched = vocabulary.types[id] == PieceType::user_defined || is_added(vocabulary, id);
    if (searched && unicode::valid_prefix(vocabulary.tokens[id]) != vocabulary.tokens[id].size()) {
      fail(where, "token {} is looked for in texts, but is not valid UTF-8", id);
    }
    if (vocabulary.tokens[id].size() > kLongestPiece) {
      fail(where, "token {} has {} bytes, expected at most {}", id, vocabulary.tokens[id].size(),
           kLongestPiece);
    }
  }
  for (const int32_t id : {vocabulary.bos, vocabulary.eos, vocabulary.unk, vocabulary.pad}) {
    if (id >= static_cast<int64_t>(count))
      fail(where, "a special token has id {}, but there are {} tokens", id, count);
  }
}

AddedToken added_token(const ScoredVocabulary& vocabulary, size_t id) {
  AddedToken token;
  token.id = static_cast<int32_t>(id);
  token.content = vocabulary.tokens[id];
  token.special = vocabulary.types[id] != PieceType::user_defined;
  return token;
}

}  // namespace

Vocabulary make_vocabulary(const ScoredVocabulary& vocabulary, std::string_view where) {
  check_sizes(vocabulary, where);
  Vocabulary out;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (token.empty()) continue;
    if (!out.add(token, static_cast<int32_t>(id))) {
      fail(where, "tokens {} and {} are both '{}'", out.find(token), id, token);
    }
  }
  return out;
}

std::vector<ScoredMerge> score_merges(const ScoredVocabulary& vocabulary, std::string_view where) {
  const Vocabulary ids = make_vocabulary(vocabulary, where);
  const auto find = [&](std::string_view token) {
    const int32_t id = ids.find(token);
    return id >= 0 && mergeable(vocabulary.types[static_cast<size_t>(id)]) ? id : -1;
  };
  std::vector<ScoredMerge> merges;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view token = vocabulary.tokens[id];
    if (!mergeable(vocabulary.types[id]) || unicode::valid_prefix(token) != token.size()) continue;
    for (size_t at = 0; at < token.size();) {
      at += unicode::length(token[at]);
      if (at >= token.size()) break;
      const int32_t left = find(token.substr(0, at)), right = left < 0 ? -1 : find(token.substr(at));
      if (right >= 0) merges.push_back({left, right, static_cast<int32_t>(id), 0});
    }
  }
  const auto score = [&](const ScoredMerge& merge) {
    return vocabulary.scores[static_cast<size_t>(merge.merged)];
  };
  std::sort(merges.begin(), merges.end(), [&](const ScoredMerge& a, const ScoredMerge& b) {
    if (score(a) != score(b)) return score(a) > score(b);
    return std::tie(a.merged, a.left, a.right) < std::tie(b.merged, b.left, b.right);
  });
  uint32_t rank = 0;
  for (size_t i = 0; i < merges.size(); ++i) {
    if (i > 0 && score(merges[i]) != score(merges[i - 1])) ++rank;
    merges[i].rank = rank;
  }
  return merges;
}

std::unique_ptr<Bpe> make_scored_bpe(const ScoredVocabulary& vocabulary, std::string_view where) {
  MergeTable table;
  const std::vector<ScoredMerge> merges = score_merges(vocabulary, where);
  table.reserve(merges.size());
  for (const ScoredMerge& merge : merges) table.insert(merge.left, merge.right, {merge.rank, merge.merged});
  BpeOptions options;
  options.byte_fallback = vocabulary.byte_fallback;
  options.fuse_unk = vocabulary.fuse_unk;
  options.unk = vocabulary.unk;
  options.cut_at_spaces = true;
  for (size_t id = 0; id < vocabulary.tokens.size() && vocabulary.freeze_user_defined; ++id) {
    if (vocabulary.types[id] == PieceType::user_defined) options.frozen.push_back(static_cast<int32_t>(id));
  }
  return std::make_unique<Bpe>(make_vocabulary(vocabulary, where), std::move(table), std::move(options));
}

AddedTokens make_added_tokens(const ScoredVocabulary& vocabulary) {
  AddedTokens added;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (is_added(vocabulary, id) && !vocabulary.tokens[id].empty())
      added.add(added_token(vocabulary, id), nullptr);
  }
  return added;
}

Surroundings make_surroundings(const ScoredVocabulary& vocabulary) {
  Surroundings around;
  if (vocabulary.add_bos && vocabulary.bos >= 0) around.before.push_back(vocabulary.bos);
  if (vocabulary.add_eos && vocabulary.eos >= 0) around.behind.push_back(vocabulary.eos);
  return around;
}

OrderedJson scored_decoder(size_t dropped_spaces) {
  OrderedJson stages = {{{"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}},
                        {{"type", "ByteFallback"}},
                        {{"type", "Fuse"}}};
  if (dropped_spaces > 0) {
    stages.push_back({{"type", "Strip"}, {"content", " "}, {"start", dropped_spaces}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", stages}};
}

OrderedJson space_normalizer(bool add_space_prefix) {
  OrderedJson stages = OrderedJson::array();
  if (add_space_prefix) stages.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  stages.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}});
  return {{"type", "Sequence"}, {"normalizers", stages}};
}

OrderedJson scored_bpe_json(const ScoredVocabulary& vocabulary, std::string_view where) {
  OrderedJson vocab = OrderedJson::object(), merges = OrderedJson::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.tokens[id].empty()) continue;
    vocab.get_ref<OrderedJson::object_t&>().emplace_back(vocabulary.tokens[id], id);
  }
  const auto text = [&](int32_t id) { return vocabulary.tokens[static_cast<size_t>(id)]; };
  for (const ScoredMerge& merge : score_merges(vocabulary, where))
    merges.push_back({text(merge.left), text(merge.right)});
  OrderedJson model = {{"type", "BPE"}, {"dropout", nullptr}};
  model["unk_token"] = vocabulary.unk >= 0 ? OrderedJson(text(vocabulary.unk)) : OrderedJson();
  model["continuing_subword_prefix"] = nullptr;
  model["end_of_word_suffix"] = nullptr;
  model["fuse_unk"] = vocabulary.fuse_unk;
  model["byte_fallback"] = vocabulary.byte_fallback;
  model["ignore_merges"] = false;
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  return model;
}

OrderedJson scored_unigram_json(const ScoredVocabulary& vocabulary) {
  OrderedJson vocab = OrderedJson::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    vocab.push_back({vocabulary.tokens[id], static_cast<double>(vocabulary.scores[id])});
  }
  OrderedJson model = {{"type", "Unigram"}};
  model["unk_id"] = vocabulary.unk >= 0 ? OrderedJson(vocabulary.unk) : OrderedJson();
  model["vocab"] = std::move(vocab);
  model["byte_fallback"] = vocabulary.byte_fallback;
  return model;
}

OrderedJson scored_json(const ScoredVocabulary& vocabulary, OrderedJson normalizer, OrderedJson model,
                        std::string_view where) {
  check_sizes(vocabulary, where);
  OrderedJson added = OrderedJson::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const bool listed = is_added(vocabulary, id) || vocabulary.types[id] == PieceType::user_defined;
    if (listed && !vocabulary.tokens[id].empty())
      added.push_back(added_token_json(added_token(vocabulary, id)));
  }
  const auto name = [&](int32_t id) {
    return id < 0 ? std::string() : vocabulary.tokens[static_cast<size_t>(id)];
  };
  OrderedJson json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = std::move(added);
  json["normalizer"] = std::move(normalizer);
  json["pre_tokenizer"] = nullptr;
  json["post_processor"] =
      template_json({name(vocabulary.bos), vocabulary.bos}, {name(vocabulary.eos), vocabulary.eos},
                    vocabulary.add_bos, vocabulary.add_eos);
  json["decoder"] = scored_decoder(vocabulary.add_space_prefix ? 1 : 0);
  json["model"] = std::move(model);
  return json;
}

GgufVocabulary scored_gguf(const ScoredVocabulary& vocabulary) {
  GgufVocabulary out;
  out.model = "llama";
  out.pre = "default";
  out.tokens = vocabulary.tokens;
  out.scores = vocabulary.scores;
  for (const PieceType type : vocabulary.types) out.token_types.push_back(static_cast<int32_t>(type));
  out.add_bos = vocabulary.add_bos;
  out.add_eos = vocabulary.add_eos;
  out.add_space_prefix = vocabulary.add_space_prefix;
  return out;
}

std::shared_ptr<PipelineTokenizer> make_scored_tokenizer(ScoredVocabulary vocabulary,
                                                         std::string_view where) {
  PipelineParts parts;
  parts.where = where;
  parts.model = make_scored_bpe(vocabulary, where);
  parts.added = make_added_tokens(vocabulary);
  parts.normalizer =
      make_normalizer(Json::parse(space_normalizer(vocabulary.add_space_prefix).dump()), where);
  parts.decoder = make_decoder(Json::parse(scored_decoder(vocabulary.add_space_prefix ? 1 : 0).dump()), where);
  parts.surroundings = make_surroundings(vocabulary);
  const auto kept = std::make_shared<const ScoredVocabulary>(std::move(vocabulary));
  parts.to_json = [kept, place = parts.where] {
    return dump_json(
        scored_json(*kept, space_normalizer(kept->add_space_prefix), scored_bpe_json(*kept, place), place));
  };
  parts.to_gguf = [kept](const PipelineTokenizer&) { return scored_gguf(*kept); };
  auto tokenizer = std::make_shared<PipelineTokenizer>(std::move(parts));
  tokenizer->set_special(kept->bos, kept->eos, kept->unk, kept->pad);
  return tokenizer;
}

}  // namespace fettle
