#include "data/passes/dedupe.h"

#include "base/error.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

using Keep = data::DedupeOptions::Keep;

struct Dedupe {
  Files files;
  std::string clusters;
  data::DedupeOptions options;
};

KeyTable<Dedupe> dedupe_keys() {
  KeyTable<Dedupe> keys;
  keys.include(file_keys(), [](auto& o) -> auto& { return o.files; });
  keys.choice<Keep>("keep", "Which row of a cluster stays", {{"first", Keep::first}, {"longest", Keep::longest}, {"best", Keep::best}},
                    [](auto& o) -> auto& { return o.options.keep; });
  keys.add("score_field", "For keep best: the highest number in this field", [](auto& o) -> auto& { return o.options.score_field; });
  keys.add("near", "Near-duplicates too (MinHash, with verified similarity)", [](auto& o) -> auto& { return o.options.near; });
  keys.add("threshold", "Jaccard similarity from which rows are near", [](auto& o) -> auto& { return o.options.threshold; })
      .only_with({"near"});
  keys.add("shingle_words", "Words of a shingle", [](auto& o) -> auto& { return o.options.shingle_words; }).only_with({"near"});
  keys.add("clusters", "Write {\"kept\", \"dropped\"} ids", [](auto& o) -> auto& { return o.clusters; }).output("clusters.jsonl");
  return keys;
}

void check_dedupe(const Dedupe& dedupe, const KeyValues& values) {
  if (values.has("score_field") && dedupe.options.keep != Keep::best)
    fail_usage("{}{} is read for {} best alone", values.style().where, values.shown("score_field"), values.shown("keep"));
}

Report run_dedupe(Dedupe& dedupe, const KeyValues&, parallel::ProcessGroup& group) {
  dedupe.options.clusters = dedupe.clusters;
  return finish(dedupe.files, data::dedupe_rows(dedupe.files.pass(group), dedupe.options));
}

}  // namespace

const Verb& dedupe_verb() {
  static const Verb verb = make_verb({.group = "data",
                                      .name = "dedupe",
                                      .summary = "Drop rows that say the same, exactly or nearly",
                                      .examples = "  $ fettle data dedupe --input chats.jsonl --output unique.jsonl\n"
                                                  "  $ fettle data dedupe --input a.jsonl b.jsonl --near --threshold 0.8 "
                                                  "--clusters c.jsonl --output unique.jsonl",
                                      .version = 2},
                                     dedupe_keys(), check_dedupe, run_dedupe);
  return verb;
}

}  // namespace fettle::verbs
