#pragma once
// What is left in the main text of a page although it is no part of it.
#include <string>
#include <vector>

#include "data/html/tree.h"

namespace fettle::data {

/// Marks as removed, below `parts`: captions, boxes about the author, related links, calls to subscribe or
/// share, dates and names above the text, what follows the article, repeated blocks, and headings that are
/// left without text. `title`: of the page.
void prune(const std::vector<HtmlNode*>& parts, const std::string& title);

}  // namespace fettle::data
