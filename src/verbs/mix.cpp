#include "base/error.h"
#include "data/passes/mix_rows.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Mix {
  Files files;
  std::vector<double> weights;
  bool in_order = false;
  data::MixOptions options;
};

KeyTable<Mix> mix_keys() {
  KeyTable<Mix> keys;
  keys.add("input", "PATH, or on the command line PATH=WEIGHT too: 0.25 a quarter of its rows, 3 three times",
           [](auto& o) -> auto& { return o.files.inputs; })
      .input()
      .required();
  keys.include(output_keys(), [](auto& o) -> auto& { return o.files; });
  keys.add("weights", "Of each input, in their order", [](auto& o) -> auto& { return o.weights; }).at_least(0).by_default("1");
  keys.add("seed", "Of the choice and the order", [](auto& o) -> auto& { return o.options.seed; });
  keys.add("in_order", "One source after another, not shuffled", [](auto& o) -> auto& { return o.in_order; });
  return keys;
}

/// PATH=WEIGHT, or the path of a file, which may hold a "=" too.
std::pair<std::string, double> source_from(const std::string& text) {
  const size_t equal = text.rfind('=');
  if (equal == std::string::npos || fs::exists(text)) return {text, 1.0};
  const std::string number = text.substr(equal + 1);
  char* end = nullptr;
  const double weight = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0') fail_usage("mix: '{}' should be PATH or PATH=WEIGHT", text);
  return {text.substr(0, equal), weight};
}

void check_mix(const Mix& mix, const KeyValues& values) {
  if (!mix.weights.empty() && mix.weights.size() != mix.files.inputs.size())
    fail_usage("{}{} holds {} numbers for {} inputs", values.style().where, values.shown("weights"), mix.weights.size(),
               mix.files.inputs.size());
}

Report run_mix(Mix& mix, const KeyValues& values) {
  const bool may_weigh = values.style().flags && mix.weights.empty();
  for (size_t i = 0; i < mix.files.inputs.size(); ++i) {
    const std::string& input = mix.files.inputs[i];
    mix.options.sources.push_back(may_weigh ? source_from(input) : std::pair(input, mix.weights.empty() ? 1.0 : mix.weights[i]));
  }
  mix.options.shuffle = !mix.in_order;
  return finish(mix.files, data::mix_rows(mix.files.pass(), mix.options));
}

}  // namespace

const Verb& mix_verb() {
  static const Verb verb = make_verb(
      {.group = "data",
       .name = "mix",
       .summary = "Several sources with weights into one file, shuffled",
       .examples = "  $ fettle data mix --input chats.jsonl=1 code.jsonl=0.25 poems.jsonl=3 --output mixed.jsonl"},
      mix_keys(), check_mix, run_mix);
  return verb;
}

}  // namespace fettle::verbs
