#include "data/html/main_text.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "data/html/main_text_clean.h"
#include "data/html/main_text_prune.h"
#include "data/html/main_text_signs.h"
#include "data/html/streamed.h"

namespace fettle::data {
namespace {

/// How much is thrown away beforehand.
struct Severity {
  bool drop_unlikely = true, weigh_names = true, clean = true;
};

/// Sets what of a node is running text: blocks of some length, without links and spaces. Returns what is left
/// open for the block around.
int64_t count_prose(HtmlNode& node, bool link) {
  constexpr int64_t shortest = 65;
  if (node.is_text())
    return link ? 0
                : std::count_if(node.text.begin(), node.text.end(), [](char c) { return c > ' ' || c < 0; });
  node.prose = 0;
  if (node.removed) return 0;
  int64_t open = 0;
  for (auto* child : node.children) {
    open += count_prose(*child, link || child->tag == GUMBO_TAG_A);
    node.prose += child->prose;
  }
  if (!is_block(node.tag)) return open;
  if (open >= shortest) node.prose += open;
  return 0;
}

class Finder {
 public:
  Finder(HtmlTree& tree, Severity severity) : tree_(tree), severity_(severity) {}

  std::vector<HtmlNode*> find() {
    restore(*tree_.root());
    drop_always(*tree_.body());
    count_prose(*tree_.body(), false);
    prose_ = tree_.body()->prose;
    drop_beforehand(*tree_.body());
    count_prose(*tree_.body(), false);
    collect(*tree_.body());
    auto* stated = stated_body();
    is_sure_ = stated != nullptr;
    auto parts = is_sure_ ? std::vector<HtmlNode*>{stated} : parts_around(best());
    for (auto* part : parts) clean_part(*part, severity_.weigh_names, severity_.clean);
    return parts;
  }

  /// Whether the page itself says what its text is.
  bool is_sure() const { return is_sure_; }

 private:
  struct Score {
    double value = 0;
  };

  static void restore(HtmlNode& node) {
    node.removed = false;
    for (auto* child : node.children) restore(*child);
  }

  static void drop_always(HtmlNode& node) {
    if (node.is_text()) return;
    node.removed = node.is_hidden() || node.is({GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE, GUMBO_TAG_NOSCRIPT,
                                                GUMBO_TAG_TEMPLATE, GUMBO_TAG_NAV, GUMBO_TAG_FORM});
    if (node.removed) return;
    for (auto* child : node.children) drop_always(*child);
  }

  bool holds_most(const HtmlNode& node) const {
    const double share = is_footer(node) ? 0.8 : 0.5;
    return prose_ >= 500 && static_cast<double>(node.prose) >= share * static_cast<double>(prose_);
  }

  void drop_beforehand(HtmlNode& node) {
    if (node.is_text()) return;
    const bool is_formula = node.tag == GUMBO_TAG_SCRIPT && node.attribute("type").starts_with("math/tex");
    const bool never =
        (node.tag == GUMBO_TAG_SCRIPT && !is_formula) ||
        node.is({GUMBO_TAG_STYLE, GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE, GUMBO_TAG_LINK, GUMBO_TAG_SVG});
    const bool page_part = severity_.drop_unlikely && node.is({GUMBO_TAG_NAV});
    const bool repeated_title = is_heading(node) && node.is({GUMBO_TAG_H1, GUMBO_TAG_H2}) &&
                                repeats_title(text_of(node), tree_.title());
    node.removed = never || node.is_hidden() || page_part || repeated_title ||
                   (severity_.drop_unlikely && ((is_unlikely(node) && !holds_most(node)) || is_byline(node)));
    if (node.removed) return;
    for (auto* child : node.children) drop_beforehand(*child);
  }

  static bool has_block_child(const HtmlNode& node) {
    return std::any_of(node.children.begin(), node.children.end(), [](const HtmlNode* child) {
      return !child->removed && !child->is_text() && (is_block(child->tag) || has_block_child(*child));
    });
  }

