// The tokenizer inside a GGUF, in and out. Keys and meanings: the GGUF specification and llama.cpp.
#include <algorithm>

#include "text/tokenizer/gguf_pre_tokenizers.h"
#include "text/tokenizer/scored_vocabulary.h"
#include "text/tokenizer/tokenizer_json.h"

namespace fettle {
namespace {

enum TokenType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

bool is_added_type(int32_t type) {
  return type == kUnknown || type == kControl || type == kUserDefined;
}

void check_shape(const GgufVocabulary& vocabulary, std::string_view where) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0) fail(where, "tokenizer.ggml.tokens is empty");
  const auto check = [&](size_t size, const char* key) {
    if (size != 0 && size != count)
      fail(where, "{} has {} entries, tokenizer.ggml.tokens {}", key, size, count);
  };
  check(vocabulary.scores.size(), "tokenizer.ggml.scores");
  check(vocabulary.token_types.size(), "tokenizer.ggml.token_type");
  const auto check_id = [&](int32_t id, const char* key) {
    if (id < -1 || id >= static_cast<int64_t>(count))
      fail(where, "{} is {}, but there are {} tokens", key, id, count);
  };
  check_id(vocabulary.bos, "tokenizer.ggml.bos_token_id");
  check_id(vocabulary.eos, "tokenizer.ggml.eos_token_id");
  check_id(vocabulary.unk, "tokenizer.ggml.unknown_token_id");
  check_id(vocabulary.pad, "tokenizer.ggml.padding_token_id");
}

/// tokenizer.json of a byte-level BPE.
OrderedJson describe_bpe(const GgufVocabulary& vocabulary, std::string_view where) {
  const GgufPreTokenizer pre = gguf_pre_tokenizer(vocabulary.pre, where);
  OrderedJson added = OrderedJson::array(), vocab = OrderedJson::object(), merges = OrderedJson::array();
  Vocabulary seen;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const int32_t type = vocabulary.token_types.empty() ? int32_t{kNormal} : vocabulary.token_types[i];
    const auto id = static_cast<int32_t>(i);
    const std::string& token = vocabulary.tokens[i];
    if (token.empty() || !seen.add(token, id)) continue;  // no text ever becomes it
    vocab.get_ref<OrderedJson::object_t&>().emplace_back(token, id);
    if (is_added_type(type)) {
      AddedToken entry;
      entry.id = id;
      entry.content = token;
      entry.special = type != kUserDefined;
      added.push_back(added_token_json(entry));
    }
  }
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ', 1);  // a merge may begin with a space of its own
    if (space == std::string::npos) fail(where, "tokenizer.ggml.merges has '{}', expected two tokens", merge);
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  OrderedJson model = {{"type", "BPE"},
                       {"dropout", nullptr},
                       {"unk_token", nullptr},
                       {"continuing_subword_prefix", nullptr},
                       {"end_of_word_suffix", nullptr},
                       {"fuse_unk", false},
                       {"byte_fallback", false},
                       {"ignore_merges", pre.ignore_merges}};
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  const auto name = [&](int32_t id) {
    return id < 0 ? std::string() : vocabulary.tokens[static_cast<size_t>(id)];
  };
  OrderedJson json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = std::move(added);
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = OrderedJson::parse(pre.description.dump());
  json["post_processor"] =
      template_json({name(vocabulary.bos), vocabulary.bos}, {name(vocabulary.eos), vocabulary.eos},
                    vocabulary.add_bos.value_or(pre.add_bos), vocabulary.add_eos.value_or(false));
  json["decoder"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  json["model"] = std::move(model);
  return json;
}

