#pragma once
// What the search for a page's main text reads off an element: its measures, and the signs in its names.
#include <cstdint>

#include "data/html/tree.h"

namespace fettle::data {

/// Counts below an element, without what is removed.
struct TextMeasure {
  int64_t characters = 0, link_characters = 0, list_characters = 0,
          heading_characters = 0;  ///< spaces collapsed
  int64_t commas = 0;
  int64_t paragraphs = 0, images = 0, items = 0, inputs = 0, embeds = 0;

  double link_density() const {
    return characters > 0 ? static_cast<double>(link_characters) / static_cast<double>(characters) : 0;
  }
};
TextMeasure measure(const HtmlNode& node);

bool is_heading(const HtmlNode& node);
/// +25 for a class or id that names content, -25 for one that names what stands around it; each counts.
int name_weight(const HtmlNode& node);
/// Class, id or role say that it is no part of the main text.
bool is_unlikely(const HtmlNode& node);
/// Stands at the foot of every page, or over it: footers, notices about cookies.
bool is_footer(const HtmlNode& node);
/// Whether most words of a text are the title's.
bool repeats_title(const std::string& text, const std::string& title);
/// A line that names the author or the date.
bool is_byline(const HtmlNode& node);
/// Buttons for sharing.
bool is_sharing(const HtmlNode& node);
/// What an element's class or id says that it is, word by word.
enum class Furniture {
  none,
  line,  ///< only where it is short: a credit, a date, tags
  box    ///< where it is a small part of the text: a caption, related links, a box about the author
};
Furniture furniture_kind(const HtmlNode& node);
/// A table that holds data, not one that places things.
bool is_data_table(const HtmlNode& node);

}  // namespace fettle::data
