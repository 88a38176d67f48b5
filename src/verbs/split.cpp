#include "data/passes/split_rows.h"

#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Split {
  Files files;
  std::string eval;
  double share = 0.1;
  data::SplitOptions options;
};

KeyTable<Split> split_keys() {
  KeyTable<Split> keys;
  keys.include(file_keys(), [](auto& o) -> auto& { return o.files; });
  keys.add("eval", "Where the held-out rows go", [](auto& o) -> auto& { return o.eval; }).output("eval.jsonl").required();
  keys.add("share", "Of the rows that are held out", [](auto& o) -> auto& { return o.share; });
  keys.add("by", "prompt: rows that ask the same stay together; near: near-duplicates do; id", [](auto& o) -> auto& { return o.options.by; })
      .one_of({"prompt", "near", "id"});
  keys.add("seed", "Another seed, other rows", [](auto& o) -> auto& { return o.options.seed; });
  return keys;
}

Report run_split(Split& split, const KeyValues&, parallel::ProcessGroup& group) {
  split.options.parts = {{split.eval, split.share}};
  return finish(split.files, data::split_rows(split.files.pass(group), split.options));
}

}  // namespace

const Verb& split_verb() {
  static const Verb verb = make_verb(
      {.group = "data",
       .name = "split",
       .summary = "Hold out a share of the rows, by hash",
       .examples = "  $ fettle data split --input rows.jsonl --output train.jsonl --eval eval.jsonl --share 0.05"},
      split_keys(), {}, run_split);
  return verb;
}

}  // namespace fettle::verbs
