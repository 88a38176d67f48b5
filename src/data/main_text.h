#pragma once
// The main text of a web page: what a reader came for, without navigation, advertisements, comments and the
// like.
#include <vector>

#include "data/html_tree.h"

namespace fettle::data {

/// Scores paragraphs by length and commas, gives the scores to what holds them, weighs by names of classes
/// and by the share of links (the method of Arc90's Readability, 2009), and takes the best element with the
/// siblings that read like it. Marks all else below them as removed. The parts come in document order; empty
/// when the page has no text. Where little is found the search is repeated with fewer things thrown away
/// beforehand.
std::vector<HtmlNode*> find_main_text(HtmlTree& tree);

}  // namespace fettle::data