  void collect(HtmlNode& node) {
    if (node.removed || node.is_text()) return;
    const bool paragraph_like =
        node.is({GUMBO_TAG_SECTION, GUMBO_TAG_H2, GUMBO_TAG_H3, GUMBO_TAG_H4, GUMBO_TAG_H5, GUMBO_TAG_H6,
                 GUMBO_TAG_P, GUMBO_TAG_TD, GUMBO_TAG_PRE, GUMBO_TAG_LI}) ||
        (node.is({GUMBO_TAG_DIV, GUMBO_TAG_ARTICLE}) && !has_block_child(node));
    if (paragraph_like && !(node.tag == GUMBO_TAG_LI && has_block_child(node))) {
      give(node, measure(node), node.parent);
    } else {
      give_loose_text(node);
    }
    for (auto* child : node.children) collect(*child);
  }

  /// Text that stands in an element beside its blocks counts as a paragraph of its own.
  void give_loose_text(HtmlNode& node) {
    TextMeasure loose;
    for (const auto* child : node.children) {
      if (child->removed || (!child->is_text() && (is_block(child->tag) || has_block_child(*child))))
        continue;
      const auto more = measure(*child);
      loose.characters += more.characters;
      loose.commas += more.commas;
    }
    if (!node.is({GUMBO_TAG_UL, GUMBO_TAG_OL, GUMBO_TAG_TABLE, GUMBO_TAG_TBODY, GUMBO_TAG_TR}))
      give(node, loose, &node);
  }

  void give(const HtmlNode& node, const TextMeasure& text, HtmlNode* to) {
    constexpr int64_t shortest = 25;
    if (text.characters < shortest) return;
    const double points = 2.0 + static_cast<double>(text.commas) +
                          std::min<double>(std::floor(static_cast<double>(text.characters) / 100), 3);
    for (int level = 0; level < 5 && to != nullptr && to->parent != nullptr; ++level, to = to->parent) {
      score(*to).value += points / (level == 0 ? 1 : level == 1 ? 2 : level * 3);
    }
  }

  Score& score(HtmlNode& node) {
    const auto [place, fresh] = scores_.try_emplace(&node);
    if (!fresh) return place->second;
    order_.push_back(&node);
    double start = severity_.weigh_names ? name_weight(node) : 0;
    if (node.is({GUMBO_TAG_DIV, GUMBO_TAG_ARTICLE, GUMBO_TAG_MAIN})) start += 5;
    if (node.is({GUMBO_TAG_PRE, GUMBO_TAG_TD, GUMBO_TAG_BLOCKQUOTE})) start += 3;
    if (node.is({GUMBO_TAG_ADDRESS, GUMBO_TAG_OL, GUMBO_TAG_UL, GUMBO_TAG_DL, GUMBO_TAG_DD, GUMBO_TAG_DT,
                 GUMBO_TAG_LI, GUMBO_TAG_FORM}))
      start -= 3;
    if (is_heading(node) || node.tag == GUMBO_TAG_TH) start -= 5;
    place->second.value = start;
    return place->second;
  }
  double value(HtmlNode* node) const {
    const auto found = scores_.find(node);
    return found == scores_.end() ? 0 : found->second.value;
  }

  /// The one element that schema.org's microdata calls the body of an article.
  HtmlNode* stated_body() const {
    constexpr int64_t shortest = 200;
    HtmlNode* found = nullptr;
    int64_t count = 0;
    find_stated(*tree_.body(), found, count);
    return count == 1 && found->prose >= shortest ? found : nullptr;
  }
  static void find_stated(HtmlNode& node, HtmlNode*& found, int64_t& count) {
    for (auto* child : node.children) {
      if (child->is_text() || child->removed) continue;
      if (child->attribute("itemprop") == "articleBody") {
        found = child;
        ++count;
      } else {
        find_stated(*child, found, count);
      }
    }
  }