/// A SentencePiece vocabulary as llama.cpp understands it.
ScoredVocabulary read_scored(const GgufVocabulary& vocabulary, std::string_view where) {
  if (vocabulary.scores.empty()) fail(where, "tokenizer.ggml.scores is missing; the model 'llama' needs it");
  ScoredVocabulary out;
  out.scores = vocabulary.scores;
  Vocabulary seen;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const int32_t type = vocabulary.token_types.empty() ? int32_t{kNormal} : vocabulary.token_types[i];
    // A token that repeats an earlier one cannot come out of a text.
    const bool fresh = seen.add(vocabulary.tokens[i], static_cast<int32_t>(i));
    out.tokens.push_back(fresh ? vocabulary.tokens[i] : std::string());
    out.types.push_back(type >= kNormal && type <= kByte ? static_cast<PieceType>(type) : PieceType::normal);
    out.byte_fallback = out.byte_fallback || type == kByte;
  }
  out.bos = vocabulary.bos;
  out.eos = vocabulary.eos;
  out.unk = vocabulary.unk;
  out.pad = vocabulary.pad;
  out.add_bos = vocabulary.add_bos.value_or(true);
  out.add_eos = vocabulary.add_eos.value_or(false);
  out.add_space_prefix = vocabulary.add_space_prefix.value_or(true);
  return out;
}

bool is_byte_level(const Json& json) {
  const auto decoder = json.find("decoder");
  return decoder != json.end() && decoder->is_object() && decoder->value("type", "") == "ByteLevel";
}

/// Types and texts of all tokens; gaps between ids become unused tokens.
void list_tokens(const PipelineTokenizer& tokenizer, bool bytes, GgufVocabulary& out) {
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    std::string token = tokenizer.token(id);
    const AddedToken* added = tokenizer.parts().added.by_id(id);
    int32_t type = kNormal;
    if (token.empty()) {
      token = fmt::format("[PAD{}]", id);
      type = kUnused;
    } else if (added != nullptr) {
      type = added->special ? kControl : kUserDefined;
    } else if (bytes && byte_of_token(token) >= 0) {
      type = kByte;
    }
    if (id == tokenizer.unk() && bytes) type = kUnknown;
    out.tokens.push_back(std::move(token));
    out.token_types.push_back(type);
  }
}

void list_merges(const Json& model, GgufVocabulary& out) {
  for (const Json& merge : model.at("merges")) {
    out.merges.push_back(merge.is_string()
                             ? merge.get<std::string>()
                             : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>());
  }
}

}  // namespace

GgufVocabulary gguf_from_json(const PipelineTokenizer& tokenizer, const Json& json, std::string_view where) {
  GgufVocabulary out;
  const Json& model = json.at("model");
  const Surroundings& around = tokenizer.parts().surroundings;
  out.add_bos = !around.before.empty();
  out.add_eos = !around.behind.empty();
  if (!is_byte_level(json)) fail(where, "a tokenizer of this kind cannot be written to a GGUF");
  if (!model.contains("merges")) fail(where, "GGUF has no place for a byte-level tokenizer without merges");
  const auto pre = gguf_pre_name(json.value("pre_tokenizer", Json()), model.value("ignore_merges", false));
  if (!pre) {
    fail(where, "GGUF has no name for this pre_tokenizer, so llama.cpp could not cut words as it does: {}",
         json.value("pre_tokenizer", Json()).dump().substr(0, 300));
  }
  out.model = "gpt2";
  out.pre = *pre;
  list_tokens(tokenizer, false, out);
  list_merges(model, out);
  out.add_space_prefix = false;
  return out;
}

std::shared_ptr<const Tokenizer> Tokenizer::from_gguf(const GgufVocabulary& vocabulary,
                                                      std::string_view where) {
  check_shape(vocabulary, where);
  std::shared_ptr<PipelineTokenizer> tokenizer;
  if (vocabulary.model == "gpt2") {
    const std::string text = dump_json(describe_bpe(vocabulary, where));
    tokenizer = pipeline_from_json(parse_json(text, where), text, where);
    tokenizer->keep_gguf(vocabulary);
  } else if (vocabulary.model == "llama") {
    tokenizer = make_scored_tokenizer(read_scored(vocabulary, where), where);
    tokenizer->keep_gguf(vocabulary);
  } else {
    fail(where, "tokenizer.ggml.model '{}' is not supported; expected gpt2 or llama", vocabulary.model);
  }
  tokenizer->set_special(vocabulary.bos, vocabulary.eos, vocabulary.unk, vocabulary.pad);
  tokenizer->set_templates(vocabulary.chat_template, vocabulary.named_templates);
  return tokenizer;
}

}  // namespace fettle
