#pragma once
// Any HTML to readable Markdown (CommonMark with GitHub's tables): paragraphs, headings, nested lists,
// tables, code with its language, quotes, links, images, and formulas as $TeX$ where the page carries their
// TeX.
#include <string>
#include <string_view>

#include "data/html/tree.h"

namespace fettle::data {

struct MarkdownOptions {
  bool links = true;   ///< false: only their text
  bool images = true;  ///< false: left out
};

/// Broken HTML reads as a browser reads it. Throws Error for pages nested too deep. Thread-safe.
std::string html_to_markdown(std::string_view html, const MarkdownOptions& options = {});
/// The same of one element or text of a tree, without what is removed.
std::string node_to_markdown(const HtmlNode& node, const MarkdownOptions& options = {});

}  // namespace fettle::data
