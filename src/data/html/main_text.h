#pragma once
// The main text of a web page: what a reader came for, without navigation, advertisements, comments and the
// like.
#include <vector>

#include "data/html/tree.h"

namespace fettle::data {

/// Takes the element that the page calls an article's body (schema.org, itemprop="articleBody"). Else scores
/// paragraphs by length and commas, gives the scores to what holds them, weighs by names of classes and by
/// the share of links (the method of Arc90's Readability, 2009), and takes the best element with the siblings
/// that read like it; a wider one where most running text of the page lies outside. Then prunes it block by
/// block (main_text_prune.h). Marks all else below the parts as removed. The parts come in document order;
/// empty when the page has no text. Where little is found the search is repeated with fewer things thrown
/// away beforehand.
std::vector<HtmlNode*> find_main_text(HtmlTree& tree);

}  // namespace fettle::data
