#include "data/html/main_text_clean.h"

#include <algorithm>
#include <vector>

#include "data/html/main_text_signs.h"

namespace fettle::data {
namespace {

void list_below(HtmlNode& node, std::vector<HtmlNode*>& below) {
  for (auto* child : node.children) {
    if (child->is_text() || child->removed) continue;
    below.push_back(child);
    list_below(*child, below);
  }
}

bool is_suspicious(const HtmlNode& node, bool weigh_names) {
  if (node.tag == GUMBO_TAG_TABLE && is_data_table(node)) return false;
  bool in_figure = false;
  for (const auto* up = node.parent; up != nullptr; up = up->parent) {
    if (up->tag == GUMBO_TAG_CODE || (up->tag == GUMBO_TAG_TABLE && is_data_table(*up))) return false;
    in_figure = in_figure || up->tag == GUMBO_TAG_FIGURE;
  }
  const int weight = weigh_names ? name_weight(node) : 0;
  constexpr int64_t much_prose = 200;
  if (weight < 0 && node.prose < much_prose) return true;
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

}  // namespace

void clean_part(HtmlNode& part, bool weigh_names, bool thoroughly) {
  std::vector<HtmlNode*> below;
  list_below(part, below);
  for (auto* node : below) {
    node->removed =
        node->is({GUMBO_TAG_FOOTER, GUMBO_TAG_ASIDE, GUMBO_TAG_IFRAME, GUMBO_TAG_OBJECT, GUMBO_TAG_EMBED,
                  GUMBO_TAG_INPUT, GUMBO_TAG_TEXTAREA, GUMBO_TAG_SELECT, GUMBO_TAG_BUTTON}) ||
        is_sharing(*node) || (is_heading(*node) && weigh_names && name_weight(*node) < 0);
  }
  if (!thoroughly) return;
  // Inner ones first, so that an outer one is judged by what is left of it.
  for (auto node = below.rbegin(); node != below.rend(); ++node) {
    if ((*node)->is({GUMBO_TAG_FORM, GUMBO_TAG_FIELDSET, GUMBO_TAG_TABLE, GUMBO_TAG_UL, GUMBO_TAG_OL,
                     GUMBO_TAG_DIV, GUMBO_TAG_SECTION}) &&
        !(*node)->removed && is_suspicious(**node, weigh_names)) {
      (*node)->removed = true;
    }
  }
}

}  // namespace fettle::data
