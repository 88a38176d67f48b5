#include "text/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "text/tokenizer/bpe.h"
#include "text/tokenizer/unigram.h"

namespace fettle {
namespace {

/// Ids may have gaps, but a file cannot make us reserve memory for ids far beyond what it lists.
void check_id(int64_t id, size_t entries, std::string_view token, std::string_view where) {
  const int64_t limit = static_cast<int64_t>(entries) * 4 + 65536;
  if (id < 0 || id >= limit) {
    fail(where, "token '{}' has id {}, expected 0 to {} for a vocabulary of {} entries", token, id, limit - 1,
         entries);
  }
}

const Json& member(const Json& object, const char* key, std::string_view where, std::string_view inside = "") {
  const auto found = object.find(key);
  if (found == object.end()) fail(where, "key '{}{}' is missing", inside, key);
  return *found;
}

Vocabulary read_vocabulary(const Json& model, std::string_view where) {
  const Json& entries = member(model, "vocab", where, "model.");
  if (!entries.is_object()) fail(where, "key 'model.vocab' must be an object of token to id");
  Vocabulary vocabulary;
  for (const auto& [token, value] : entries.items()) {
    if (!value.is_number_integer())
      fail(where, "model.vocab['{}'] must be an id, got {}", token, value.dump().substr(0, 40));
    const auto id = value.get<int64_t>();
    check_id(id, entries.size(), token, where);
    if (token.empty()) fail(where, "model.vocab has an empty token");
    if (!vocabulary.add(token, static_cast<int32_t>(id))) {
      fail(where, "model.vocab gives id {} to both '{}' and '{}'", id,
           vocabulary.token(static_cast<int32_t>(id)), token);
    }
  }
  if (vocabulary.size() == 0) fail(where, "model.vocab is empty");
  return vocabulary;
}

/// A merge is "left right" or, in newer files, [left, right].
std::pair<std::string, std::string> read_merge(const Json& merge, size_t index, std::string_view where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  fail(where, "model.merges[{}] must be two tokens, got {}", index, dump_json(merge).substr(0, 60));
}

MergeTable read_merges(const Json& model, const Vocabulary& vocabulary, const std::string& prefix,
                       std::string_view where) {
  const Json& list = member(model, "merges", where, "model.");
  if (!list.is_array()) fail(where, "key 'model.merges' must be a list");
  MergeTable table;
  table.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const auto merge = read_merge(list[i], i, where);
    const std::string& left = merge.first;
    const std::string& right = merge.second;
    const auto find = [&](const std::string& token) {
      const int32_t id = vocabulary.find(token);
      if (id < 0) {
        fail(where,
             "model.merges[{}] joins '{}' and '{}', but '{}' is not in model.vocab; the file is damaged or "
             "was edited",
             i, left, right, token);
      }
      return id;
    };
    const int32_t left_id = find(left), right_id = find(right);
    const size_t cut = !prefix.empty() && right.starts_with(prefix) ? prefix.size() : 0;
    table.insert(left_id, right_id, {static_cast<uint32_t>(i), find(left + right.substr(cut))});
  }
  return table;
}

std::unique_ptr<TokenModel> read_bpe(const Json& model, const Json& pre_tokenizer, std::string_view where) {
  Vocabulary vocabulary = read_vocabulary(model, where);
  BpeOptions options;
  options.byte_level = ends_with_byte_level(pre_tokenizer);
  options.byte_fallback = json_get_or(model, "byte_fallback", false, where);
  options.fuse_unk = json_get_or(model, "fuse_unk", false, where);
  options.ignore_merges = json_get_or(model, "ignore_merges", false, where);
  options.continuing_subword_prefix = json_get_or<std::string>(model, "continuing_subword_prefix", "", where);
  options.end_of_word_suffix = json_get_or<std::string>(model, "end_of_word_suffix", "", where);
  options.cut_at_spaces = true;
  const auto unk = json_get_or<std::string>(model, "unk_token", "", where);
  if (!unk.empty()) {
    options.unk = vocabulary.find(unk);
    if (options.unk < 0) fail(where, "model.unk_token '{}' is not in model.vocab", unk);
  }
  MergeTable merges = read_merges(model, vocabulary, options.continuing_subword_prefix, where);
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(options));
}

