#include "data/html/tree.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <memory_resource>

#include "base/error.h"
#include "base/white_space.h"
#include "data/html/bounded.h"

namespace fettle::data {
namespace {

/// Tags whose end may be left out, or that have none: many of them in a row are no nesting.
bool nests(std::string_view name) {
  constexpr std::string_view flat[] = {
      "p",     "li",     "td",    "th",  "tr",       "dt",   "dd",   "option", "optgroup", "thead", "tbody",
      "tfoot", "br",     "hr",    "img", "input",    "meta", "link", "area",   "base",     "col",   "embed",
      "param", "source", "track", "wbr", "colgroup", "rp",   "rt",   "html",   "head",     "body",  "frame"};
  return std::find(std::begin(flat), std::end(flat), name) == std::end(flat);
}

/// The parser takes time that grows with the square of the depth, so a page that only nests is told by its
/// tags beforehand.
bool nests_deeper_than(std::string_view html, int limit) {
  int depth = 0;
  for (size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    const bool closes = at + 1 < html.size() && html[at + 1] == '/';
    size_t begin = at + (closes ? 2 : 1), end = begin;
    char name[16];
    size_t length = 0;
    while (end < html.size() && std::isalnum(static_cast<unsigned char>(html[end])) != 0) {
      if (length < sizeof name)
        name[length++] = static_cast<char>(std::tolower(static_cast<unsigned char>(html[end])));
      ++end;
    }
    const std::string_view word(name, length);
    if (word.empty() || !nests(word)) continue;
    if (!closes && (word == "script" || word == "style")) {
      const size_t over = html.find("</", end);
      if (over == std::string_view::npos) return false;
      at = over - 1;
      ++depth;
      continue;
    }
    depth = closes ? std::max(0, depth - 1) : depth + 1;
    if (depth > limit) return true;
  }
  return false;
}

/// Joins texts: one space between words, one new line between blocks, two where `pre` says so.
class TextJoiner {
 public:
  void add(std::string_view text, bool keep_spaces) {
    for (const char c : text) {
      if (keep_spaces) {
        begin_word();
        out_ += c;
      } else if (is_html_space(c)) {
        space_ = true;
      } else {
        begin_word();
        out_ += c;
      }
    }
  }
  void new_line() { line_ = true; }
  std::string take() {
    while (!out_.empty() && is_html_space(out_.back())) out_.pop_back();
    return std::move(out_);
  }

 private:
  void begin_word() {
    if (line_ && !out_.empty() && out_.back() != '\n') {
      out_ += '\n';
    } else if (space_ && !out_.empty() && out_.back() != '\n') {
      out_ += ' ';
    }
    line_ = space_ = false;
  }
  std::string out_;
  bool line_ = false, space_ = false;
};

void join_text(const HtmlNode& node, bool in_pre, TextJoiner& joiner) {
  if (node.removed) return;
  if (node.is_text()) return joiner.add(node.text, in_pre);
  if (node.is({GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE, GUMBO_TAG_TEMPLATE, GUMBO_TAG_TITLE})) return;
  const bool line = is_block(node.tag) || node.tag == GUMBO_TAG_BR;
  if (line) joiner.new_line();
  for (const auto* child : node.children) join_text(*child, in_pre || node.tag == GUMBO_TAG_PRE, joiner);
  if (line) joiner.new_line();
}

}  // namespace

struct HtmlTree::Memory {
  std::pmr::monotonic_buffer_resource pool;
};

bool HtmlNode::is(std::initializer_list<GumboTag> tags) const {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

std::string_view HtmlNode::attribute(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return value;
  }
  return {};
}

bool HtmlNode::is_hidden() const {
  for (const auto& [key, value] : attributes) {
    if (key == "hidden" || (key == "aria-hidden" && value == "true")) return true;
    if (key != "style") continue;
    std::string style;
    for (const char c : value) {
      if (!is_html_space(c)) style += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (style.find("display:none") != std::string::npos ||
        style.find("visibility:hidden") != std::string::npos)
      return true;
  }
  return false;
}

bool is_block(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_BODY:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_CENTER:
    case GUMBO_TAG_DD:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_DT:
    case GUMBO_TAG_FIELDSET:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_H1:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4:
    case GUMBO_TAG_H5:
    case GUMBO_TAG_H6:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_HGROUP:
    case GUMBO_TAG_HR:
    case GUMBO_TAG_HTML:
    case GUMBO_TAG_LI:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_P:
    case GUMBO_TAG_PRE:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_TBODY:
    case GUMBO_TAG_TD:
    case GUMBO_TAG_TFOOT:
    case GUMBO_TAG_TH:
    case GUMBO_TAG_THEAD:
    case GUMBO_TAG_TR:
    case GUMBO_TAG_UL:
      return true;
    default:
      return false;
  }
}

std::string text_of(const HtmlNode& node) {
  TextJoiner joiner;
  join_text(node, false, joiner);
  return joiner.take();
}

HtmlTree::HtmlTree(std::string_view html) : memory_(std::make_unique<Memory>()), html_(html) {
  if (nests_deeper_than(html_, max_depth))
    throw Error(fmt::format("tags are nested deeper than {}", max_depth));
  tame_references(html_);
  // gumbo frees a tree by recursion; from a pool nothing has to be freed one by one.
  root_ = copy(parse_html_bounded(html_, memory_->pool)->root, nullptr, 0);
  if (body_ == nullptr) body_ = root_;
}

HtmlTree::~HtmlTree() = default;

HtmlNode* HtmlTree::copy(const GumboNode* from, HtmlNode* parent, int depth) {
  if (depth > 2 * max_depth) throw Error(fmt::format("tags are nested deeper than {}", 2 * max_depth));
  const bool is_element = from->type == GUMBO_NODE_ELEMENT || from->type == GUMBO_NODE_TEMPLATE;
  if (!is_element && from->type != GUMBO_NODE_TEXT && from->type != GUMBO_NODE_WHITESPACE &&
      from->type != GUMBO_NODE_CDATA)
    return nullptr;
  auto& node = nodes_.emplace_back();
  node.parent = parent;
  if (!is_element) {
    node.text = from->v.text.text;
    return &node;
  }
  const auto& element = from->v.element;
  node.tag = element.tag == GUMBO_TAG_LAST ? GUMBO_TAG_UNKNOWN : element.tag;
  node.text = gumbo_normalized_tagname(element.tag);
  if (element.tag == GUMBO_TAG_UNKNOWN) {
    GumboStringPiece name = element.original_tag;
    gumbo_tag_from_original_text(&name);
    node.text = {name.data, name.length};
  }
  for (unsigned i = 0; i < element.attributes.length; ++i) {
    const auto* attribute = static_cast<const GumboAttribute*>(element.attributes.data[i]);
    node.attributes.emplace_back(attribute->name, attribute->value);
  }
  if (node.tag == GUMBO_TAG_BODY && body_ == nullptr) body_ = &node;
  if (node.tag == GUMBO_TAG_TITLE && title_ == nullptr) title_ = &node;
  for (unsigned i = 0; i < element.children.length; ++i) {
    auto* child = copy(static_cast<const GumboNode*>(element.children.data[i]), &node, depth + 1);
    if (child != nullptr) node.children.push_back(child);
  }
  return &node;
}

std::string HtmlTree::title() const {
  if (title_ == nullptr) return "";
  TextJoiner joiner;
  for (const auto* child : title_->children) {
    if (child->is_text()) joiner.add(child->text, false);
  }
  return joiner.take();
}

}  // namespace fettle::data
