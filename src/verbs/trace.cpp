#include "data/passes/show.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Trace {
  std::string id, output;
  std::vector<std::string> inputs;
};

KeyTable<Trace> trace_keys() {
  KeyTable<Trace> keys;
  keys.add("id", "The row's id", [](auto& o) -> auto& { return o.id; }).positional().required();
  keys.add("input", "Reports of the passes (their report), data files, or the folder with them", [](auto& o) -> auto& { return o.inputs; })
      .input()
      .required();
  keys.add("output", "The way as JSON in a file", [](auto& o) -> auto& { return o.output; }).output("trace.json");
  return keys;
}

Report run_trace(Trace& trace, const KeyValues&) {
  const auto steps = data::trace_row(trace.id, trace.inputs);
  Report report{data::to_json(steps), data::to_text(steps), {}, {}};
  if (!trace.output.empty()) write_file(trace.output, dump_json(report.json, 1) + "\n");
  return report;
}

}  // namespace

const Verb& trace_verb() {
  static const Verb verb =
      make_verb({.group = "data",
                 .name = "trace",
                 .summary = "The way of one row through the passes, and which one dropped or changed it",
                 .examples = "  $ fettle data trace 8a1f33b0c2d4e5f6 --input run/"},
                trace_keys(), {}, run_trace);
  return verb;
}

}  // namespace fettle::verbs
