#pragma once
// Inside of the Markdown converter: inline text as it grows, and what the tree tells of code and formulas.
#include <string>
#include <string_view>

#include "data/html/tree.h"

namespace fettle::data {

/// Inline content being written: runs of spaces become one, signs of Markdown get a backslash.
class InlineText {
 public:
  void text(std::string_view text);
  void raw(std::string_view text);  ///< Markdown already
  void space() { space_ = true; }
  void line_break();
  bool has_trailing_space() const { return space_; }
  std::string take();  ///< without spaces at its end

 private:
  void flush_space();
  std::string out_;
  bool space_ = false;
};

/// All text below a node as it stands, <br> as a new line; without what is removed.
void raw_text(const HtmlNode& node, std::string& out);
/// The first element of this kind below; null when there is none.
const HtmlNode* find_tag(const HtmlNode& node, GumboTag tag);
/// The TeX of a formula: of MathML, KaTeX (which holds MathML) and MathJax 2 (a script). Empty when the node
/// is no formula, or its TeX is not in the page. `display` is set for one that stands on a line of its own.
std::string tex_of(const HtmlNode& node, bool& display);

std::string trimmed(std::string text);
/// A run of `sign`s longer than any in `text`, and of at least this length.
std::string longer_run(std::string_view text, char sign, size_t least);

}  // namespace fettle::data
