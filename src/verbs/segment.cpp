#include "data/html/segment.h"

#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Segment {
  Files files;
  data::SegmentOptions options;
};

KeyTable<Segment> segment_keys() {
  KeyTable<Segment> keys;
  keys.include(file_keys(), [](auto& o) -> auto& { return o.files; });
  keys.choice<bool>("by", "header: a row for each good header; page: the main text of each page", {{"header", false}, {"page", true}},
                    [](auto& o) -> auto& { return o.options.whole_pages; });
  keys.add("min_characters", "Shorter texts are dropped", [](auto& o) -> auto& { return o.options.min_characters; });
  keys.add("max_characters", "Of longer texts the sub-headers are tried; 0: no limit", [](auto& o) -> auto& { return o.options.max_characters; });
  keys.add("language", "Only these languages (en, de, zh, …)", [](auto& o) -> auto& { return o.options.languages; })
      .alias("languages")
      .listed();
  keys.add("min_confidence", "Share of the text that must be in the language", [](auto& o) -> auto& { return o.options.min_confidence; });
  keys.add("max_capitals", "Share of a header's letters that may be capitals", [](auto& o) -> auto& { return o.options.max_capitals; });
  keys.add("max_repetition", "Similarity that two sentences of a segment may have",
           [](auto& o) -> auto& { return o.options.max_repetition; });
  keys.add("with_header", "The header is the first line of the text", [](auto& o) -> auto& { return o.options.with_header; });
  keys.add("links", "Keep links in the text", [](auto& o) -> auto& { return o.options.links; });
  return keys;
}

Report run_segment(Segment& segment, const KeyValues&, parallel::ProcessGroup& group) {
  return finish(segment.files, data::segment_pages(segment.files.pass(group), segment.options));
}

}  // namespace

const Verb& segment_verb() {
  static const Verb verb =
      make_verb({.group = "data",
                 .name = "segment",
                 .summary = "Web pages (HTML, WARC) to self-contained segments under their headers",
                 .examples = "  $ fettle data segment --input crawl.warc.gz --language en --output segments.jsonl "
                             "--report segments.json\n"
                             "  $ fettle data segment --input pages/ --by page --min-characters 200 --max-characters 0 "
                             "--output texts.jsonl"},
                segment_keys(), {}, run_segment);
  return verb;
}

}  // namespace fettle::verbs
