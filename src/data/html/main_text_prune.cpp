#include "data/html/main_text_prune.h"

#include <algorithm>
#include <unordered_map>

#include "data/html/main_text_blocks.h"
#include "data/html/main_text_phrases.h"
#include "data/html/main_text_signs.h"
#include "data/signals/phrases.h"

namespace fettle::data {
namespace {

class Pruner {
 public:
  Pruner(const std::vector<HtmlNode*>& parts, const std::string& title) : parts_(parts), title_(title) {}

  void run() {
    for (const auto* part : parts_) total_ += measure(*part).characters;
    for (auto* part : parts_) remove_named(*part, true);
    // On a page of teasers or captions they are what the reader came for.
    if (named_characters_ * 2 > total_) {
      for (auto* node : named_) node->removed = false;
    }
    for (auto* part : parts_) {
      for (auto& block : text_blocks(*part)) blocks_.push_back(std::move(block));
    }
    judge();
    judge_lists();
    find_ends();
    if (prose_ * 3 >= characters_) {
      cut_appendices();
      find_ends();
      trim_head();
      trim_tail();
    }
    drop_lines();
    drop_repeats();
    drop_bare_headings();
    if (left() * 2 < characters_ && prose_ * 3 < characters_) restore();
  }

 private:
  struct Judged {
    std::string lower;
    bool prose = false, gone = false, linked = false;
  };

  void remove_named(HtmlNode& node, bool is_part) {
    if (node.is_text() || node.removed) return;
    if ((!is_part || parts_.size() > 1) && is_furniture(node)) {
      named_characters_ += measure(node).characters;
      named_.push_back(&node);
      node.removed = true;
      return;
    }
    for (auto* child : node.children) remove_named(*child, false);
  }

  bool is_furniture(const HtmlNode& node) const {
    if (node.is({GUMBO_TAG_FIGURE, GUMBO_TAG_FIGCAPTION})) return is_picture_text(node);
    const auto kind = furniture_kind(node);
    if (kind == Furniture::none) return false;
    const int64_t characters = measure(node).characters;
    const int64_t longest = kind == Furniture::line ? 200 : total_ / 4;
    return characters <= longest;
  }

  static bool holds(const HtmlNode& node, std::initializer_list<GumboTag> tags) {
    return std::any_of(node.children.begin(), node.children.end(), [&](const HtmlNode* child) {
      return !child->is_text() && !child->removed && (child->is(tags) || holds(*child, tags));
    });
  }
  /// A figure with its caption, unless it shows code, a table or a quotation.
  bool is_picture_text(const HtmlNode& node) const {
    const auto* figure = &node;
    if (node.tag == GUMBO_TAG_FIGCAPTION && node.parent != nullptr && node.parent->tag == GUMBO_TAG_FIGURE)
      figure = node.parent;
    if (holds(*figure, {GUMBO_TAG_PRE, GUMBO_TAG_TABLE, GUMBO_TAG_CODE})) return false;
    if (node.tag == GUMBO_TAG_FIGCAPTION) return true;
    return !holds(node, {GUMBO_TAG_BLOCKQUOTE, GUMBO_TAG_UL, GUMBO_TAG_OL}) && measure(node).characters < 600;
  }

  void judge() {
    judged_.resize(blocks_.size());
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const auto& block = blocks_[i];
      characters_ += block.characters;
      if (block.kept) {
        prose_ += block.characters;
        judged_[i].prose = true;
        continue;
      }
      if (block.characters <= 300) judged_[i].lower = lower_case(block.text);
      judged_[i].prose = block.heading == 0 && block.link_share() < 0.5 && reads_as_prose(block);
      if (judged_[i].prose) prose_ += block.characters;
    }
  }
  static bool reads_as_prose(const TextBlock& block) {
    const bool wide = static_cast<int64_t>(block.text.size()) > 2 * block.characters;  // CJK has no spaces
    if (block.characters >= (wide ? 50 : 120)) return true;
    return block.characters >= (wide ? 20 : 60) && ends_sentence(block.text);
  }
  static bool ends_sentence(const std::string& text) {
    constexpr std::string_view ends[] = {".",  "!",  "?", "…", ".\"", ".”", "。",
                                         "！", "？", "।", "»", ":",   ".)", "؟"};
    return std::any_of(std::begin(ends), std::end(ends),
                       [&](std::string_view end) { return text.ends_with(end); });
  }

  /// An item of a list that mostly links away is no prose, however long.
  void judge_lists() {
    for (size_t i = 0; i < blocks_.size();) {
      const auto* list = list_around(blocks_[i]);
      size_t end = i + 1;
      if (list == nullptr) {
        i = end;
        continue;
      }
      while (end < blocks_.size() && list_around(blocks_[end]) == list) ++end;
      int64_t characters = 0, links = 0;
      size_t linked = 0;
      for (size_t j = i; j < end; ++j) {
        characters += blocks_[j].characters;
        links += blocks_[j].link_characters;
        linked += blocks_[j].link_characters > 0;
      }
      if (linked >= 3 && linked * 10 >= (end - i) * 8 && links * 10 >= characters * 4) {
        for (size_t j = i; j < end; ++j) {
          if (judged_[j].prose && !blocks_[j].kept) prose_ -= blocks_[j].characters;
          judged_[j].prose = blocks_[j].kept;
          judged_[j].linked = true;
        }
      }
      i = end;
    }
  }
  static const HtmlNode* list_around(const TextBlock& block) {
    for (const auto* node = block.holder; node != nullptr; node = node->parent) {
      if (node->is({GUMBO_TAG_UL, GUMBO_TAG_OL})) return node;
    }
    return nullptr;
  }

