// `fettle data VERB`: thin wrappers around the passes of data/.
#include <unistd.h>

#include <optional>

#include "base/log.h"
#include "checkpoint/load.h"
#include "cli/command.h"
#include "cli/model_argument.h"
#include "data/dataset.h"
#include "data/filter.h"
#include "data/show.h"
#include "data/stats.h"
#include "data/verbs.h"

namespace fettle::cli {
namespace {

/// What all verbs take.
struct Files {
  std::vector<std::string> inputs;
  std::string output = "-", rejected, report;

  data::PassFiles pass() const { return {inputs, output, rejected}; }
};

void add_inputs(CLI::App& command, Files& files, bool required = true) {
  auto* option =
      command.add_option("--input", files.inputs, "Files, folders, patterns, or - for standard input");
  if (required) option->required();
}
void add_files(CLI::App& command, Files& files, bool needs_input = true) {
  add_inputs(command, files, needs_input);
  command.add_option("--output", files.output, "Rows as JSON lines (.json: an array; .gz, .zst: compressed)")
      ->capture_default_str();
  command.add_option("--rejected", files.rejected, "Where dropped rows go, each with its reason");
  command.add_option("--report", files.report, "Counts as JSON: in, out, and per reason");
}

/// Rows may be on standard output, so the counts go there only when they do not.
void finish(const Files& files, const data::PassReport& report) {
  const OrderedJson json = data::to_json(report);
  if (!files.report.empty()) write_file(files.report, dump_json(json, 1) + "\n");
  if (files.output != "-") {
    print_report(json, data::to_text(report));
  } else {
    log_info("{}", data::to_text(report));
  }
}

data::Columns columns_of(const std::vector<std::string>& pairs) {
  data::Columns columns;
  for (const auto& pair : pairs) {
    const size_t equal = pair.find('=');
    if (equal == std::string::npos) fail_usage("--columns: '{}' should be KEY=COLUMN", pair);
    columns[pair.substr(0, equal)] = pair.substr(equal + 1);
  }
  return columns;
}

/// A model's tokenizer, and its template where the work needs one.
struct Text {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat;

  void load(const std::string& model, bool with_template) {
    if (model.empty()) return;
    LoadOptions options;
    options.weights = false;
    options.resolve = resolve_model;
    tokenizer = load_model(resolve_model(model), options).tokenizer;
    if (!tokenizer) fail(model, "has no tokenizer");
    if (with_template) chat.emplace(ChatTemplate::of(*tokenizer));
  }
};

struct TokenFlags {
  std::string model, train_on = "completions", truncate = "keep_start";
  int64_t max_length = 1024;
  bool raw = false;

