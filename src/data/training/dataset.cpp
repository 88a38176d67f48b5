#include "data/training/dataset.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/hash.h"

namespace fettle::data {
namespace {

std::vector<Example> alone(const Example& example) {
  return {example};
}

/// What `tokenize` makes of an example, as a row of a set.
template <typename Tokenize>
MakeRow row_of(Tokenize tokenize) {
  return [tokenize](const Example& example, std::string& reason, bool& truncated) -> std::optional<TokenRow> {
    auto made = tokenize(example, reason, truncated);
    if (!made) return std::nullopt;
    return token_row(std::move(*made));
  };
}

/// Whatever of a tokenizer decides which tokens a text becomes.
void hash_tokenizer(Hasher& hasher, const Tokenizer& tokenizer) {
  const int32_t numbers[] = {tokenizer.size(), tokenizer.bos(), tokenizer.eos(), tokenizer.pad(), tokenizer.unk()};
  hasher.add_raw(numbers, sizeof numbers).add(tokenizer.to_json()).add(dump_json(tokenizer.config_json()));
}

std::string hash_options(const TokenSetOptions& set, const Tokenizer& tokenizer, const ChatTemplate* chat, std::string_view kind) {
  const TokenizeOptions& options = set.tokenize;
  Hasher hasher;
  hasher.add("rows 1").add(FETTLE_VERSION).add(kind);
  hash_tokenizer(hasher, tokenizer);
  if (chat != nullptr) hasher.add(chat->source()).add(chat->tool_source());
  const int64_t numbers[] = {static_cast<int64_t>(options.train_on), static_cast<int64_t>(options.truncate), options.max_length, options.raw,
                             options.split_turns, options.parse_special_in_content};
  hasher.add_raw(numbers, sizeof numbers).add(dump_json(options.variables));
  for (const auto& [name, weight] : options.class_weights) hasher.add(name).add_raw(&weight, sizeof weight);
  return hasher.hex();
}

std::shared_ptr<const TokenizedSet> open_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options,
                                         RowShape shape, std::string_view kind, ExpandExample expand, MakeRow make) {
  if (sources.empty()) fail_usage("data: no source was given");
  TokenRecipe recipe{.shape = shape, .expand = std::move(expand), .make = std::move(make), .sources = sources, .seed = options.seed};
  recipe.width = tokenizer.size() <= 65536 ? 2 : 4;
  recipe.piece_length = options.piece_length;
  if (options.part_bytes > 0) recipe.part_bytes = options.part_bytes;
  return cached_token_set(std::move(recipe), options.cache.keep ? hash_options(options, tokenizer, chat, kind) : "", options.cache);
}

/// For small sets: all rows at once.
template <typename T, typename Convert>
Tokenized<T> in_memory(const std::shared_ptr<const TokenizedSet>& set, RejectedRows& rejected, Convert convert) {
  Tokenized<T> result;
  const TokenFacts& facts = set->facts();
  result.report = facts.report;
  result.read = facts.read;
  result.columns = facts.columns;
  result.equal_answers = facts.equal_answers;
  result.classes = facts.classes;
  result.hash = facts.hash;
  set->each_record(0, set->size(), [&](int64_t, TokenRow&& row) { result.rows.push_back(convert(std::move(row))); });
  set->replay_rejected({}, rejected);  // nobody keeps the set: it has the texts
  return result;
}

TokenSetOptions for_memory(const TokenizeOptions& options, uint64_t seed) {
  TokenSetOptions set{.tokenize = options, .seed = seed};
  set.cache.keep = false;
  return set;
}

bool lacks_answer(const Example& example) {
  if (example.kind != Example::Kind::conversation) return false;
  const auto& messages = example.completion.messages;
  return std::none_of(messages.begin(), messages.end(), [](const Message& message) { return message.role == "assistant"; });
}

/// A text with the marks of speakers is the text that it is.
Example as_plain_text(const Example& example) {
  if (example.kind != Example::Kind::conversation || example.completion.text.empty()) return example;
  Example text = example;
  text.kind = Example::Kind::text;
  text.completion = {example.completion.text, {}, false};
  return text;
}

DataSource source_from_json(const Json& spec, std::string_view where) {
  DataSource source;
  if (spec.is_string()) {
    source.paths = {spec.get<std::string>()};
    return source;
  }
  if (!spec.is_object())
    fail_usage("{}: a path, or an object with path, format, columns, weight was expected", where);
  static const std::vector<std::string> known{"path", "format", "columns", "weight"};
  for (const auto& [key, value] : spec.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    fail_usage("{}: unknown key '{}'{}", where, key,
               near.empty() ? "" : fmt::format(", did you mean '{}'?", near));
  }
  try {
    const auto& path = spec.at("path");
    source.paths =
        path.is_array() ? path.get<std::vector<std::string>>() : std::vector{path.get<std::string>()};
    source.format = format_from_name(spec.value("format", "auto"));
    source.columns = spec.value("columns", Columns{});
    source.weight = spec.value("weight", 1.0);
  } catch (const Json::exception&) {
    fail_usage(
        "{}: path is text or a list of text, format text, columns an object of text, weight a number; found "
        "{}",
        where, spec.dump().substr(0, 200));
  }
  if (!(source.weight >= 0) || source.weight > 1000)
    fail_usage("{}: weight must lie in [0, 1000], got {}", where, source.weight);
  return source;
}

}  // namespace

