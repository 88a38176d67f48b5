#include "data/passes/binarize_rows.h"

#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Binarize {
  Files files;
  data::BinarizeOptions options;
};

KeyTable<Binarize> binarize_keys() {
  using Rule = data::BinarizeRule;
  KeyTable<Binarize> keys;
  keys.include(file_keys(), [](auto& o) -> auto& { return o.files; });
  std::vector<std::pair<std::string, Rule>> rules;
  for (const Rule rule : {Rule::corrected, Rule::zephyr, Rule::zephyr_beta, Rule::argilla_mean}) rules.emplace_back(data::binarize_rule_name(rule), rule);
  keys.choice<Rule>("rule", "Which answers become the pair (docs/preference-pairs.md)", rules,
                    [](auto& o) -> auto& { return o.options.rule; });
  keys.add("seed", "Of the draw of the rejected answer", [](auto& o) -> auto& { return o.options.seed; });
  keys.add("min_margin", "Drop pairs whose scores differ by less", [](auto& o) -> auto& { return o.options.min_margin; });
  return keys;
}

Report run_binarize(Binarize& binarize, const KeyValues&, parallel::ProcessGroup& group) {
  return finish(binarize.files, data::binarize_rows(binarize.files.pass(group), binarize.options));
}

}  // namespace

const Verb& binarize_verb() {
  static const Verb verb =
      make_verb({.group = "data",
                 .name = "binarize",
                 .summary = "Scored answers (UltraFeedback) to preference pairs",
                 .examples = "  $ fettle data binarize --input ultrafeedback.jsonl --output pairs.jsonl --report pairs.json\n"
                             "  $ fettle data binarize --input ultrafeedback.jsonl --rule zephyr-beta --output pairs.jsonl"},
                binarize_keys(), {}, run_binarize);
  return verb;
}

}  // namespace fettle::verbs
