#pragma once
// The text of a part of a page, block by block: paragraphs, headings, items, cells, and what stands beside
// them.
#include <cstdint>
#include <string>
#include <vector>

#include "data/html/tree.h"

namespace fettle::data {

/// A run of text that no block interrupts. Points into the tree.
struct TextBlock {
  HtmlNode* holder = nullptr;    ///< the innermost block element around it
  std::vector<HtmlNode*> nodes;  ///< the children of `holder` (or deeper) that make it up
  std::string text;              ///< spaces collapsed
  int64_t characters = 0, link_characters = 0;
  int heading = 0;    ///< 1 to 6; 0: none
  bool kept = false;  ///< code, formulas and tables of data are not judged as prose

  void remove() const;
  void restore() const;
  double link_share() const;
};

/// The blocks below `part` in document order, without what is removed. Empty runs are left out.
std::vector<TextBlock> text_blocks(HtmlNode& part);

}  // namespace fettle::data