/// A decimal as the reference reads it: its JSON parser multiplies the digits by a power of ten instead of rounding
/// correctly, and where two segmentations have the same score the last bit decides.
double reference_double(double value) {
  const std::string text = fmt::format("{}", value);
  uint64_t digits = 0;
  int exponent = 0;
  bool fraction = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == 'e') {
      exponent += std::atoi(text.c_str() + i + 1);
      break;
    }
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    digits = digits * 10 + static_cast<uint64_t>(c - '0');
    if (fraction) --exponent;
  }
  const double power = std::pow(10.0, std::abs(exponent));
  const double size = exponent < 0 ? static_cast<double>(digits) / power : static_cast<double>(digits) * power;
  return value < 0 ? -size : size;
}

std::unique_ptr<TokenModel> read_unigram(const Json& model, std::string_view where) {
  const Json& entries = member(model, "vocab", where, "model.");
  if (!entries.is_array())
    fail(where, "key 'model.vocab' of a Unigram model must be a list of [token, score]");
  UnigramOptions options;
  Vocabulary vocabulary;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Json& entry = entries[i];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      fail(where, "model.vocab[{}] must be [token, score], got {}", i, dump_json(entry).substr(0, 60));
    }
    const auto& token = entry[0].get_ref<const std::string&>();
    if (token.empty()) fail(where, "model.vocab[{}] is an empty token", i);
    if (!vocabulary.add(token, static_cast<int32_t>(i))) {
      fail(where, "model.vocab has '{}' twice, at {} and {}", token, vocabulary.find(token), i);
    }
    const auto score = entry[1].get<double>();
    if (!(std::abs(score) < 1e30)) fail(where, "model.vocab[{}] has the score {}", i, score);
    options.scores.push_back(std::abs(score) < 1e-30 ? score : reference_double(score));
  }
  if (vocabulary.size() == 0) fail(where, "model.vocab is empty");
  options.unk = json_get_or<int32_t>(model, "unk_id", -1, where);
  if (options.unk >= vocabulary.size())
    fail(where, "model.unk_id is {}, but model.vocab has {} tokens", options.unk, entries.size());
  options.byte_fallback = json_get_or(model, "byte_fallback", false, where);
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(options));
}

std::string model_kind(const Json& model, std::string_view where) {
  if (!model.is_object()) fail(where, "key 'model' must be an object");
  // Files of early versions leave the type out.
  if (!model.contains("type")) return model.contains("merges") ? "BPE" : "Unigram";
  return json_get<std::string>(model, "type", where);
}

/// Affixes and byte fallback look at characters, so the bytes that ByteLevel yields must be spelled as such.
bool needs_characters(const Json& model, std::string_view where) {
  return !json_get_or<std::string>(model, "continuing_subword_prefix", "", where).empty() ||
         !json_get_or<std::string>(model, "end_of_word_suffix", "", where).empty() ||
         json_get_or(model, "byte_fallback", false, where);
}

AddedToken read_added(const Json& entry, size_t entries, std::string_view where) {
  AddedToken token;
  token.content = json_get<std::string>(entry, "content", where);
  const auto id = json_get<int64_t>(entry, "id", where);
  check_id(id, entries, token.content, where);
  token.id = static_cast<int32_t>(id);
  token.special = json_get_or(entry, "special", false, where);
  token.normalized = json_get_or(entry, "normalized", !token.special, where);
  token.lstrip = json_get_or(entry, "lstrip", false, where);
  token.rstrip = json_get_or(entry, "rstrip", false, where);
  token.single_word = json_get_or(entry, "single_word", false, where);
  return token;
}

void read_added_tokens(const Json& json, PipelineParts& parts, std::string_view where) {
  const auto normalize = [&](const std::string& content) {
    AlignedText text(content, 0, false);
    if (parts.normalizer) parts.normalizer->apply(text);
    return std::string(text.view());
  };
  const Vocabulary& vocabulary = parts.model->vocabulary();
  const auto list = json_get_or(json, "added_tokens", Json::array(), where);
  if (!list.is_array()) fail(where, "key 'added_tokens' must be a list");
  for (const Json& entry : list) {
    AddedToken token = read_added(entry, vocabulary.count() + list.size(), fmt::format("{}: added_tokens", where));
    const int32_t known = vocabulary.find(token.content);
    if (known >= 0) token.id = known;  // as the reference does: the model's id stands
    const std::string& taken = vocabulary.token(token.id);
    const AddedToken* other = parts.added.by_id(token.id);
    if (known < 0 && !taken.empty()) {
      fail(where, "added token '{}' has id {}, which model.vocab gives to '{}'", token.content, token.id,
           taken);
    }
    if (other != nullptr && other->content != token.content) {
      fail(where, "added tokens '{}' and '{}' share the id {}", other->content, token.content, token.id);
    }
    parts.added.add(token, normalize);
  }
}

