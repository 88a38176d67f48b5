// The commands that verbs/ states: options out of its tables, reports to standard output.
#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/ranks.h"
#include "parallel/agree.h"
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

/// The files that a call reads, the default ones too.
std::vector<std::string> inputs_of(const std::vector<KeyInfo>& keys, const KeyValues& values) {
  std::vector<std::string> inputs;
  for (const auto& key : keys) {
    if (key.use != KeyInfo::Use::input) continue;
    const OrderedJson& value = values.has(key.name) ? values.values()[key.name] : key.fallback;
    if (value.is_string()) inputs.push_back(value.get<std::string>());
    for (const auto& one : value.is_array() ? value : OrderedJson::array())
      if (one.is_string()) inputs.push_back(one.get<std::string>());
  }
  return inputs;
}

}  // namespace

void add_verb_command(CLI::App& parent, const verbs::Verb& verb, bool (*instead)(const KeyValues&)) {
  auto& command = add_command(parent, verb.name, verb.summary, verb.examples);
  const auto given = std::make_shared<OrderedJson>(OrderedJson::object());
  add_key_options(command, verb.keys, [given](const KeyInfo& key, OrderedJson value) { (*given)[key.name] = std::move(value); });
  command.callback([&verb, given, instead, at = &command] {
    const KeyValues values(verb.keys, *given, {true, verb.name + ": "});
    if (instead != nullptr && instead(values)) return;
    if (!verb.by_ranks) check_one_process(*at);
    check_inputs_of_ranks(inputs_of(verb.keys, values));
    parallel::ProcessGroup& group = verb.by_ranks ? ranks() : parallel::alone();
    const verbs::Report report = verb.call(values, group);
    parallel::together_do(group, [&] {
      if (group.leads()) show_report(verb, values, report);
    });
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
