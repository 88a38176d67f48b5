#include "data/html/streamed.h"

#include <algorithm>
#include <unordered_map>

namespace fettle::data {
namespace {

int height_of(const HtmlNode& node) {
  int height = 0;
  for (const auto* child : node.children) height = std::max(height, height_of(*child) + 1);
  return height;
}
int depth_of(const HtmlNode* node) {
  int depth = 0;
  for (; node != nullptr; node = node->parent) ++depth;
  return depth;
}

void find_streamed(HtmlNode& node, std::unordered_map<std::string_view, HtmlNode*>& places,
                   std::vector<HtmlNode*>& pieces) {
  const auto id = node.attribute("id");
  if (node.tag == GUMBO_TAG_TEMPLATE && id.starts_with("B:")) places.emplace(id.substr(2), &node);
  if (node.tag == GUMBO_TAG_DIV && id.starts_with("S:") && node.is_hidden()) pieces.push_back(&node);
  for (auto* child : node.children) {
    if (!child->is_text()) find_streamed(*child, places, pieces);
  }
}

}  // namespace

void place_streamed(HtmlTree& tree) {
  constexpr size_t most = 200;
  std::unordered_map<std::string_view, HtmlNode*> places;
  std::vector<HtmlNode*> pieces;
  find_streamed(*tree.root(), places, pieces);
  for (size_t i = 0; i < std::min(pieces.size(), most); ++i) {
    auto* piece = pieces[i];
    const auto place = places.find(piece->attribute("id").substr(2));
    if (place == places.end() || depth_of(place->second) + height_of(*piece) > HtmlTree::max_depth) continue;
    auto* parent = place->second->parent;
    bool around = false;
    for (const auto* up = parent; up != nullptr; up = up->parent) around = around || up == piece;
    if (around || parent == nullptr) continue;
    const auto at = std::find(parent->children.begin(), parent->children.end(), place->second);
    if (at == parent->children.end()) continue;
    parent->children.insert(parent->children.erase(at), piece->children.begin(), piece->children.end());
    for (auto* child : piece->children) child->parent = parent;
    piece->children.clear();
  }
}

}  // namespace fettle::data
