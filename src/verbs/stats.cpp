#include "data/passes/stats.h"

#include "data/files/unread_input.h"
#include "data/passes/stats_page.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Stats {
  std::vector<std::string> inputs, flow;
  std::string html, report, model;
  data::StatsOptions options;
};

KeyTable<Stats> stats_keys() {
  KeyTable<Stats> keys;
  add_inputs(keys, [](auto& o) -> auto& { return o.inputs; });
  keys.add("html", "The same as one page with plots", [](auto& o) -> auto& { return o.html; }).output("stats.html");
  keys.add("report", "The same as JSON in a file; - is standard output", [](auto& o) -> auto& { return o.report; }).output("stats.json");
  keys.add("model", "Count tokens with this model's tokenizer; its files alone will do", [](auto& o) -> auto& { return o.model; }).input();
  keys.add("languages", "Tell the language of every row; the page always does", [](auto& o) -> auto& { return o.options.languages; });
  keys.add("flow", "Reports of the passes before, in order: the page shows what they dropped", [](auto& o) -> auto& { return o.flow; })
      .alias("reports")
      .input()
      .only_with({"html"});
  keys.add("group_by", "Fields whose values are counted", [](auto& o) -> auto& { return o.options.group_by; }).listed();
  return keys;
}

Report run_stats(Stats& stats, const KeyValues&) {
  ModelText text;
  text.load(stats.model, false);
  stats.options.tokenizer = text.tokenizer.get();
  stats.options.languages = stats.options.languages || !stats.html.empty();
  const auto counted = data::data_stats(stats.inputs, stats.options);
  if (!stats.html.empty()) write_file(stats.html, data::stats_page(counted, data::read_flow(stats.flow)));
  Report report{data::to_json(counted), data::to_text(counted), data::column_warnings(counted.columns), {}};
  if (!stats.report.empty()) write_file(stats.report, dump_json(report.json, 1) + "\n");
  report.failure = data::unread_text("stats", report.json);
  return report;
}

}  // namespace

const Verb& stats_verb() {
  static const Verb verb = make_verb(
      {.group = "data",
       .name = "stats",
       .summary = "What is in a data set: rows, turns, lengths, sources",
       .examples = "  $ fettle data stats --input chats.jsonl --model smollm2-135m-instruct\n"
                   "  $ fettle data stats --input data/ --group-by source,language --json\n"
                   "  $ fettle data stats --input final.jsonl --html stats.html --flow clean.json filter.json dedupe.json"},
      stats_keys(), {}, run_stats);
  return verb;
}

}  // namespace fettle::verbs
