#pragma once
// HTML as a browser reads it (the HTML standard's tree, by gumbo), in nodes that passes over a page can mark
// and score.
#include <gumbo.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle::data {

/// An element or a text. Views live as long as the tree.
struct HtmlNode {
  GumboTag tag = GUMBO_TAG_LAST;  ///< GUMBO_TAG_LAST for a text
  std::string_view text;          ///< of a text; of an element its name in lower case
  std::vector<std::pair<std::string_view, std::string_view>> attributes;
  HtmlNode* parent = nullptr;
  std::vector<HtmlNode*> children;
  bool removed = false;  ///< passes set it; everything below counts as removed, too
  int64_t prose = 0;     ///< passes set it: characters of running text below

  bool is_text() const { return tag == GUMBO_TAG_LAST; }
  bool is(std::initializer_list<GumboTag> tags) const;
  std::string_view attribute(std::string_view name) const;  ///< "" when missing
  /// Not to be seen: hidden, aria-hidden, or an inline style that says so.
  bool is_hidden() const;
};

/// The tree of one page. Comments are left out. Not thread-safe.
class HtmlTree {
 public:
  /// `html` is UTF-8 and need not outlive the tree. Throws Error for a page whose tags are nested deeper than
  /// `max_depth`, or that goes beyond the bounds of html_bounded.h.
  explicit HtmlTree(std::string_view html);
  ~HtmlTree();
  HtmlTree(const HtmlTree&) = delete;
  HtmlTree& operator=(const HtmlTree&) = delete;

  static constexpr int max_depth = 600;

  HtmlNode* root() { return root_; }
  HtmlNode* body() { return body_; }
  std::string title() const;  ///< of <title>, spaces collapsed

 private:
  HtmlNode* copy(const GumboNode* from, HtmlNode* parent, int depth);

  struct Memory;
  std::unique_ptr<Memory> memory_;
  std::string html_;
  std::deque<HtmlNode> nodes_;
  HtmlNode *root_ = nullptr, *body_ = nullptr, *title_ = nullptr;
};

/// Whether an element begins a new line: paragraphs, lists, tables and the like.
bool is_block(GumboTag tag);

/// The text below `node` without what is removed; spaces are collapsed, blocks stand on lines of their own,
/// `pre` keeps its own.
std::string text_of(const HtmlNode& node);

}  // namespace fettle::data