  HtmlNode* best() {
    std::vector<HtmlNode*> ranked = order_;
    for (auto* node : ranked) scores_[node].value *= 1 - measure(*node).link_density();
    std::stable_sort(ranked.begin(), ranked.end(),
                     [&](HtmlNode* a, HtmlNode* b) { return value(a) > value(b); });
    if (ranked.empty()) return tree_.body();
    HtmlNode* top = ranked[0];
    ranked.resize(std::min<size_t>(ranked.size(), 5));
    top = shared_parent(top, ranked);
    top = rising_parent(top);
    top = wide_parent(top);
    top = titled_article(top);
    while (top != tree_.body() && top->parent != nullptr && top->parent != tree_.body() &&
           elements(*top->parent) == 1)
      top = top->parent;
    return top;
  }

  static int64_t elements(const HtmlNode& node) {
    return std::count_if(node.children.begin(), node.children.end(),
                         [](const HtmlNode* child) { return !child->is_text() && !child->removed; });
  }

  /// Where several good candidates stand below one element, the text is spread over them all.
  HtmlNode* shared_parent(HtmlNode* top, const std::vector<HtmlNode*>& ranked) const {
    constexpr double near = 0.75;
    constexpr int64_t enough = 3;
    std::vector<HtmlNode*> good;
    for (auto* node : ranked) {
      if (node != top && value(node) >= near * value(top)) good.push_back(node);
    }
    if (static_cast<int64_t>(good.size()) < enough) return top;
    for (auto* up = top->parent; up != nullptr && up != tree_.body(); up = up->parent) {
      const auto below = std::count_if(good.begin(), good.end(), [&](HtmlNode* node) {
        for (auto* above = node->parent; above != nullptr; above = above->parent) {
          if (above == up) return true;
        }
        return false;
      });
      if (below >= enough) return up;
    }
    return top;
  }

  HtmlNode* rising_parent(HtmlNode* top) const {
    double last = value(top);
    const double least = last / 3;
    for (auto* up = top->parent; up != nullptr && up != tree_.body(); up = up->parent) {
      if (!scores_.contains(up)) continue;
      if (value(up) < least) break;
      if (value(up) > last) return up;
      last = value(up);
    }
    return top;
  }

  /// Where most of the text lies outside, as on pages put together from columns: the smallest element around
  /// that holds nearly all.
  HtmlNode* wide_parent(HtmlNode* top) const {
    constexpr double enough = 0.5, nearly_all = 0.8;
    const auto all = static_cast<double>(tree_.body()->prose);
    if (static_cast<double>(top->prose) >= enough * all) return top;
    for (auto* up = top; up != nullptr; up = up->parent) {
      if (static_cast<double>(up->prose) >= nearly_all * all) return up;
    }
    return top;
  }

  /// Of several articles below an element the one that holds the only main heading.
  HtmlNode* titled_article(HtmlNode* top) const {
    std::vector<HtmlNode*> articles;
    find_articles(top->tag == GUMBO_TAG_ARTICLE && top->parent != nullptr ? *top->parent : *top, articles);
    if (articles.size() < 2) return top;
    HtmlNode* titled = nullptr;
    for (auto* article : articles) {
      if (!holds_heading(*article)) continue;
      if (titled != nullptr) return top;
      titled = article;
    }
    return titled != nullptr && titled->prose >= 250 ? titled : top;
  }
  static void find_articles(HtmlNode& node, std::vector<HtmlNode*>& articles) {
    for (auto* child : node.children) {
      if (child->is_text() || child->removed) continue;
      if (child->tag == GUMBO_TAG_ARTICLE) {
        articles.push_back(child);
      } else {
        find_articles(*child, articles);
      }
    }
  }
  /// Also where it was removed because it repeats the title.
  static bool holds_heading(const HtmlNode& node) {
    return std::any_of(node.children.begin(), node.children.end(), [](const HtmlNode* child) {
      return !child->is_text() && (child->tag == GUMBO_TAG_H1 || holds_heading(*child));
    });
  }

