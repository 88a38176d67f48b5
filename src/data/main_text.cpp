#include "data/main_text.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "data/main_text_signs.h"

namespace fettle::data {
namespace {

/// How much is thrown away beforehand.
struct Severity {
  bool drop_unlikely = true, weigh_names = true, clean = true;
};

bool is_heading(const HtmlNode& node) {
  return node.is({GUMBO_TAG_H1, GUMBO_TAG_H2, GUMBO_TAG_H3, GUMBO_TAG_H4, GUMBO_TAG_H5, GUMBO_TAG_H6});
}

class Finder {
 public:
  Finder(HtmlTree& tree, Severity severity) : tree_(tree), severity_(severity) {}

  std::vector<HtmlNode*> find() {
    restore(*tree_.root());
    drop_beforehand(*tree_.body());
    collect(*tree_.body());
    auto parts = parts_around(best());
    for (auto* part : parts) clean(*part);
    return parts;
  }

 private:
  struct Score {
    double value = 0;
  };

  static void restore(HtmlNode& node) {
    node.removed = false;
    for (auto* child : node.children) restore(*child);
  }

  void drop_beforehand(HtmlNode& node) {
    if (node.is_text()) return;
    const bool is_formula = node.tag == GUMBO_TAG_SCRIPT && node.attribute("type").starts_with("math/tex");
    const bool never =
        (node.tag == GUMBO_TAG_SCRIPT && !is_formula) ||
        node.is({GUMBO_TAG_STYLE, GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE, GUMBO_TAG_LINK, GUMBO_TAG_SVG});
    const bool page_part = severity_.drop_unlikely && node.is({GUMBO_TAG_NAV});
    const bool repeated_title =
        is_heading(node) && node.is({GUMBO_TAG_H1, GUMBO_TAG_H2}) && is_title(text_of(node));
    node.removed = never || node.is_hidden() || page_part || repeated_title ||
                   (severity_.drop_unlikely && (is_unlikely(node) || is_byline(node)));
    if (node.removed) return;
    for (auto* child : node.children) drop_beforehand(*child);
  }

  /// Whether most words of a heading are the title's.
  bool is_title(const std::string& heading) const {
    const auto words = words_of(heading);
    const auto title = words_of(tree_.title());
    if (words.empty() || title.empty()) return false;
    const auto shared = std::count_if(words.begin(), words.end(),
                                      [&](const std::string& word) { return title.contains(word); });
    const size_t other = words.size() - static_cast<size_t>(shared);
    return static_cast<double>(other) / static_cast<double>(words.size()) < 0.25 &&
           words.size() * 2 > title.size();
  }
  static std::unordered_set<std::string> words_of(const std::string& text) {
    std::unordered_set<std::string> words;
    std::string word;
    for (const char c : text + " ") {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0) {
        word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      } else if (!word.empty()) {
        words.insert(std::move(word));
        word.clear();
      }
    }
    return words;
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

  /// The best element and the siblings that belong to it.
  std::vector<HtmlNode*> parts_around(HtmlNode* top) const {
    if (top == tree_.body() || top->parent == nullptr) return {top};
    std::vector<HtmlNode*> parts;
    const double least = std::max(10.0, value(top) * 0.2);
    for (auto* sibling : top->parent->children) {
      if (sibling->removed || sibling->is_text()) continue;
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

  /// Takes out of a part what crept in.
  void clean(HtmlNode& part) {
    std::vector<HtmlNode*> below;
    list(part, below);
    for (auto* node : below) {
      node->removed =
          node->is({GUMBO_TAG_FOOTER, GUMBO_TAG_ASIDE, GUMBO_TAG_IFRAME, GUMBO_TAG_OBJECT, GUMBO_TAG_EMBED,
                    GUMBO_TAG_INPUT, GUMBO_TAG_TEXTAREA, GUMBO_TAG_SELECT, GUMBO_TAG_BUTTON}) ||
          is_sharing(*node) || (is_heading(*node) && severity_.weigh_names && name_weight(*node) < 0);
    }
    if (!severity_.clean) return;
    // Inner ones first, so that an outer one is judged by what is left of it.
    for (auto node = below.rbegin(); node != below.rend(); ++node) {
      if ((*node)->is({GUMBO_TAG_FORM, GUMBO_TAG_FIELDSET, GUMBO_TAG_TABLE, GUMBO_TAG_UL, GUMBO_TAG_OL,
                       GUMBO_TAG_DIV, GUMBO_TAG_SECTION}) &&
          !(*node)->removed && is_suspicious(**node)) {
        (*node)->removed = true;
      }
    }
  }
  static void list(HtmlNode& node, std::vector<HtmlNode*>& below) {
    for (auto* child : node.children) {
      if (child->is_text() || child->removed) continue;
      below.push_back(child);
      list(*child, below);
    }
  }

  bool is_suspicious(const HtmlNode& node) const {
    if (node.tag == GUMBO_TAG_TABLE && is_data_table(node)) return false;
    bool in_figure = false;
    for (const auto* up = node.parent; up != nullptr; up = up->parent) {
      if (up->tag == GUMBO_TAG_CODE || (up->tag == GUMBO_TAG_TABLE && is_data_table(*up))) return false;
      in_figure = in_figure || up->tag == GUMBO_TAG_FIGURE;
    }
    const int weight = severity_.weigh_names ? name_weight(node) : 0;
    if (weight < 0) return true;
    const auto sum = measure(node);
    constexpr int64_t many_commas = 10;
    if (sum.commas >= many_commas) return false;
    const auto share = [&](int64_t part) {
      return sum.characters > 0 ? static_cast<double>(part) / static_cast<double>(sum.characters) : 0;
    };
    const bool is_list = node.is({GUMBO_TAG_UL, GUMBO_TAG_OL}) || share(sum.list_characters) > 0.9;
    const double links = sum.link_density();
    const bool pictures = !in_figure && sum.images > 1 && sum.paragraphs * 2 < sum.images;
    const bool bare = !is_list && share(sum.heading_characters) < 0.9 && sum.characters < 25 &&
                      (sum.images == 0 || sum.images > 2) && !in_figure;
    const bool linked =
        (!is_list && weight < 25 && links > 0.2) || (weight >= 25 && links > 0.5) || (is_list && links > 0.8);
    return pictures || (!is_list && sum.items - 100 > sum.paragraphs) || sum.inputs > sum.paragraphs / 3 ||
           bare || linked || (sum.embeds == 1 && sum.characters < 75) || sum.embeds > 1;
  }

  HtmlTree& tree_;
  Severity severity_;
  std::unordered_map<const HtmlNode*, Score> scores_;
  std::vector<HtmlNode*> order_;
};

int64_t characters_of(const std::vector<HtmlNode*>& parts) {
  int64_t sum = 0;
  for (const auto* part : parts) sum += measure(*part).characters;
  return sum;
}

}  // namespace

std::vector<HtmlNode*> find_main_text(HtmlTree& tree) {
  constexpr int64_t enough = 500;
  constexpr Severity severities[] = {
      {true, true, true}, {false, true, true}, {false, false, true}, {false, false, false}};
  size_t longest = 0;
  int64_t most = -1;
  for (size_t i = 0; i < std::size(severities); ++i) {
    auto parts = Finder(tree, severities[i]).find();
    const int64_t characters = characters_of(parts);
    if (characters >= enough) return parts;
    if (characters > most) {
      most = characters;
      longest = i;
    }
  }
  if (most <= 0) return {};
  return Finder(tree, severities[longest]).find();
}

}  // namespace fettle::data
