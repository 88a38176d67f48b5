// The passes of data/ as steps: clean, filter, dedupe, convert, stats.
#include <algorithm>

#include "base/log.h"
#include "checkpoint/load_tokenizer.h"
#include "data/files/unread_input.h"
#include "data/openchat/clean.h"
#include "data/openchat/openchat.h"
#include "data/passes/convert_rows.h"
#include "data/passes/dedupe.h"
#include "data/passes/filter.h"
#include "data/passes/stats.h"
#include "data/passes/stats_page.h"
#include "recipe/canonical_params.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

std::vector<std::string> texts_under(const OrderedJson& params, const char* key) {
  const auto found = params.find(key);
  if (found == params.end()) return {};
  if (found->is_string()) return {found->get<std::string>()};
  std::vector<std::string> texts;
  if (!found->is_array()) fail_usage("{} must be a text or a list of texts", key);
  for (const auto& item : *found) {
    if (!item.is_string()) fail_usage("{} must be a list of texts, found {}", key, item.dump());
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::string text_under(const OrderedJson& params, const char* key, const char* fallback) {
  const auto found = params.find(key);
  if (found == params.end()) return fallback;
  if (!found->is_string()) fail_usage("{} must be a text, found {}", key, found->dump().substr(0, 80));
  return found->get<std::string>();
}

template <typename T>
void take(const OrderedJson& params, const char* key, T& value) {
  const auto found = params.find(key);
  if (found == params.end()) return;
  try {
    value = found->get<T>();
  } catch (const OrderedJson::exception&) {
    fail_usage("{} has the wrong type: {}", key, found->dump());
  }
}

std::shared_ptr<const Tokenizer> tokenizer_of(const OrderedJson& params) {
  return load_tokenizer(params.at("model").get<std::string>());
}

/// Throws Error(usage) when one of `keys` is given without one of `needed`.
void need(const OrderedJson& params, std::initializer_list<const char*> keys, std::initializer_list<const char*> needed) {
  const auto given = [&](const char* key) { return params.contains(key); };
  if (std::any_of(needed.begin(), needed.end(), given)) return;
  for (const char* key : keys) {
    if (given(key)) fail_usage("'{}' has no effect without '{}'", key, fmt::join(needed, "' or '"));
  }
}

/// What all these steps share: rows in, rows out, the rejected rows, a report. Flags of the verbs that are called otherwise
/// than the parameter are known under both names.
class RowsStep : public StepKind {
 public:
  using Names = std::map<std::string, std::string>;
  RowsStep(std::string_view name, std::vector<std::string> known, Names flags = {})
      : name_(name), known_(std::move(known)), flags_(std::move(flags)) {}
  std::string_view name() const override { return name_; }
  void check(const Step& step) const override {
    Step own = step;
    own.params = canonical_params(step.params, flags_);
    check_params(own, known_, {"input"});
    try {
      check_options(own.params);
    } catch (const Error& error) {
      throw Error(Error::Kind::usage, fmt::format("{}: step '{}': {}", step.place, step.name, error.what()));
    }
  }
  std::vector<std::string> file_params() const override { return {"input.*", "input"}; }

  Outputs run(const StepContext& given) const override {
    StepContext context = given;
    context.params = canonical_params(given.params, flags_);
    const auto inputs = texts_under(context.params, "input");
    const data::PassFiles files{inputs, context.folder / output_name(), context.folder / "rejected.jsonl"};
    const auto report = pass(context, files);
    const OrderedJson counts = data::to_json(report);
    write_file(context.folder / "report.json", dump_json(counts, 1));
    data::throw_if_unread(given.step.name, counts);
    if (counts.contains("warnings")) {
      for (const auto& warning : counts["warnings"]) log_warning("{}: {}", given.step.name, warning.get<std::string>());
    }
    if (report.out == 0) fail(fmt::format("{}", fmt::join(inputs, ", ")), "no row is left of {}", report.in);
    return {{"", files.output.string()},
            {"rejected", files.rejected.string()},
            {"report", (context.folder / "report.json").string()}};
  }

 protected:
  virtual std::string output_name() const { return "rows.jsonl"; }
  virtual data::PassReport pass(const StepContext& context, const data::PassFiles& files) const = 0;
  /// Throws Error for what can be known to be wrong before anything runs, a parameter without effect beside the others too.
  virtual void check_options(const OrderedJson& params) const = 0;

 private:
  std::string_view name_;
  std::vector<std::string> known_;
  Names flags_;
};

/// {do: clean, input, blocked_words, upstream_compatible, need_text}
class CleanStep final : public RowsStep {
 public:
  CleanStep() : RowsStep("clean", {"input", "blocked_words", "upstream_compatible", "need_text"}) {}

 protected:
  void check_options(const OrderedJson& params) const override { options_of(params); }
  data::PassReport pass(const StepContext& context, const data::PassFiles& files) const override {
    return data::clean_pages(files, options_of(context.params));
  }

 private:
  static data::CleanOptions options_of(const OrderedJson& params) {
    data::CleanOptions options;
    bool upstream = false;
    options.blocked_words = texts_under(params, "blocked_words");
    take(params, "upstream_compatible", upstream);
    take(params, "need_text", options.need_text);
    if (upstream) options.code_blocks = data::CodeBlocks::upstream;
    return options;
  }
};

/// {do: filter, input, field, languages, skip_languages, fasttext, phrases, where, …}. What stands under `fields` is a rule
/// where it has "=", and otherwise a place to search phrases in, as the verb's --field and --fields.
class FilterStep final : public RowsStep {
 public:
  FilterStep()
      : RowsStep("filter",
                 {"input", "field", "fields", "languages", "skip_languages", "min_confidence", "fasttext", "phrases", "where",
                  "model", "min_tokens", "max_tokens",
                  "on_phrase", "min_turns", "max_turns", "min_characters", "max_characters", "max_repetition",
                  "max_symbols", "max_non_ascii", "max_digit_run", "decontaminate", "overlap", "run_words", "substring"},
                 {{"language", "languages"}, {"skip_language", "skip_languages"}}) {}
  std::vector<std::string> file_params() const override {
    return {"input.*", "input", "fasttext", "model", "decontaminate.*", "decontaminate", "phrases.*", "phrases"};
  }
  /// A list of phrases may be a name, which check_options() knows.
  std::vector<std::string> input_params() const override {
    return {"input.*", "input", "fasttext", "model", "decontaminate.*", "decontaminate"};
  }

 protected:
  void check_options(const OrderedJson& params) const override {
    options_of(params);
    need(params, {"where", "on_phrase"}, {"phrases"});
    need(params, {"fasttext", "min_confidence"}, {"languages", "skip_languages"});
    need(params, {"overlap", "run_words", "substring"}, {"decontaminate"});
    need(params, {"model"}, {"min_tokens", "max_tokens"});
    need(params, {"min_tokens", "max_tokens"}, {"model"});
  }
  data::PassReport pass(const StepContext& context, const data::PassFiles& files) const override {
    data::FilterOptions options = options_of(context.params);
    std::shared_ptr<const Tokenizer> tokenizer;
    if (context.params.contains("model")) tokenizer = tokenizer_of(context.params);
    options.tokenizer = tokenizer.get();
    return data::filter_rows(files, options);
  }

 private:
  /// All but the tokenizer.
  static data::FilterOptions options_of(const OrderedJson& params) {
    data::FilterOptions options;
    options.phrase_fields = texts_under(params, "where");
    for (const auto& rule : texts_under(params, "field")) options.fields.push_back(data::FieldRule::parse(rule));
    for (const auto& item : texts_under(params, "fields")) {
      if (item.find('=') == std::string::npos) {
        options.phrase_fields.push_back(item);
      } else {
        options.fields.push_back(data::FieldRule::parse(item));
      }
    }
    take(params, "min_tokens", options.min_tokens);
    take(params, "max_tokens", options.max_tokens);
    options.keep_languages = texts_under(params, "languages");
    options.skip_languages = texts_under(params, "skip_languages");
    take(params, "min_confidence", options.min_confidence);
    take(params, "fasttext", options.fasttext);
    for (const auto& list : texts_under(params, "phrases")) {
      if (has_reference(list)) continue;  // known once its step has run
      const auto phrases = data::phrase_list(list);
      options.phrases.insert(options.phrases.end(), phrases.begin(), phrases.end());
    }
    options.on_phrase = on_phrase(text_under(params, "on_phrase", "drop-row"));
    take(params, "min_turns", options.min_turns);
    take(params, "max_turns", options.max_turns);
    take(params, "min_characters", options.min_characters);
    take(params, "max_characters", options.max_characters);
    take(params, "max_repetition", options.max_repetition);
    take(params, "max_symbols", options.max_symbols);
    take(params, "max_non_ascii", options.max_non_ascii);
    take(params, "max_digit_run", options.max_digit_run);
    options.decontaminate.benchmarks = texts_under(params, "decontaminate");
    take(params, "overlap", options.decontaminate.overlap);
    take(params, "run_words", options.decontaminate.words);
    bool substring = false;
    take(params, "substring", substring);
    if (substring) options.decontaminate.rule = data::DecontaminateOptions::Rule::substring;
    return options;
  }

  static data::FilterOptions::OnPhrase on_phrase(const std::string& name) {
    using OnPhrase = data::FilterOptions::OnPhrase;
    if (name == "drop-row") return OnPhrase::drop_row;
    if (name == "drop-pair") return OnPhrase::drop_pair;
    if (name == "zero-weight") return OnPhrase::zero_weight;
    fail_usage("on_phrase: {}: one of drop-row, drop-pair, zero-weight", name);
  }
};

/// {do: dedupe, input, near, threshold, shingle_words, keep, score_field}
class DedupeStep final : public RowsStep {
 public:
  DedupeStep()
      : RowsStep("dedupe", {"input", "near", "threshold", "shingle_words", "keep", "score_field"}) {}
  int version() const override { return 2; }

 protected:
  void check_options(const OrderedJson& params) const override {
    options_of(params);
    need(params, {"threshold", "shingle_words"}, {"near"});
    need(params, {"score_field"}, {"keep"});
  }
  data::PassReport pass(const StepContext& context, const data::PassFiles& files) const override {
    data::DedupeOptions options = options_of(context.params);
    options.clusters = context.folder / "clusters.jsonl";
    return data::dedupe_rows(files, options);
  }

 private:
  static data::DedupeOptions options_of(const OrderedJson& params) {
    using Keep = data::DedupeOptions::Keep;
    data::DedupeOptions options;
    take(params, "near", options.near);
    take(params, "threshold", options.threshold);
    take(params, "shingle_words", options.shingle_words);
    take(params, "score_field", options.score_field);
    const std::string keep = text_under(params, "keep", "first");
    if (keep != "first" && keep != "longest" && keep != "best") fail_usage("keep: {}: one of first, longest, best", keep);
    options.keep = keep == "longest" ? Keep::longest : keep == "best" ? Keep::best : Keep::first;
    return options;
  }
};

/// {do: convert, input, openchat, model, layout, eval_ratio, seed, gpt3_weight, per_sequence_loss}, or with `to` into
/// another format, or with `model` to token rows. OpenChat's files stand in the folder that is the output.
class ConvertStep final : public RowsStep {
 public:
  ConvertStep()
      : RowsStep("convert",
                 {"input", "from", "to", "columns", "openchat", "model", "train_on", "truncate", "max_length", "raw", "layout",
                  "eval_ratio", "seed", "gpt3_weight", "per_sequence_loss"},
                 {{"as", "to"}, {"format", "from"}}) {}
  std::vector<std::string> file_params() const override { return {"input.*", "input", "model"}; }

  Outputs run(const StepContext& context) const override {
    auto outputs = RowsStep::run(context);
    if (context.params.contains("openchat")) outputs[""] = (context.folder / "openchat").string();
    return outputs;
  }

 protected:
  data::PassReport pass(const StepContext& context, const data::PassFiles& files) const override {
    const auto& params = context.params;
    if (!params.contains("openchat")) return convert(params, files);
    data::OpenChatOptions options = openchat_of(params);
    const auto tokenizer = tokenizer_of(params);
    options.tokenizer = tokenizer.get();
    const bool json = options.files == OpenChatRelease::v1 || options.files == OpenChatRelease::v2;
    const fs::path folder = context.folder / "openchat";
    fs::create_directories(folder);
    return data::convert_openchat({files.inputs, json ? folder : folder / options.type->name, files.rejected}, options);
  }
  void check_options(const OrderedJson& params) const override {
    if (params.contains("openchat")) {
      openchat_of(params);
    } else {
      rows_of(params);
    }
    need(params, {"layout", "eval_ratio", "seed", "gpt3_weight", "per_sequence_loss"}, {"openchat"});
    need(params, {"train_on", "truncate", "max_length", "raw"}, {"model"});
    for (const char* key : {"to", "from", "columns", "train_on", "truncate", "max_length", "raw"}) {
      if (params.contains("openchat") && params.contains(key)) fail_usage("'{}' has no effect on the files of 'openchat'", key);
    }
    if (params.contains("model") && params.contains("to"))
      fail_usage("'model' writes token rows, 'to' rows of another format; keep one of them");
  }

 private:
  /// All but the tokenizer and its template.
  static data::ConvertOptions rows_of(const OrderedJson& params) {
    data::ConvertOptions options;
    options.from = data::format_from_name(text_under(params, "from", "auto"));
    options.to = data::format_from_name(text_under(params, "to", "messages"));
    take(params, "columns", options.columns);
    options.tokenize.train_on = data::train_on_from_name(text_under(params, "train_on", "completions"));
    options.tokenize.truncate = data::truncate_from_name(text_under(params, "truncate", "keep_start"));
    take(params, "max_length", options.tokenize.max_length);
    take(params, "raw", options.tokenize.raw);
    return options;
  }
  static data::PassReport convert(const OrderedJson& params, const data::PassFiles& files) {
    data::ConvertOptions options = rows_of(params);
    std::shared_ptr<const Tokenizer> tokenizer;
    std::optional<ChatTemplate> chat;
    if (params.contains("model")) {
      tokenizer = tokenizer_of(params);
      options.tokenizer = tokenizer.get();
      if (!options.tokenize.raw) options.chat = &chat.emplace(ChatTemplate::of(*tokenizer));
    }
    return data::convert_rows(files, options);
  }
  /// All but the tokenizer.
  static data::OpenChatOptions openchat_of(const OrderedJson& params) {
    if (!params.contains("model")) fail_usage("convert: openchat needs a model, whose tokenizer makes the ids");
    data::OpenChatOptions options;
    options.type = &openchat_type(text_under(params, "openchat", ""));
    options.files = options.type->release;
    if (params.contains("layout")) options.files = data::openchat_release_from_name(text_under(params, "layout", ""));
    const bool json = options.files == OpenChatRelease::v1 || options.files == OpenChatRelease::v2;
    options.eval_ratio = json ? 0.01 : 0;
    take(params, "eval_ratio", options.eval_ratio);
    take(params, "seed", options.seed);
    take(params, "gpt3_weight", options.gpt3_weight);
    take(params, "per_sequence_loss", options.per_sequence_loss);
    return options;
  }
};

/// {do: stats, input, reports (or the verb's `flow`): [the reports of the passes before it, in order], model}: a page of plots.
class DataStatsStep final : public StepKind {
 public:
  std::string_view name() const override { return "stats"; }
  void check(const Step& step) const override {
    Step own = step;
    own.params = canonical_params(step.params, flags());
    check_params(own, {"input", "reports", "model", "group_by"}, {"input"});
  }
  std::vector<std::string> file_params() const override { return {"input.*", "input", "reports.*", "flow.*", "model"}; }

  Outputs run(const StepContext& given) const override {
    StepContext context = given;
    context.params = canonical_params(given.params, flags());
    data::StatsOptions options;
    options.languages = true;
    std::shared_ptr<const Tokenizer> tokenizer;
    if (context.params.contains("model")) tokenizer = tokenizer_of(context.params);
    options.tokenizer = tokenizer.get();
    if (context.params.contains("group_by")) options.group_by = texts_under(context.params, "group_by");
    const auto report = data::data_stats(texts_under(context.params, "input"), options);
    const auto flow = data::read_flow(texts_under(context.params, "reports"));
    write_file(context.folder / "stats.html", data::stats_page(report, flow));
    write_file(context.folder / "stats.json", dump_json(data::to_json(report), 1));
    data::throw_if_unread(given.step.name, data::to_json(report));
    return {{"", (context.folder / "stats.html").string()}, {"report", (context.folder / "stats.json").string()}};
  }

 private:
  static std::map<std::string, std::string> flags() { return {{"flow", "reports"}}; }
};

}  // namespace

const StepKind& clean_step() {
  static const CleanStep step;
  return step;
}
const StepKind& filter_step() {
  static const FilterStep step;
  return step;
}
const StepKind& dedupe_step() {
  static const DedupeStep step;
  return step;
}
const StepKind& convert_step() {
  static const ConvertStep step;
  return step;
}
const StepKind& data_stats_step() {
  static const DataStatsStep step;
  return step;
}

}  // namespace fettle