  void remove(size_t i) {
    blocks_[i].remove();
    judged_[i].gone = true;
  }

  int64_t left() const {
    int64_t sum = 0;
    for (size_t i = 0; i < blocks_.size(); ++i) sum += judged_[i].gone ? 0 : blocks_[i].characters;
    return sum;
  }
  /// A page of links and lines is no article with such things around it.
  void restore() {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (judged_[i].gone) blocks_[i].restore();
    }
  }

  /// From a line like "Related articles" or "Comments" on: to the end where little prose follows, else what
  /// links away.
  void cut_appendices() {
    int64_t before = 0;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const auto& block = blocks_[i];
      if (judged_[i].prose) before += block.characters;
      if (judged_[i].gone || block.kept || block.characters > 70 || !begins_appendix(judged_[i].lower))
        continue;
      if (before * 10 >= prose_ * 8) {
        for (size_t j = i; j < blocks_.size(); ++j) remove(j);
        return;
      }
      if (before == 0 && block.heading == 0) continue;
      size_t j = i + 1;
      while (j < blocks_.size() && !judged_[j].prose && blocks_[j].heading == 0 &&
             blocks_[j].link_share() > 0.5)
        remove(j++);
      if (j > i + 1) remove(i);
    }
  }

  void find_ends() {
    first_ = blocks_.size();
    last_ = 0;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (judged_[i].gone || !judged_[i].prose) continue;
      first_ = std::min(first_, i);
      last_ = i;
    }
  }

  void trim_head() {
    for (size_t i = 0; i < first_ && first_ < blocks_.size(); ++i) {
      const auto& block = blocks_[i];
      const auto& lower = judged_[i].lower;
      const bool line = block.characters <= 120 && !lower.empty();
      if (block.heading == 1 ||
          (line && block.heading == 0 &&
           (is_date_or_author(lower) || is_call(lower) || block.link_share() > 0.6)) ||
          repeats_title(block.text, title_))
        remove(i);
    }
  }

  void trim_tail() {
    for (size_t i = last_ + 1; i < blocks_.size(); ++i) {
      const auto& block = blocks_[i];
      const auto& lower = judged_[i].lower;
      if (judged_[i].gone || (lower.empty() && !judged_[i].linked)) continue;
      if (block.heading > 0 || is_date_or_author(lower) || is_call(lower) || begins_appendix(lower) ||
          judged_[i].linked || block.link_share() > 0.6)
        remove(i);
    }
  }

  void drop_lines() {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const auto& block = blocks_[i];
      if (judged_[i].gone || block.kept) continue;
      const auto& lower = judged_[i].lower;
      if (lower.empty() || block.heading > 0) continue;
      const bool call = is_call(lower) && (block.characters <= 120 || block.link_share() > 0.2);
      const bool credit = block.characters <= 200 && is_credit(lower);
      const bool promotion = block.link_characters > 0 && list_around(block) == nullptr &&
                             is_promotion(lower) && (i <= first_ || i >= last_ || block.characters <= 160);
      const bool link = block.link_share() > 0.9 && block.characters > 15 && stands_alone(i);
      if (call || credit || link || promotion) remove(i);
    }
  }
  bool stands_alone(size_t i) const {
    const auto& block = blocks_[i];
    if ((i > 0 && blocks_[i - 1].holder == block.holder) ||
        (i + 1 < blocks_.size() && blocks_[i + 1].holder == block.holder))
      return false;
    if (judged_[i].lower.starts_with("http") || judged_[i].lower.starts_with("www.")) return false;
    for (const auto* node = block.holder; node != nullptr; node = node->parent) {
      if (node->is(
              {GUMBO_TAG_LI, GUMBO_TAG_TD, GUMBO_TAG_TH, GUMBO_TAG_DD, GUMBO_TAG_DT, GUMBO_TAG_BLOCKQUOTE}))
        return false;
    }
    return true;
  }

  void drop_repeats() {
    constexpr int64_t long_enough = 60;
    std::unordered_map<std::string_view, std::vector<size_t>> places;
    int64_t repeated = 0;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (judged_[i].gone || blocks_[i].kept || blocks_[i].characters < long_enough) continue;
      auto& at = places[blocks_[i].text];
      at.push_back(i);
      if (at.size() == 2) repeated += blocks_[i].characters;
    }
    if (repeated * 4 > characters_) return;
    for (const auto& [text, at] : places) {
      if (at.size() == 2) remove(at[1]);
    }
  }

  /// A heading whose text was taken out, or that stands last.
  void drop_bare_headings() {
    bool was_taken = false, has_text = false;
    int level = 7;
    for (size_t i = blocks_.size(); i-- > 0;) {
      const auto& block = blocks_[i];
      if (judged_[i].gone) {
        was_taken = true;
      } else if (block.heading == 0) {
        has_text = true;
        was_taken = false;
        level = 7;
      } else {
        if (was_taken && (!has_text || block.heading >= level)) {
          remove(i);
          continue;
        }
        level = block.heading;
        has_text = true;
        was_taken = false;
      }
    }
  }

  const std::vector<HtmlNode*>& parts_;
  const std::string& title_;
  std::vector<HtmlNode*> named_;
  std::vector<TextBlock> blocks_;
  std::vector<Judged> judged_;
  int64_t total_ = 0, named_characters_ = 0, characters_ = 0, prose_ = 0;
  size_t first_ = 0, last_ = 0;
};

}  // namespace

void prune(const std::vector<HtmlNode*>& parts, const std::string& title) {
  Pruner(parts, title).run();
}

}  // namespace fettle::data