void check_surroundings(const PipelineTokenizer& tokenizer, std::string_view where) {
  const Surroundings& around = tokenizer.parts().surroundings;
  for (const auto* ids : {&around.before, &around.behind}) {
    for (const int32_t id : *ids) {
      if (tokenizer.token(id).empty()) fail(where, "post_processor adds id {}, which no token has", id);
    }
  }
}

}  // namespace

std::shared_ptr<PipelineTokenizer> pipeline_from_json(const Json& json, std::string source,
                                                      std::string_view where) {
  if (!json.is_object()) fail(where, "a tokenizer.json must be an object");
  const auto part = [&](const char* key) { return json_get_or(json, key, Json(), where); };
  const Json& model = member(json, "model", where);
  const std::string kind = model_kind(model, where);
  const Json pre_tokenizer = part("pre_tokenizer");
  const bool bytes = kind == "BPE" && ends_with_byte_level(pre_tokenizer) && !needs_characters(model, where);
  PipelineParts parts;
  parts.where = where;
  const auto place = [&](const char* key) { return fmt::format("{}: {}", where, key); };
  parts.normalizer = make_normalizer(part("normalizer"), place("normalizer"));
  parts.pre_tokenizer = make_pre_tokenizer(pre_tokenizer, place("pre_tokenizer"), bytes);
  if (kind == "BPE") {
    parts.model = read_bpe(model, bytes ? pre_tokenizer : Json(), where);
  } else if (kind == "Unigram") {
    parts.model = read_unigram(model, where);
  } else {
    fail(where, "model of type '{}' is not supported; expected BPE or Unigram", kind);
  }
  parts.decoder = make_decoder(part("decoder"), place("decoder"));
  parts.surroundings = read_post_processor(part("post_processor"), place("post_processor"));
  read_added_tokens(json, parts, where);
  const auto text = std::make_shared<const std::string>(std::move(source));
  parts.to_json = [text] { return *text; };
  parts.to_gguf = [text](const PipelineTokenizer& tokenizer) {
    const std::string& place = tokenizer.parts().where;
    return gguf_from_json(tokenizer, parse_json(*text, place), place);
  };
  const Surroundings around = parts.surroundings;
  const auto* unk = dynamic_cast<const Unigram*>(parts.model.get());
  const int32_t unk_id = unk != nullptr ? unk->unk() : dynamic_cast<const Bpe&>(*parts.model).unk();
  auto tokenizer = std::make_shared<PipelineTokenizer>(std::move(parts));
  check_surroundings(*tokenizer, where);
  tokenizer->set_special(around.before.empty() ? -1 : around.before.front(),
                         around.behind.empty() ? -1 : around.behind.back(), unk_id, -1);
  return tokenizer;
}

OrderedJson added_token_json(const AddedToken& token) {
  return {{"id", token.id},          {"content", token.content}, {"single_word", token.single_word},
          {"lstrip", token.lstrip},  {"rstrip", token.rstrip},   {"normalized", token.normalized},
          {"special", token.special}};
}

OrderedJson template_json(const NamedToken& bos, const NamedToken& eos, bool add_bos, bool add_eos) {
  OrderedJson single = OrderedJson::array(), pair = OrderedJson::array(), special = OrderedJson::object();
  for (int type = 0; type < 2; ++type) {
    const auto put = [&](OrderedJson item) {
      if (type == 0) single.push_back(item);
      pair.push_back(std::move(item));
    };
    const auto put_token = [&](const NamedToken& token) {
      put({{"SpecialToken", {{"id", token.token}, {"type_id", type}}}});
      special[token.token] = {{"id", token.token}, {"ids", {token.id}}, {"tokens", {token.token}}};
    };
    if (add_bos && bos.id >= 0) put_token(bos);
    put({{"Sequence", {{"id", type == 0 ? "A" : "B"}, {"type_id", type}}}});
    if (add_eos && eos.id >= 0) put_token(eos);
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

}  // namespace fettle
