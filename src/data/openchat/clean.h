#pragma once
// ShareGPT pages to conversations by OpenChat's rules (imoneoi/openchat, 2023: clean_sharegpt).
#include <string>
#include <vector>

#include "data/html/pages.h"
#include "data/openchat/sharegpt_text.h"

namespace fettle::data {

struct CleanOptions {
  std::vector<std::string>
      blocked_words;  ///< a page with one of them in any turn is dropped, whatever the case; upstream: openai
  CodeBlocks code_blocks = CodeBlocks::repaired;
  /// The rules of 3.2-super as well: a turn without a visible character ("Empty answer"), fewer than 16
  /// characters in all
  /// ("Conversation too short").
  bool need_text = false;
  RowLayout layout = RowLayout::lines;  ///< python: the published file, whose rows have no source
};

/// Rows are the page's own fields with `items: [{from, value}]` cleaned, then `id` (the page's, else made
/// from the text), `views`, `hash` ([64 bits of the texts' hash, number of turns], OpenChat's key of
/// duplicates) and `source`. Reasons are OpenChat's error texts; pages that it crashed on are "No page data"
/// and "Page data is not valid JSON", and what ends in a damaged compressed file is "damaged compressed
/// file".
PassReport clean_pages(const PassFiles& files, const CleanOptions& options);

/// One page, without the search for duplicates.
void clean_page(const Page& page, const CleanOptions& options, PageVerdict& verdict);

}  // namespace fettle::data
