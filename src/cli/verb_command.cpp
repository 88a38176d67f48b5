// The commands that verbs/ states: options out of its tables, reports to standard output.
#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/key_options.h"
#include "verbs/destinations.h"
#include "verbs/verb.h"

namespace fettle::cli {
namespace {

/// The report stands on standard output unless something else does.
void show_report(const verbs::Verb& verb, const KeyValues& values, const verbs::Report& report) {
  if (report.json.is_null() || verbs::take_standard_output(verb.keys, values)) {
    if (!report.text.empty()) log_info("{}", report.text);
  } else {
    print_report(report.json, report.text);
  }
  for (const auto& warning : report.warnings) log_warning("{}: {}", verb.name, warning);
  if (!report.failure.empty()) throw Error(report.failure);
}

}  // namespace

void add_verb_command(CLI::App& parent, const verbs::Verb& verb, bool (*instead)(const KeyValues&)) {
  auto& command = add_command(parent, verb.name, verb.summary, verb.examples);
  const auto given = std::make_shared<OrderedJson>(OrderedJson::object());
  add_key_options(command, verb.keys, [given](const KeyInfo& key, OrderedJson value) { (*given)[key.name] = std::move(value); });
  command.callback([&verb, given, instead] {
    const KeyValues values(verb.keys, *given, {true, verb.name + ": "});
    if (instead != nullptr && instead(values)) return;
    show_report(verb, values, verb.call(values));
  });
}

void add_data_command(CLI::App& app) {
  auto& data = add_command(app, "data", "Look at, clean and reshape training data",
                           "  $ fettle data stats --input chats.jsonl\n"
                           "  $ fettle data VERB --help");
  data.require_subcommand(1);
  for (const auto* verb : verbs::verbs())
    if (verb->group == "data") add_verb_command(data, *verb);
  add_clean_cache(data);
}

}  // namespace fettle::cli
