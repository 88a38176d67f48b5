// Verbs of `fettle data` that only look: stats, show, trace.
#include <unistd.h>

#include "base/log.h"
#include "base/standard_output.h"
#include "cli/data_verbs.h"
#include "data/passes/show.h"
#include "data/passes/stats.h"
#include "data/passes/stats_page.h"
#include "data/training/dataset.h"

namespace fettle::cli {
namespace {

struct StatsState {
  Files files;
  std::string model, html;
  std::vector<std::string> flow;
  data::StatsOptions options;
};
void run_stats(StatsState& state) {
  check_destinations({{"--report", state.files.report}, {"--html", state.html}});
  Text text;
  text.load(state.model, false);
  state.options.tokenizer = text.tokenizer.get();
  state.options.languages = state.options.languages || !state.html.empty();
  const auto report = data::data_stats(state.files.inputs, state.options);
  if (!state.html.empty()) write_file(state.html, data::stats_page(report, data::read_flow(state.flow)));
  if (!state.files.report.empty()) write_file(state.files.report, dump_json(data::to_json(report), 1) + "\n");
  if (!is_standard_output(state.files.report) && !is_standard_output(state.html))
    print_report(data::to_json(report), data::to_text(report));
  for (const auto& warning : data::column_warnings(report.columns)) log_warning("stats: {}", warning);
  data::throw_if_unread("stats", data::to_json(report));
}

}  // namespace

void add_stats(CLI::App& data) {
  auto& command = add_command(data, "stats", "What is in a data set: rows, turns, lengths, sources",
                              "  $ fettle data stats --input chats.jsonl --model smollm2-135m-instruct\n"
                              "  $ fettle data stats --input data/ --group-by source,language --json\n"
                              "  $ fettle data stats --input final.jsonl --html stats.html --flow clean.json filter.json dedupe.json");
  auto state = std::make_shared<StatsState>();
  add_inputs(command, state->files);
  command.add_option("--report", state->files.report, "The same as JSON in a file; - is standard output");
  command.add_option("--model", state->model, "Count tokens with this model's tokenizer; its files alone will do");
  command.add_flag("--languages", state->options.languages, "Tell the language of every row");
  auto* page = command.add_option("--html", state->html, "The same as one page with plots");
  command.add_option("--flow", state->flow, "Reports of the passes before, in order: the page shows what they dropped")->needs(page);
  command.add_option("--group-by", state->options.group_by, "Fields whose values are counted")
      ->delimiter(',')
      ->capture_default_str();
  on_run(command, state, run_stats);
}

namespace {

struct ShowState {
  Files files;
  TokenFlags tokens;
  int64_t rows = 3;
  std::string id, colour = "auto";
  std::vector<const CLI::Option*> of_tokens;  ///< that rows without tokens have no use for
};
/// Token by token under the model's tokenizer, as training takes the row.
std::string tokens_of(const data::Example& example, const Text& text, const ShowState& state, bool colour) {
  std::string reason;
  bool truncated = false;
  const auto* chat = text.chat ? &*text.chat : nullptr;
  const auto show = [&](const auto& tokens) {
    return tokens ? data::show_tokens(*tokens, *text.tokenizer, colour) + (truncated ? "(cut)\n" : "")
                  : "nothing to learn: " + reason + "\n";
  };
  const auto options = state.tokens.options();
  if (example.kind == data::Example::Kind::pair)
    return show(data::tokenize_pair(example, *text.tokenizer, chat, options, reason, truncated));
  std::string all;
  for (const auto& row : data::supervised_rows(example, options)) {
    truncated = false;
    all += show(data::tokenize_sequence(row, *text.tokenizer, chat, data::options_of_rows(options), reason, truncated));
  }
  return all;
}

/// Whether the row was shown; `asked`: it is the one that was asked for. Throws Error when it cannot be read.
bool show_row(const data::Row& row, const Text& text, const ShowState& state, bool colour, bool& asked, data::ColumnReport& columns) {
  auto value = data::parse_row(row);
  const std::string why = data::show_rejection(value, colour);
  if (!why.empty() && value.is_null()) {
    if (state.id.empty()) print_line(why);
    return state.id.empty();
  }
  asked = !state.id.empty() && value.is_object() && value.contains("id") && value["id"] == state.id;
  data::RowUse use;
  const auto example = data::example_from_row(value, data::Format::automatic, {}, row.where(), &use);
  if (!state.id.empty() && example.id != state.id) return false;
  asked = true;
  columns.add(value, use);
  print_line(why + data::show_example(example, colour));
  if (text.tokenizer) print_line(tokens_of(example, text, state, colour));
  return true;
}

void run_show(ShowState& state) {
  const bool colour = state.colour == "always" || (state.colour == "auto" && ::isatty(STDOUT_FILENO) != 0);
  const std::string unused = state.tokens.model.empty() ? first_given(state.of_tokens) : std::string();
  if (!unused.empty()) fail_usage("show: {} is about tokens; name their tokenizer with --model", unused);
  Text text;
  text.load(state.tokens.model, !state.tokens.raw, state.tokens.chat_template);
  data::RejectedRows rejected;
  data::RowReader reader(state.files.inputs, rejected);
  std::vector<data::Row> rows;
  int64_t shown = 0, broken = 0;
  data::ColumnReport columns;
  while (shown < state.rows && reader.next(rows)) {
    for (const auto& row : rows) {
      if (shown == state.rows) break;
      bool asked = false;
      try {
        shown += show_row(row, text, state, colour, asked, columns);
      } catch (const Error& error) {
        if (error.kind() != Error::Kind::input || (asked && !state.id.empty())) throw;
        if (state.id.empty()) log_warning("{}", error.what());
        ++broken;
      }
    }
  }
  if (const auto lines = data::columns_text(columns); !lines.empty()) log_info("{}", std::string_view(lines).substr(0, lines.size() - 1));
  for (const auto& warning : data::column_warnings(columns)) log_warning("show: {}", warning);
  if (shown > 0) return;
  if (!state.id.empty())
    fail(state.id, "no row has this id{}", broken > 0 ? fmt::format("; {} rows could not be read", broken) : "");
  if (broken > 0) fail(fmt::format("{}", fmt::join(state.files.inputs, ", ")), "not one of {} rows can be shown", broken);
}

}  // namespace

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
  state->of_tokens = add_token_flags(command, state->tokens,
                                     "Show the tokens and the mask under this model's tokenizer and template");
  on_run(command, state, run_show);
}

namespace {

struct TraceState {
  std::string id;
  std::vector<std::string> paths;
};
void run_trace(TraceState& state) {
  const auto steps = data::trace_row(state.id, state.paths);
  print_report(data::to_json(steps), data::to_text(steps));
}

}  // namespace

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

}  // namespace fettle::cli
