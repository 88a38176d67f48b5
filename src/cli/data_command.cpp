// `fettle data VERB`: thin wrappers around the passes of data/.
#include "base/log.h"
#include "checkpoint/load.h"
#include "cli/data_verbs.h"
#include "cli/model_argument.h"

namespace fettle::cli {

void add_inputs(CLI::App& command, Files& files, bool required) {
  auto* option =
      command.add_option("--input", files.inputs, "Files, folders, patterns, or - for standard input");
  if (required) option->required();
}
void add_files(CLI::App& command, Files& files, bool needs_input) {
  add_inputs(command, files, needs_input);
  command.add_option("--output", files.output, "Rows as JSON lines (.json: an array; .gz, .zst: compressed)")
      ->capture_default_str();
  command.add_option("--rejected", files.rejected, "Where dropped rows go, each with its reason");
  command.add_option("--report", files.report, "Counts as JSON: in, out, and per reason");
}

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

void Text::load(const std::string& model, bool with_template) {
  if (model.empty()) return;
  if (!with_template && fs::is_regular_file(model) && (model.ends_with(".model") || model.ends_with("tokenizer.json"))) {
    tokenizer = Tokenizer::open(model);
    return;
  }
  LoadOptions options;
  options.weights = false;
  options.resolve = resolve_model;
  tokenizer = load_model(resolve_model(model), options).tokenizer;
  if (!tokenizer) fail(model, "has no tokenizer");
  if (with_template) chat.emplace(ChatTemplate::of(*tokenizer));
}

data::TokenizeOptions TokenFlags::options() const {
  data::TokenizeOptions made;
  made.train_on = data::train_on_from_name(train_on);
  made.truncate = data::truncate_from_name(truncate);
  made.max_length = max_length;
  made.raw = raw;
  return made;
}
void add_token_flags(CLI::App& command, TokenFlags& flags, const char* about_model) {
  command.add_option("--model", flags.model, about_model);
  command.add_option("--train-on", flags.train_on, "completions, assistant or all")->capture_default_str();
  command.add_option("--truncate", flags.truncate, "keep_start, keep_end or drop")->capture_default_str();
  command.add_option("--max-length", flags.max_length, "Tokens of a row; 0 for no limit")
      ->capture_default_str();
  command.add_flag("--raw", flags.raw, "Prompt and completion as plain text, without a chat template");
}

void add_data_command(CLI::App& app) {
  auto& data = add_command(app, "data", "Look at, clean and reshape training data",
                           "  $ fettle data stats --input chats.jsonl\n"
                           "  $ fettle data VERB --help");
  data.require_subcommand(1);
  add_clean(data);
  add_convert(data);
  add_binarize(data);
  add_filter(data);
  add_dedupe(data);
  add_segment(data);
  add_split(data);
  add_mix(data);
  add_stats(data);
  add_show(data);
  add_trace(data);
}

}  // namespace fettle::cli
