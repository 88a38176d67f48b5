// `fettle data VERB`: thin wrappers around the passes of data/.
#include "base/log.h"
#include "base/standard_output.h"
#include "checkpoint/load_tokenizer.h"
#include "cli/data_verbs.h"
#include "cli/model_argument.h"
#include "data/files/unread_input.h"

namespace fettle::cli {

void add_inputs(CLI::App& command, Files& files) {
  command.add_option("--input", files.inputs, "Files, folders, patterns, or - for standard input")->required();
}
void add_files(CLI::App& command, Files& files) {
  add_inputs(command, files);
  add_outputs(command, files);
}
void add_outputs(CLI::App& command, Files& files) {
  command.add_option("--output", files.output, "Rows as JSON lines (.json: an array; .parquet; .gz, .zst: compressed); - is standard output")
      ->capture_default_str();
  command.add_option("--rejected", files.rejected, "Where dropped rows go, each with its reason; - is standard output");
  command.add_option("--report", files.report, "Counts as JSON: in, out, and per reason; - is standard output");
}

data::PassFiles Files::pass(const std::vector<Destination>& further) const {
  std::vector<Destination> all{{"--output", output}, {"--rejected", rejected}, {"--report", report}};
  all.insert(all.end(), further.begin(), further.end());
  check_destinations(all);
  return {inputs, output, rejected};
}

bool Files::take_standard_output() const {
  return is_standard_output(output) || is_standard_output(rejected) || is_standard_output(report);
}

void finish(const Files& files, const data::PassReport& report) {
  const OrderedJson json = data::to_json(report);
  if (!files.report.empty()) write_file(files.report, dump_json(json, 1) + "\n");
  if (files.take_standard_output()) {
    log_info("{}", data::to_text(report));
  } else {
    print_report(json, data::to_text(report));
  }
  if (json.contains("warnings")) {
    for (const auto& warning : json["warnings"]) log_warning("{}: {}", report.verb, warning.get<std::string>());
  }
  data::throw_if_unread(report.verb, json);
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

std::string first_given(const std::vector<const CLI::Option*>& options) {
  for (const auto* option : options) {
    if (option->count() > 0) return "--" + option->get_lnames().front();
  }
  return {};
}

void Text::load(const std::string& model, bool with_template, const std::string& chosen) {
  if (model.empty()) return;
  LoadOptions options;
  options.resolve = resolve_model;
  tokenizer = load_tokenizer(resolve_model(model), options);
  if (with_template) chat.emplace(ChatTemplate::of(*tokenizer, chosen));
}

data::TokenizeOptions TokenFlags::options() const {
  data::TokenizeOptions made;
  made.train_on = data::train_on_from_name(train_on);
  made.truncate = data::truncate_from_name(truncate);
  made.max_length = max_length;
  made.raw = raw;
  made.split_turns = split_turns;
  return made;
}
std::vector<const CLI::Option*> add_token_flags(CLI::App& command, TokenFlags& flags, const char* about_model) {
  command.add_option("--model", flags.model, about_model);
  return {command.add_option("--train-on", flags.train_on, "completions, assistant or all")->capture_default_str(),
          command.add_option("--truncate", flags.truncate, "keep_start, keep_end or drop")->capture_default_str(),
          command.add_option("--max-length", flags.max_length, "Tokens of a row; 0 for no limit")->capture_default_str(),
          command.add_flag("--raw", flags.raw, "Prompt and completion as plain text, without a chat template"),
          command.add_flag("--split-turns", flags.split_turns,
                           "A row of each turn of the assistant, behind the history as serving renders it"),
          command.add_option("--chat-template", flags.chat_template,
                             "A Jinja file, or the name of one of the model's templates, instead of its own")};
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
  add_clean_cache(data);
}

}  // namespace fettle::cli