std::vector<DataSource> data_sources_from_json(const Json& spec, std::string_view where) {
  std::vector<DataSource> sources;
  if (!spec.is_array()) return {source_from_json(spec, where)};
  for (size_t i = 0; i < spec.size(); ++i)
    sources.push_back(source_from_json(spec[i], fmt::format("{}[{}]", where, i)));
  return sources;
}

std::shared_ptr<const TokenizedSet> sequence_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options) {
  const TokenizeOptions& whole = options.tokenize;
  const auto make = [&, rows = options_of_rows(whole)](const Example& example, std::string& reason, bool& truncated) -> std::optional<TokenSequence> {
    if (whole.train_on != TrainOn::all && lacks_answer(example)) {
      reason = "no assistant turn";
      return std::nullopt;
    }
    return tokenize_sequence(example, tokenizer, chat, rows, reason, truncated);
  };
  return open_set(sources, tokenizer, chat, options, RowShape::sequence, "sequences",
                  [&](const Example& example) { return supervised_rows(example, whole); }, row_of(make));
}

std::shared_ptr<const TokenizedSet> text_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options) {
  return open_set(sources, tokenizer, chat, options, RowShape::sequence, "texts", alone, row_of([&](const Example& example, std::string& reason, bool& truncated) {
                    return tokenize_text(as_plain_text(example), tokenizer, chat, options.tokenize, reason, truncated);
                  }));
}

std::shared_ptr<const TokenizedSet> pair_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options) {
  return open_set(sources, tokenizer, chat, options, RowShape::pair, "pairs", alone, row_of([&](const Example& example, std::string& reason, bool& truncated) {
                    return tokenize_pair(example, tokenizer, chat, options.tokenize, reason, truncated);
                  }));
}

std::shared_ptr<const TokenizedSet> judged_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options) {
  return open_set(sources, tokenizer, chat, options, RowShape::judged, "judged", as_judged, row_of([&](const Example& example, std::string& reason, bool& truncated) {
                    return tokenize_judged(example, tokenizer, chat, options.tokenize, reason, truncated);
                  }));
}

Tokenized<TokenSequence> load_sequences(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                                  RejectedRows& rejected) {
  return in_memory<TokenSequence>(sequence_set(sources, tokenizer, chat, for_memory(options, seed)), rejected, sequence_of);
}

Tokenized<TokenSequence> load_texts(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                              RejectedRows& rejected) {
  return in_memory<TokenSequence>(text_set(sources, tokenizer, chat, for_memory(options, seed)), rejected, sequence_of);
}

Tokenized<Pair> load_pairs(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                          RejectedRows& rejected) {
  return in_memory<Pair>(pair_set(sources, tokenizer, chat, for_memory(options, seed)), rejected, pair_of);
}

Tokenized<Judged> load_judged(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                             RejectedRows& rejected) {
  return in_memory<Judged>(judged_set(sources, tokenizer, chat, for_memory(options, seed)), rejected, judged_of);
}

}  // namespace fettle::data
