// Verbs of `fettle data` that read web pages: clean, segment.
#include "cli/data_verbs.h"
#include "data/html/segment.h"
#include "data/openchat/clean.h"

namespace fettle::cli {
namespace {

struct CleanState {
  Files files;
  bool upstream = false, published = false;
  data::CleanOptions options;
};
void run_clean(CleanState& state) {
  if (state.upstream) state.options.code_blocks = data::CodeBlocks::upstream;
  if (state.published) state.options.layout = data::RowLayout::python;
  finish(state.files, data::clean_pages(state.files.pass(), state.options));
}

struct SegmentState {
  Files files;
  std::string by = "header";
  data::SegmentOptions options;
};
void run_segment(SegmentState& state) {
  state.options.whole_pages = state.by == "page";
  finish(state.files, data::segment_pages(state.files.pass(), state.options));
}

}  // namespace

void add_clean(CLI::App& data) {
  auto& command = add_command(
      data, "clean", "ShareGPT HTML pages to conversations, by OpenChat's rules",
      "  $ fettle data clean --input ShareGPT/ --output clean.jsonl --rejected rejected.jsonl\n"
      "  $ fettle data clean --input ShareGPT/ --blocked-words openai --upstream-compatible --published "
      "--output sharegpt_clean.json");
  auto state = std::make_shared<CleanState>();
  add_files(command, state->files);
  command.add_option("--blocked-words", state->options.blocked_words,
                     "Drop conversations with one of these words in any turn (upstream: openai)");
  command.add_flag("--upstream-compatible", state->upstream,
                   "Also as the published program did: a code block without the \"Copy code\" button "
                   "swallows what follows");
  command.add_flag("--need-text", state->options.need_text,
                   "The rules of OpenChat 3.2 as well: no empty turns, at least 16 characters");
  command.add_flag("--published", state->published,
                   "Write the published file: one JSON array, indented by tabs, in ASCII");
  on_run(command, state, run_clean);
}

void add_segment(CLI::App& data) {
  auto& command =
      add_command(data, "segment", "Web pages (HTML, WARC) to self-contained segments under their headers",
                  "  $ fettle data segment --input crawl.warc.gz --language en --output segments.jsonl "
                  "--report segments.json\n"
                  "  $ fettle data segment --input pages/ --by page --min-characters 200 --max-characters 0 "
                  "--output texts.jsonl");
  auto state = std::make_shared<SegmentState>();
  auto& options = state->options;
  add_files(command, state->files);
  command
      .add_option("--by", state->by, "header: a row for each good header; page: the main text of each page")
      ->check(CLI::IsMember({"header", "page"}))
      ->capture_default_str();
  command.add_option("--min-characters", options.min_characters, "Shorter texts are dropped")
      ->capture_default_str();
  command
      .add_option("--max-characters", options.max_characters,
                  "Of longer texts the sub-headers are tried; 0: no limit")
      ->capture_default_str();
  command.add_option("--language", options.languages, "Only these languages (en, de, zh, …)")->delimiter(',');
  command
      .add_option("--min-confidence", options.min_confidence,
                  "Share of the text that must be in the language")
      ->capture_default_str();
  command
      .add_option("--max-capitals", options.max_capitals, "Share of a header's letters that may be capitals")
      ->capture_default_str();
  command
      .add_option("--max-repetition", options.max_repetition,
                  "Similarity that two sentences of a segment may have")
      ->capture_default_str();
  command.add_flag("--with-header", options.with_header, "The header is the first line of the text");
  command.add_flag("--links", options.links, "Keep links in the text");
  on_run(command, state, run_segment);
}

}  // namespace fettle::cli