  data::TokenizeOptions options() const {
    data::TokenizeOptions made;
    made.train_on = data::train_on_from_name(train_on);
    made.truncate = data::truncate_from_name(truncate);
    made.max_length = max_length;
    made.raw = raw;
    return made;
  }
};
void add_token_flags(CLI::App& command, TokenFlags& flags, const char* about_model) {
  command.add_option("--model", flags.model, about_model);
  command.add_option("--train-on", flags.train_on, "completions, assistant or all")->capture_default_str();
  command.add_option("--truncate", flags.truncate, "keep_start, keep_end or drop")->capture_default_str();
  command.add_option("--max-length", flags.max_length, "Tokens of a row; 0 for no limit")
      ->capture_default_str();
  command.add_flag("--raw", flags.raw, "Prompt and completion as plain text, without a chat template");
}

struct ConvertState {
  Files files;
  TokenFlags tokens;
  std::string from = "auto", to = "messages";
  std::vector<std::string> columns;
};
void run_convert(ConvertState& state) {
  Text text;
  text.load(state.tokens.model, !state.tokens.raw);
  data::ConvertOptions options;
  options.from = data::format_from_name(state.from);
  options.to = data::format_from_name(state.to);
  options.columns = columns_of(state.columns);
  options.tokenizer = text.tokenizer.get();
  options.chat = text.chat ? &*text.chat : nullptr;
  options.tokenize = state.tokens.options();
  finish(state.files, data::convert_rows(state.files.pass(), options));
}
void add_convert(CLI::App& data) {
  auto& command = add_command(
      data, "convert", "Rows of one format to another, or to token ids with masks",
      "  $ fettle data convert --input sharegpt.json --output messages.jsonl\n"
      "  $ fettle data convert --input qa.jsonl --columns prompt=question completion=answer --to messages\n"
      "  $ fettle data convert --input chats/ --model smollm2-135m-instruct --output tokens.jsonl");
  auto state = std::make_shared<ConvertState>();
  add_files(command, state->files);
  command.add_option("--from", state->from, "The rows' format (auto: by their keys)")->capture_default_str();
  command.add_option("--to", state->to, "messages, sharegpt, alpaca, completion, pair, judged or text")
      ->capture_default_str();
  command.add_option("--columns", state->columns, "KEY=COLUMN: which column stands for a format's key");
  add_token_flags(command, state->tokens,
                  "Write token ids and masks under this model's tokenizer and template");
  on_run(command, state, run_convert);
}

struct BinarizeState {
  Files files;
  std::string rule = "corrected";
  data::BinarizeOptions options;
};
void run_binarize(BinarizeState& state) {
  state.options.rule = data::binarize_rule_from_name(state.rule);
  finish(state.files, data::binarize_rows(state.files.pass(), state.options));
}
void add_binarize(CLI::App& data) {
  auto& command = add_command(
      data, "binarize", "Scored answers (UltraFeedback) to preference pairs",
      "  $ fettle data binarize --input ultrafeedback.jsonl --output pairs.jsonl --report pairs.json\n"
      "  $ fettle data binarize --input ultrafeedback.jsonl --rule zephyr-beta --output pairs.jsonl");
  auto state = std::make_shared<BinarizeState>();
  add_files(command, state->files);
  command.add_option("--rule", state->rule, "corrected, zephyr, zephyr-beta or argilla-mean")
      ->capture_default_str();
  command.add_option("--seed", state->options.seed, "Of the draw of the rejected answer")
      ->capture_default_str();
  command.add_option("--min-margin", state->options.min_margin, "Drop pairs whose scores differ by less")
      ->capture_default_str();
  on_run(command, state, run_binarize);
}

struct SplitState {
  Files files;
  std::string eval;
  double share = 0.1;
  data::SplitOptions options;
};
void run_split(SplitState& state) {
  state.options.parts = {{state.eval, state.share}};
  finish(state.files, data::split_rows(state.files.pass(), state.options));
}
void add_split(CLI::App& data) {
  auto& command = add_command(
      data, "split", "Hold out a share of the rows, by hash",
      "  $ fettle data split --input rows.jsonl --output train.jsonl --eval eval.jsonl --share 0.05");
  auto state = std::make_shared<SplitState>();
  add_files(command, state->files);
  command.add_option("--eval", state->eval, "Where the held-out rows go")->required();
  command.add_option("--share", state->share, "Of the rows that are held out")->capture_default_str();
  command.add_option("--by", state->options.by, "prompt: rows that ask the same stay together; id")
      ->capture_default_str();
  command.add_option("--seed", state->options.seed, "Another seed, other rows")->capture_default_str();
  on_run(command, state, run_split);
}

struct MixState {
  Files files;
  std::vector<std::string> sources;
  bool in_order = false;
  data::MixOptions options;
};
void run_mix(MixState& state) {
  for (const auto& source : state.sources) {
    const size_t colon = source.rfind('=');
    double weight = 1;
    try {
      if (colon != std::string::npos) weight = std::stod(source.substr(colon + 1));
    } catch (const std::exception&) {
      fail_usage("'{}' should be PATH or PATH=WEIGHT", source);
    }
    state.options.sources.emplace_back(source.substr(0, colon), weight);
  }
  state.options.shuffle = !state.in_order;
  finish(state.files, data::mix_rows(state.files.pass(), state.options));
}
void add_mix(CLI::App& data) {
  auto& command = add_command(
      data, "mix", "Several sources with weights into one file, shuffled",
      "  $ fettle data mix --input chats.jsonl=1 code.jsonl=0.25 poems.jsonl=3 --output mixed.jsonl");
  auto state = std::make_shared<MixState>();
  command
      .add_option("--input", state->sources, "PATH or PATH=WEIGHT: 0.25 a quarter of its rows, 3 three times")
      ->required();
  command.add_option("--output", state->files.output, "Rows as JSON lines")->capture_default_str();
  command.add_option("--rejected", state->files.rejected, "Where broken rows go");
  command.add_option("--report", state->files.report, "Counts as JSON");
  command.add_option("--seed", state->options.seed, "Of the choice and the order")->capture_default_str();
  command.add_flag("--in-order", state->in_order, "One source after another, not shuffled");
  on_run(command, state, run_mix);
}

struct DedupeState {
  Files files;
  std::string keep = "first", clusters;
  data::DedupeOptions options;
};
void run_dedupe(DedupeState& state) {
  using Keep = data::DedupeOptions::Keep;
  state.options.keep = state.keep == "longest" ? Keep::longest
                       : state.keep == "best"  ? Keep::best
                                               : Keep::first;
  state.options.clusters = state.clusters;
  finish(state.files, data::dedupe_rows(state.files.pass(), state.options));
}
void add_dedupe(CLI::App& data) {
  auto& command = add_command(data, "dedupe", "Drop rows that say the same, exactly or nearly",
                              "  $ fettle data dedupe --input chats.jsonl --output unique.jsonl\n"
                              "  $ fettle data dedupe --input a.jsonl b.jsonl --near --threshold 0.8 "
                              "--clusters c.jsonl --output unique.jsonl");
  auto state = std::make_shared<DedupeState>();
  add_files(command, state->files);
  command.add_option("--keep", state->keep, "Which row of a cluster stays")
      ->check(CLI::IsMember({"first", "longest", "best"}))
      ->capture_default_str();
  command
      .add_option("--score-field", state->options.score_field,
                  "For --keep best: the highest number in this field")
      ->capture_default_str();
  command.add_flag("--near", state->options.near, "Near-duplicates too (MinHash, with verified similarity)");
  command.add_option("--threshold", state->options.threshold, "Jaccard similarity from which rows are near")
      ->capture_default_str();
  command.add_option("--shingle-words", state->options.shingle_words, "Words of a shingle")
      ->capture_default_str();
  command.add_option("--clusters", state->clusters, "Write {\"kept\", \"dropped\"} ids");
  on_run(command, state, run_dedupe);
}

struct FilterState {
  Files files;
  std::vector<std::string> rules, lists;
  std::string model, on_phrase = "drop-row";
  data::FilterOptions options;
};
void run_filter(FilterState& state) {
  using OnPhrase = data::FilterOptions::OnPhrase;
  Text text;
  text.load(state.model, false);
  state.options.tokenizer = text.tokenizer.get();
  for (const auto& rule : state.rules) state.options.fields.push_back(data::FieldRule::parse(rule));
  for (const auto& list : state.lists) {
    const auto phrases = data::phrase_list(list);
    state.options.phrases.insert(state.options.phrases.end(), phrases.begin(), phrases.end());
  }
  state.options.on_phrase = state.on_phrase == "drop-pair"     ? OnPhrase::drop_pair
                            : state.on_phrase == "zero-weight" ? OnPhrase::zero_weight
                                                               : OnPhrase::drop_row;
  finish(state.files, data::filter_rows(state.files.pass(), state.options));
}
void add_filter(CLI::App& data) {
  auto& command = add_command(data, "filter", "Keep rows by field, size and phrases",
                              "  $ fettle data filter --input chats.jsonl --phrases wizardlm-unfiltered "
                              "--output kept.jsonl --rejected removed.jsonl\n"
                              "  $ fettle data filter --input sharegpt.json --field \"model=Model: GPT-4\" "
                              "--min-turns 2 --output gpt4.jsonl");
  auto state = std::make_shared<FilterState>();
  add_files(command, state->files);
  command.add_option("--field", state->rules, "FIELD=VALUE or FIELD!=VALUE; all must hold");
  command.add_option(
      "--phrases", state->lists,
      "wizardlm-unfiltered, vicuna-unfiltered, openchat, openchat-later, or a file with one phrase a line");
  command
      .add_option(
          "--fields", state->options.phrase_fields,
          "Where phrases are searched: roles, keys of the row, or all (default: the assistant's texts)")
      ->delimiter(',');
  command
      .add_option("--on-phrase", state->on_phrase,
                  "What goes: drop-row, drop-pair (the exchange), zero-weight (the turn stays, unlearnt)")
      ->check(CLI::IsMember({"drop-row", "drop-pair", "zero-weight"}))
      ->capture_default_str();
  command.add_option("--min-characters", state->options.min_characters);
  command.add_option("--max-characters", state->options.max_characters);
  command.add_option("--min-turns", state->options.min_turns);
  command.add_option("--max-turns", state->options.max_turns);
  command.add_option("--min-tokens", state->options.min_tokens);
  command.add_option("--max-tokens", state->options.max_tokens);
  command.add_option("--model", state->model, "Whose tokenizer counts tokens");
  on_run(command, state, run_filter);
}

struct StatsState {
  Files files;
  std::string model;
  data::StatsOptions options;
};
void run_stats(StatsState& state) {
  Text text;
  text.load(state.model, false);
  state.options.tokenizer = text.tokenizer.get();
  const auto report = data::data_stats(state.files.inputs, state.options);
  if (!state.files.report.empty()) write_file(state.files.report, dump_json(data::to_json(report), 1) + "\n");
  print_report(data::to_json(report), data::to_text(report));
}
void add_stats(CLI::App& data) {
  auto& command = add_command(data, "stats", "What is in a data set: rows, turns, lengths, sources",
                              "  $ fettle data stats --input chats.jsonl --model smollm2-135m-instruct\n"
                              "  $ fettle data stats --input data/ --group-by source,language --json");
  auto state = std::make_shared<StatsState>();
  add_inputs(command, state->files);
  command.add_option("--report", state->files.report, "The same as JSON in a file");
  command.add_option("--model", state->model, "Count tokens with this model's tokenizer");
  command.add_option("--group-by", state->options.group_by, "Fields whose values are counted")
      ->delimiter(',')
      ->capture_default_str();
  on_run(command, state, run_stats);
}

struct ShowState {
  Files files;
  TokenFlags tokens;
  int64_t rows = 3;
  std::string id, colour = "auto";
};
void run_show(ShowState& state) {
  const bool colour = state.colour == "always" || (state.colour == "auto" && ::isatty(STDOUT_FILENO) != 0);
  Text text;
  text.load(state.tokens.model, !state.tokens.raw);
  data::RejectedRows rejected;
  data::RowReader reader(state.files.inputs, rejected);
  std::vector<data::Row> rows;
  int64_t shown = 0;
  while (shown < state.rows && reader.next(rows)) {
    for (const auto& row : rows) {
      if (shown == state.rows) break;
      const auto example =
          data::example_from_row(data::parse_row(row), data::Format::automatic, {}, row.where());
      if (!state.id.empty() && example.id != state.id) continue;
      ++shown;
      print_line(data::show_example(example, colour));
      if (!text.tokenizer) continue;
      std::string reason;
      bool truncated = false;
      const auto sequence =
          data::tokenize_sequence(example, *text.tokenizer, text.chat ? &*text.chat : nullptr,
                                  state.tokens.options(), reason, truncated);
      print_line(sequence
                     ? data::show_tokens(*sequence, *text.tokenizer, colour) + (truncated ? "(cut)\n" : "")
                     : "nothing to learn: " + reason + "\n");
    }
  }
  if (shown == 0 && !state.id.empty()) fail(state.id, "no row has this id");
}
void add_show(CLI::App& data) {
  auto& command =
      add_command(data, "show", "Rows in the terminal: roles in colour, and token by token what is learnt",
                  "  $ fettle data show --input chats.jsonl\n"
                  "  $ fettle data show --input pairs.jsonl --id 8a1f… --model smollm2-135m-instruct");
  auto state = std::make_shared<ShowState>();
  add_inputs(command, state->files);
  command.add_option("--rows", state->rows, "How many")->capture_default_str();
  command.add_option("--id", state->id, "Only the row with this id");
  command.add_option("--colour", state->colour, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  add_token_flags(command, state->tokens,
                  "Show the tokens and the mask under this model's tokenizer and template");
  on_run(command, state, run_show);
}

struct TraceState {
  std::string id;
  std::vector<std::string> paths;
};
void run_trace(TraceState& state) {
  const auto steps = data::trace_row(state.id, state.paths);
  print_report(data::to_json(steps), data::to_text(steps));
}
void add_trace(CLI::App& data) {
  auto& command =
      add_command(data, "trace", "The way of one row through the passes, and which one dropped or changed it",
                  "  $ fettle data trace 8a1f33b0c2d4e5f6 --input run/");
  auto state = std::make_shared<TraceState>();
  command.add_option("ID", state->id, "The row's id")->required();
  command
      .add_option("--input", state->paths,
                  "Reports of the passes (--report), data files, or the folder with them")
      ->required();
  on_run(command, state, run_trace);
}

}  // namespace

void add_data_command(CLI::App& app) {
  auto& data = add_command(app, "data", "Look at, clean and reshape training data",
                           "  $ fettle data stats --input chats.jsonl\n"
                           "  $ fettle data VERB --help");
  data.require_subcommand(1);
  add_convert(data);
  add_binarize(data);
  add_filter(data);
  add_dedupe(data);
  add_split(data);
  add_mix(data);
  add_stats(data);
  add_show(data);
  add_trace(data);
}

}  // namespace fettle::cli
