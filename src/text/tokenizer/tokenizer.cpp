#include "text/tokenizer/tokenizer.h"

#include <charconv>

#include "text/tokenizer/pipeline.h"
#include "text/tokenizer/sentencepiece.h"
#include "text/tokenizer/tokenizer_json.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

/// The chat templates of a folder: those in files of their own, else the config's, which may be a list of named ones.
/// Where there are several, `config` keeps all of them as such a list.
void find_templates(const fs::path& folder, TokenizerConfig& result) {
  const fs::path file = folder / "chat_template.jinja", more = folder / "additional_chat_templates";
  const auto named = [](const std::string& name, const std::string& source) {
    return Json{{"name", name}, {"template", source}};
  };
  Json list = Json::array();
  if (fs::exists(file)) list.push_back(named("default", read_file(file)));
  if (fs::is_directory(more)) {
    for (const auto& entry : fs::directory_iterator(more)) {
      if (entry.path().extension() == ".jinja")
        list.push_back(named(entry.path().stem().string(), read_file(entry.path())));
    }
  }
  if (const auto found = result.config.find("chat_template"); found != result.config.end() && list.empty()) {
    if (found->is_string()) list.push_back(named("default", found->get<std::string>()));
    if (found->is_array()) list = *found;
  }
  const std::string where = (folder / "tokenizer_config.json").string() + ": chat_template";
  for (const Json& entry : list) {
    const auto source = json_get<std::string>(entry, "template", where);
    if (json_get<std::string>(entry, "name", where) == "default") result.chat_template = source;
  }
  if (list.size() > 1 || (list.size() == 1 && result.chat_template.empty())) result.config["chat_template"] = list;
}

TokenizerConfig read_config(const fs::path& folder) {
  TokenizerConfig result;
  const fs::path config = folder / "tokenizer_config.json", map = folder / "special_tokens_map.json";
  if (fs::exists(config)) result.config = read_json(config);
  if (!result.config.is_object()) fail(config.string(), "must be a JSON object");
  if (fs::exists(map)) {
    const Json names = read_json(map);
    if (!names.is_object()) fail(map.string(), "must be a JSON object");
    for (const auto& [key, value] : names.items()) {
      if (!result.config.contains(key)) result.config[key] = value;
    }
  }
  find_templates(folder, result);
  return result;
}

/// What tokenizer_config.json says of a tokenizer.model: which ids surround a text, and tokens added behind
/// its pieces.
std::shared_ptr<const Tokenizer> with_config(SentencePieceModel model, const TokenizerConfig& config,
                                             const std::string& where) {
  ScoredVocabulary& vocabulary = model.vocabulary;
  vocabulary.add_bos = json_get_or(config.config, "add_bos_token", true, where);
  vocabulary.add_eos = json_get_or(config.config, "add_eos_token", false, where);
  std::vector<AddedToken> added;
  const Json listed = json_get_or(config.config, "added_tokens_decoder", Json::object(), where);
  for (const auto& [key, entry] : listed.items()) {
    AddedToken token;
    token.content = json_get<std::string>(entry, "content", where);
    token.special = json_get_or(entry, "special", false, where);
    token.lstrip = json_get_or(entry, "lstrip", false, where);
    token.rstrip = json_get_or(entry, "rstrip", false, where);
    token.single_word = json_get_or(entry, "single_word", false, where);
    const char* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, token.id);
    const auto limit = static_cast<int64_t>(vocabulary.tokens.size() + listed.size()) * 4;
    if (parsed.ec != std::errc() || parsed.ptr != end || token.id < 0 || token.id >= limit) {
      fail(where, "added_tokens_decoder: '{}' is not an id from 0 to {}", key, limit - 1);
    }
    added.push_back(std::move(token));
  }
  const auto tokenizer = sentencepiece_tokenizer(std::move(model), where, added);
  tokenizer->configure(config);
  return tokenizer;
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::from_json(std::string_view text, std::string_view where) {
  return pipeline_from_json(parse_json(text, where), std::string(text), where);
}

std::shared_ptr<const Tokenizer> Tokenizer::from_folder(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return open(folder / name);
  }
  fail(folder.string(), "holds neither tokenizer.json nor tokenizer.model");
}

std::shared_ptr<const Tokenizer> Tokenizer::open(const fs::path& path) {
  if (fs::is_directory(path)) return from_folder(path);
  const std::string extension = path.extension().string(), name = path.filename().string(), where = path.string();
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (name == "tokenizer.json") {
    std::string text = read_file(path);
    const Json parsed = parse_json(text, where);
    const auto tokenizer = pipeline_from_json(parsed, std::move(text), where);
    tokenizer->configure(read_config(folder));
    return tokenizer;
  }
  if (name == "tokenizer.model") return with_config(read_sentencepiece(read_file(path), where), read_config(folder), where);
  const std::string bytes = read_file(path);
  if (extension == ".json") return from_json(bytes, where);
  if (extension == ".model" || name.find(".model.") != std::string::npos) return from_sentencepiece(bytes, where);
  if (extension == ".bin") return from_llama2c(bytes, where);
  fail(where, "expected a folder, tokenizer.json, tokenizer.model or a llama2.c tokenizer.bin");
}

Json Tokenizer::config_json() const {
  Json config = config_;
  const auto name = [&](const char* key, int32_t id) {
    if (id >= 0) config[key] = token(id);
  };
  name("bos_token", bos_);
  name("eos_token", eos_);
  name("pad_token", pad_);
  name("unk_token", unk_);
  if (!config.contains("tokenizer_class")) config["tokenizer_class"] = "PreTrainedTokenizerFast";
  const bool several = config.contains("chat_template") && config["chat_template"].is_array();
  if (!chat_template_.empty() && !several) config["chat_template"] = chat_template_;
  return config;
}

std::map<std::string, std::string> Tokenizer::named_templates() const {
  std::map<std::string, std::string> named;
  const auto list = config_.find("chat_template");
  if (list == config_.end() || !list->is_array()) return named;
  for (const Json& entry : *list)
    named[json_get<std::string>(entry, "name", "chat_template")] =
        json_get<std::string>(entry, "template", "chat_template");
  return named;
}

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return "";
  ids_.push_back(id);
  const std::string text = tokenizer_->decode(ids_, skip_special_);
  const size_t certain = text.size() - unicode::incomplete_tail(text);
  if (certain <= emitted_) return "";
  std::string fresh = text.substr(emitted_, certain - emitted_);
  emitted_ = certain;
  // Only the start of a text and a cut character depend on earlier ids: once a token ends on a character, it
  // alone is context enough for the next.
  if (certain == text.size() && ids_.size() > 1) {
    ids_.erase(ids_.begin(), ids_.end() - 1);
    emitted_ = tokenizer_->decode(ids_, skip_special_).size();
  }
  return fresh;
}

std::string StreamDecoder::flush() {
  const std::string text = tokenizer_->decode(ids_, skip_special_);
  std::string rest = emitted_ < text.size() ? text.substr(emitted_) : "";
  ids_.clear();
  emitted_ = 0;
  return rest;
}

}  // namespace fettle