  /// The best element and the siblings that belong to it.
  std::vector<HtmlNode*> parts_around(HtmlNode* top) const {
    if (top == tree_.body() || top->parent == nullptr) return {top};
    std::vector<HtmlNode*> parts;
    const double least = std::max(10.0, value(top) * 0.2);
    for (auto* sibling : top->parent->children) {
      if (sibling->removed || sibling->is_text()) continue;
      if (sibling != top && sibling->tag == GUMBO_TAG_ARTICLE && top->tag == GUMBO_TAG_ARTICLE &&
          holds_heading(*top))
        continue;
      const auto classes = top->attribute("class");
      const double bonus = !classes.empty() && sibling->attribute("class") == classes ? value(top) * 0.2 : 0;
      const bool scored = scores_.contains(sibling) && value(sibling) + bonus >= least;
      if (sibling == top || scored || reads_like_text(*sibling)) parts.push_back(sibling);
    }
    return parts;
  }

  static bool reads_like_text(const HtmlNode& node) {
    constexpr int64_t long_enough = 80;
    if (node.tag != GUMBO_TAG_P) return false;
    const auto sum = measure(node);
    if (sum.characters > long_enough) return sum.link_density() < 0.25;
    const std::string text = text_of(node);
    return sum.characters > 0 && sum.link_characters == 0 &&
           (text.ends_with('.') || text.find(". ") != std::string::npos);
  }

  HtmlTree& tree_;
  Severity severity_;
  std::unordered_map<const HtmlNode*, Score> scores_;
  std::vector<HtmlNode*> order_;
  int64_t prose_ = 0;
  bool is_sure_ = false;
};

int64_t characters_of(const std::vector<HtmlNode*>& parts) {
  int64_t sum = 0;
  for (const auto* part : parts) sum += measure(*part).characters;
  return sum;
}

std::vector<HtmlNode*> search(HtmlTree& tree) {
  constexpr int64_t enough = 500;
  constexpr Severity severities[] = {
      {true, true, true}, {false, true, true}, {false, false, true}, {false, false, false}};
  size_t longest = 0;
  int64_t most = -1;
  for (size_t i = 0; i < std::size(severities); ++i) {
    Finder finder(tree, severities[i]);
    auto parts = finder.find();
    const int64_t characters = characters_of(parts);
    if (characters >= enough || finder.is_sure()) {
      prune(parts, tree.title());
      return parts;
    }
    if (characters > most) {
      most = characters;
      longest = i;
    }
  }
  if (most <= 0) return {};
  auto parts = Finder(tree, severities[longest]).find();
  prune(parts, tree.title());
  return parts;
}

void find_noscript(HtmlNode& node, std::vector<HtmlNode*>& found) {
  for (auto* child : node.children) {
    if (child->tag == GUMBO_TAG_NOSCRIPT) {
      found.push_back(child);
    } else {
      find_noscript(*child, found);
    }
  }
}

}  // namespace

std::vector<HtmlNode*> find_main_text(HtmlTree& tree) {
  constexpr int64_t little = 100, enough = 250;
  place_streamed(tree);
  const auto parts = search(tree);
  if (characters_of(parts) >= little) return parts;
  // A page that is made by its scripts may hold its text for browsers without them.
  std::vector<HtmlNode*> noscript;
  find_noscript(*tree.body(), noscript);
  if (noscript.empty()) return parts;
  for (auto* node : noscript) node->tag = GUMBO_TAG_DIV;
  const auto more = search(tree);
  if (characters_of(more) >= enough) return more;
  for (auto* node : noscript) node->tag = GUMBO_TAG_NOSCRIPT;
  return search(tree);
}

}  // namespace fettle::data
