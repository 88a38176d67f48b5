#pragma once
// Web pages to self-contained segments: the text that follows a header, its sub-headers included (Li et al.,
// "Self-Alignment with Instruction Backtranslation", 2023, section 3.1 and its appendix).
#include <string>
#include <vector>

#include "data/html/pages.h"

namespace fettle::data {

struct SegmentOptions {
  bool whole_pages =
      false;  ///< a row a page: its main text, whatever its headers; only length and language are looked at
  int64_t min_characters = 600, max_characters = 3000;  ///< of the text under the header; 0: no bound
  double max_capitals = 0.5;  ///< share of the header's letters that may be capitals
  double max_repetition =
      0.6;  ///< similarity (Jaccard, word 3-grams) that two sentences of a segment may have
  std::vector<std::string> languages;  ///< codes as detect_language gives them; empty: any
  double min_confidence = 0.5;
  bool with_header = false;  ///< the header is the text's first line
  bool links = false;        ///< keep links in the Markdown
};

/// Rows {"id", "header", "path": [headers above it, the page's title first], "text" (Markdown), "title",
/// "language", "source"}. A header's segment takes in those below it; where it is too long or its header is
/// no good, its sub-headers are tried, so that no text stands in two rows. Every header that was looked at is
/// counted, kept or dropped under a reason; so is a page without header or text. Texts that are equal but for
/// case and spacing are duplicates.
PassReport segment_pages(const PassFiles& files, const SegmentOptions& options);

/// One page, without the search for duplicates.
void segment_page(const Page& page, const SegmentOptions& options, PageVerdict& verdict);

/// Why a header is not wanted: "empty header", "header in capitals", "navigation header"; empty for a good
/// one.
std::string header_problem(const std::string& header, double max_capitals);
/// The highest Jaccard similarity of word 3-grams between two sentences of five words or more.
double sentence_repetition(const std::string& text);

}  // namespace fettle::data
