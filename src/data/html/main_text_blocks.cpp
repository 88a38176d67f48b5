#include "data/html/main_text_blocks.h"

#include "base/white_space.h"
#include "data/html/main_text_signs.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

class Cutter {
 public:
  explicit Cutter(std::vector<TextBlock>& blocks) : blocks_(blocks) {}

  void walk(HtmlNode& holder, bool kept) {
    gather(holder, holder, {kept, false});
    close(holder, kept);
  }

 private:
  struct State {
    bool kept, link;
  };

  void gather(HtmlNode& holder, HtmlNode& node, State state) {
    for (auto* child : node.children) {
      if (child->removed) continue;
      if (child->is_text()) {
        add(*child, state.link);
      } else if (is_block(child->tag) || child->tag == GUMBO_TAG_BR) {
        close(holder, state.kept);
        if (child->tag != GUMBO_TAG_BR) walk(*child, state.kept || keeps(*child));
      } else if (!child->is({GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE, GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE,
                             GUMBO_TAG_BUTTON, GUMBO_TAG_SELECT, GUMBO_TAG_TEXTAREA, GUMBO_TAG_SVG,
                             GUMBO_TAG_IFRAME})) {
        gather(holder, *child, {state.kept, state.link || child->tag == GUMBO_TAG_A});
      }
    }
  }

  static bool keeps(const HtmlNode& node) {
    return node.tag == GUMBO_TAG_PRE || (node.tag == GUMBO_TAG_TABLE && is_data_table(node));
  }

  void add(HtmlNode& text, bool link) {
    open_.nodes.push_back(&text);
    const size_t before = open_.text.size();
    for (const char c : text.text) {
      if (is_space(c)) {
        space_ = true;
        continue;
      }
      if (space_ && !open_.text.empty()) open_.text += ' ';
      space_ = false;
      open_.text += c;
    }
    if (link) open_.link_characters += unicode::count_characters(std::string_view(open_.text).substr(before));
  }

  void close(HtmlNode& holder, bool kept) {
    if (!open_.text.empty()) {
      open_.holder = &holder;
      open_.characters = unicode::count_characters(open_.text);
      open_.heading = heading_level(holder);
      open_.kept = kept;
      blocks_.push_back(std::move(open_));
    }
    open_ = {};
    space_ = false;
  }

  static int heading_level(const HtmlNode& holder) {
    for (const auto* node = &holder; node != nullptr; node = node->parent) {
      if (node->is({GUMBO_TAG_H1, GUMBO_TAG_H2, GUMBO_TAG_H3, GUMBO_TAG_H4, GUMBO_TAG_H5, GUMBO_TAG_H6}))
        return node->text[1] - '0';
      if (node->is({GUMBO_TAG_P, GUMBO_TAG_LI, GUMBO_TAG_TD, GUMBO_TAG_ARTICLE, GUMBO_TAG_SECTION})) return 0;
    }
    return 0;
  }

  std::vector<TextBlock>& blocks_;
  TextBlock open_;
  bool space_ = false;
};

}  // namespace

void TextBlock::remove() const {
  for (auto* node : nodes) node->removed = true;
}
void TextBlock::restore() const {
  for (auto* node : nodes) node->removed = false;
}
double TextBlock::link_share() const {
  return characters > 0 ? static_cast<double>(link_characters) / static_cast<double>(characters) : 0;
}

std::vector<TextBlock> text_blocks(HtmlNode& part) {
  std::vector<TextBlock> blocks;
  Cutter(blocks).walk(part, false);
  return blocks;
}

}  // namespace fettle::data
