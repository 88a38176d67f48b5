#pragma once
// `fettle data show` and `trace`: one row for a person's eyes, and its way through the passes.
#include <string>
#include <vector>

#include "data/rows/example.h"
#include "data/training/tokenize.h"

namespace fettle::data {

/// The turns of a row under their roles, in colour (ANSI) when asked for; control characters of the data are
/// shown, not sent to the terminal.
std::string show_example(const Example& example, bool colour);

/// The tokens one after another, what is learnt from marked: green and underlined in colour, «so» without;
/// weights other than 0 and 1 stand behind in braces. Line ends are shown as ⏎ and kept.
std::string show_tokens(const TokenSequence& sequence, const Tokenizer& tokenizer, bool colour);
/// The prompt once, then each answer on lines of its own.
std::string show_tokens(const Pair& pair, const Tokenizer& tokenizer, bool colour);

/// A line of a rejected.jsonl: says why the row went and where it stood, and puts the row itself in the place of `value`; null
/// where it was no JSON, and its text is shown. Empty for every other row, which stays as it is.
std::string show_rejection(OrderedJson& value, bool colour);

/// One place where a row was found, or lost.
struct TraceStep {
  std::string file;     ///< where it stands
  std::string verb;     ///< the pass that wrote the file; empty for a source
  std::string outcome;  ///< "source", "kept", "changed", "dropped", "not there"
  std::string reason, detail;
  int64_t line = 0;
  std::string row;     ///< its JSON text
  std::string source;  ///< where the row says it comes from, such as a web page; of a dropped one the file that was read
};

/// The way of the row with this id through the passes whose reports (--report) are among `paths`, sources
/// first. `paths` may also be data files, looked at in the order given, and folders (all reports and data
/// files in them). Error when nothing knows the id. Rows that a pass made out of this one ("ID-rejected")
/// count as it.
std::vector<TraceStep> trace_row(const std::string& id, const std::vector<std::string>& paths);
OrderedJson to_json(const std::vector<TraceStep>& steps);
std::string to_text(const std::vector<TraceStep>& steps);

}  // namespace fettle::data
