#include "data/openchat/clean.h"

#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Clean {
  Files files;
  bool upstream = false, published = false;
  data::CleanOptions options;
};

KeyTable<Clean> clean_keys() {
  KeyTable<Clean> keys;
  keys.include(file_keys(), [](auto& o) -> auto& { return o.files; });
  keys.add("blocked_words", "Drop conversations with one of these words in any turn (upstream: openai)",
           [](auto& o) -> auto& { return o.options.blocked_words; });
  keys.add("upstream_compatible",
           "Also as the published program did: a code block without the \"Copy code\" button swallows what follows",
           [](auto& o) -> auto& { return o.upstream; });
  keys.add("need_text", "The rules of OpenChat 3.2 as well: no empty turns, at least 16 characters",
           [](auto& o) -> auto& { return o.options.need_text; });
  keys.add("published", "Write the published file: one JSON array, indented by tabs, in ASCII", [](auto& o) -> auto& { return o.published; });
  return keys;
}

Report run_clean(Clean& clean, const KeyValues&, parallel::ProcessGroup& group) {
  if (clean.upstream) clean.options.code_blocks = data::CodeBlocks::upstream;
  if (clean.published) clean.options.layout = data::RowLayout::python;
  return finish(clean.files, data::clean_pages(clean.files.pass(group), clean.options));
}

}  // namespace

const Verb& clean_verb() {
  static const Verb verb =
      make_verb({.group = "data",
                 .name = "clean",
                 .summary = "ShareGPT HTML pages to conversations, by OpenChat's rules",
                 .examples = "  $ fettle data clean --input ShareGPT/ --output clean.jsonl --rejected rejected.jsonl\n"
                             "  $ fettle data clean --input ShareGPT/ --blocked-words openai --upstream-compatible --published "
                             "--output sharegpt_clean.json"},
                clean_keys(), {}, run_clean);
  return verb;
}

}  // namespace fettle::verbs
