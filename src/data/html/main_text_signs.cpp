#include "data/html/main_text_signs.h"

#include "base/white_space.h"
#include "text/unicode/unicode.h"

#include <algorithm>
#include <cctype>
#include <unordered_set>
#include <vector>


namespace fettle::data {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

template <size_t N>
bool names_any(const std::string& text, const std::string_view (&words)[N]) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

constexpr std::string_view around[] = {
    "-ad-",       "ad-break", "agegate",    "banner",     "breadcrumb", "combx",      "comment",
    "community",  "cookie",   "consent",    "cover-wrap", "disqus",     "extra",      "footer",
    "gdpr",       "header",   "legends",    "menu",       "modal",      "newsletter", "pager",
    "pagination", "popup",    "promo",      "related",    "remark",     "replies",    "rss",
    "shoutbox",   "sidebar",  "skyscraper", "social",     "sponsor",    "subscribe",  "supplemental",
    "taboola",    "outbrain", "toolbar",    "navbar",     "nav-",       "site-nav",   "paywall",
    "signup",     "teaser",   "recommend"};
constexpr std::string_view maybe_content[] = {"and",     "article", "body",  "column",
                                              "content", "main",    "shadow"};
constexpr std::string_view content[] = {"article", "body", "content", "entry", "hentry", "h-entry",   "main",
                                        "page",    "blog", "post",    "text",  "story",  "pagination"};
constexpr std::string_view not_content[] = {
    "-ad-",     "hidden",     "banner",  "combx",    "comment", "com-",    "contact", "footer",    "gdpr",
    "masthead", "media",      "meta",    "outbrain", "promo",   "related", "scroll",  "share",     "shoutbox",
    "sidebar",  "skyscraper", "sponsor", "shopping", "tags",    "widget",  "toolbar", "recommend", "popular"};

/// Characters of a text, each run of spaces as one.
int64_t collapsed_characters(std::string_view text, int64_t& commas) {
  int64_t count = 0;
  bool space = true;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool white = is_space(c);
    if ((c & 0xC0) != 0x80 && !(white && space)) ++count;
    space = white;
    // The commas of other scripts: Arabic, ideographic, fullwidth.
    commas += c == ',' || text.substr(i, 2) == "\xD8\x8C" || text.substr(i, 3) == "\xE3\x80\x81" ||
              text.substr(i, 3) == "\xEF\xBC\x8C";
  }
  return count;
}

struct Inside {
  bool link = false, list = false, heading = false;
};

void add_up(const HtmlNode& node, Inside inside, TextMeasure& sum) {
  if (node.removed) return;
  if (node.is_text()) {
    const int64_t count = collapsed_characters(node.text, sum.commas);
    sum.characters += count;
    sum.link_characters += inside.link ? count : 0;
    sum.list_characters += inside.list ? count : 0;
    sum.heading_characters += inside.heading ? count : 0;
    return;
  }
  sum.paragraphs += node.tag == GUMBO_TAG_P;
  sum.images += node.tag == GUMBO_TAG_IMG;
  sum.items += node.tag == GUMBO_TAG_LI;
  sum.inputs += node.tag == GUMBO_TAG_INPUT;
  sum.embeds += node.is({GUMBO_TAG_OBJECT, GUMBO_TAG_EMBED, GUMBO_TAG_IFRAME});
  inside.link = inside.link || (node.tag == GUMBO_TAG_A && !node.attribute("href").starts_with('#'));
  inside.list = inside.list || node.is({GUMBO_TAG_UL, GUMBO_TAG_OL});
  inside.heading = inside.heading || node.is({GUMBO_TAG_H1, GUMBO_TAG_H2, GUMBO_TAG_H3, GUMBO_TAG_H4,
                                              GUMBO_TAG_H5, GUMBO_TAG_H6});
  for (const auto* child : node.children) add_up(*child, inside, sum);
}

int weight_of(const std::string& name) {
  if (name.empty()) return 0;
  return (names_any(name, content) ? 25 : 0) - (names_any(name, not_content) ? 25 : 0);
}

constexpr std::string_view box_words[] = {
    "caption", "captions",  "bio",           "related",   "promo",   "promos",     "teaser",     "teasers",
    "sponsor", "sponsored", "advertisement", "advert",    "gallery", "slideshow",  "lightbox",   "modal",
    "popup",   "tooltip",   "newsletter",    "subscribe", "signup",  "disclaimer", "disclosure", "comments",
    "disqus",  "share",     "sharing",       "social",    "cta",     "carousel"};
constexpr std::string_view box_parts[] = {
    "authorbio",      "authorbox",   "authorinfo",    "aboutauthor",    "abouttheauthor", "authorcard",
    "authorcontent",  "postauthor",  "articleauthor", "relatedpost",    "relatedarticle", "relatedstor",
    "relatedcontent", "relatedlink", "readnext",      "morestories",    "morefrom",       "newslettersignup",
    "emailsignup",    "wpcaption",   "screenreader",  "visuallyhidden", "sronly",         "skiplink",
    "addtoany",       "addthis",     "alsolike",      "recommended"};
constexpr std::string_view line_words[] = {"credit",   "credits",   "attribution", "byline",      "author",
                                           "authors",  "tags",      "breadcrumb",  "breadcrumbs", "timestamp",
                                           "dateline", "copyright", "pubdate",     "subtitle"};
constexpr std::string_view line_parts[] = {
    "postinfo", "postmeta",    "entrymeta",   "articlemeta", "publishdate", "publisheddate",
    "postdate", "postedon",    "posttags",    "entrytags",   "articletags", "tagcloud",
    "taglist",  "photocredit", "imagecredit", "readingtime", "readtime",    "breadcrumb"};

std::unordered_set<std::string> words_of(const std::string& text) {
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

/// Each name of a class or id list: in lower case without what divides its words, and its words.
template <typename Visit>
void for_each_name(std::string_view names, const Visit& visit) {
  std::string squeezed;
  std::vector<size_t> begins;
  const auto end_name = [&] {
    if (squeezed.empty()) return;
    std::vector<std::string_view> words;
    for (size_t i = 0; i < begins.size(); ++i) {
      const size_t end = i + 1 < begins.size() ? begins[i + 1] : squeezed.size();
      words.push_back(std::string_view(squeezed).substr(begins[i], end - begins[i]));
    }
    visit(std::string_view(squeezed), words);
    squeezed.clear();
    begins.clear();
  };
  bool new_word = true, was_lower = false;
  for (const char c : names) {
    const bool upper = c >= 'A' && c <= 'Z', letter = upper || (c >= 'a' && c <= 'z');
    if (!letter) {
      if (c == ' ' || (c >= '\t' && c <= '\r')) end_name();
      new_word = true;
      was_lower = false;
      continue;
    }
    if (new_word || (upper && was_lower)) begins.push_back(squeezed.size());
    squeezed += static_cast<char>(upper ? c + 32 : c);
    new_word = false;
    was_lower = !upper;
  }
  end_name();
}

bool has_parent(const HtmlNode& node, std::initializer_list<GumboTag> tags) {
  for (const auto* up = node.parent; up != nullptr; up = up->parent) {
    if (up->is(tags)) return true;
  }
  return false;
}

void count_cells(const HtmlNode& node, int64_t& rows, int64_t& widest, bool& has_data_part, bool& has_table) {
  for (const auto* child : node.children) {
    if (child->is_text()) continue;
    has_table = has_table || child->tag == GUMBO_TAG_TABLE;
    has_data_part = has_data_part || child->is({GUMBO_TAG_CAPTION, GUMBO_TAG_COL, GUMBO_TAG_COLGROUP,
                                                GUMBO_TAG_TFOOT, GUMBO_TAG_THEAD, GUMBO_TAG_TH});
    if (child->tag == GUMBO_TAG_TR) {
      ++rows;
      widest = std::max(widest, static_cast<int64_t>(std::count_if(
                                    child->children.begin(), child->children.end(), [](const HtmlNode* cell) {
                                      return cell->is({GUMBO_TAG_TD, GUMBO_TAG_TH});
                                    })));
    }
    count_cells(*child, rows, widest, has_data_part, has_table);
  }
}

}  // namespace

bool is_heading(const HtmlNode& node) {
  return node.is({GUMBO_TAG_H1, GUMBO_TAG_H2, GUMBO_TAG_H3, GUMBO_TAG_H4, GUMBO_TAG_H5, GUMBO_TAG_H6});
}

TextMeasure measure(const HtmlNode& node) {
  TextMeasure sum;
  add_up(node, {}, sum);
  return sum;
}

int name_weight(const HtmlNode& node) {
  return weight_of(lower(node.attribute("class"))) + weight_of(lower(node.attribute("id")));
}

bool is_unlikely(const HtmlNode& node) {
  constexpr std::string_view roles[] = {"menu",  "menubar",     "complementary", "navigation",
                                        "alert", "alertdialog", "dialog"};
  const auto role = node.attribute("role");
  if (std::find(std::begin(roles), std::end(roles), role) != std::end(roles)) return true;
  if (node.is({GUMBO_TAG_BODY, GUMBO_TAG_HTML, GUMBO_TAG_A, GUMBO_TAG_ARTICLE, GUMBO_TAG_MAIN})) return false;
  const std::string names = lower(node.attribute("class")) + " " + lower(node.attribute("id"));
  return names_any(names, around) && !names_any(names, maybe_content) &&
         !has_parent(node, {GUMBO_TAG_TABLE, GUMBO_TAG_CODE});
}

bool is_footer(const HtmlNode& node) {
  constexpr std::string_view words[] = {"foot",    "cookie", "gdpr",  "consent",
                                        "privacy", "popup",  "modal", "legal"};
  return node.tag == GUMBO_TAG_FOOTER ||
         names_any(lower(node.attribute("class")) + " " + lower(node.attribute("id")), words);
}

bool repeats_title(const std::string& text, const std::string& title) {
  constexpr size_t longest = 1000;
  if (text.size() > longest || title.size() > longest) return false;
  const auto words = words_of(text), wanted = words_of(title);
  if (words.empty() || wanted.empty()) return false;
  const auto shared = static_cast<size_t>(std::count_if(
      words.begin(), words.end(), [&](const std::string& word) { return wanted.contains(word); }));
  return static_cast<double>(words.size() - shared) / static_cast<double>(words.size()) < 0.25 &&
         words.size() * 2 > wanted.size();
}

bool is_byline(const HtmlNode& node) {
  constexpr std::string_view words[] = {"byline", "author", "dateline", "writtenby", "p-author"};
  constexpr int64_t longest = 100;
  const std::string names = lower(node.attribute("class")) + " " + lower(node.attribute("id"));
  if (node.attribute("rel") != "author" && node.attribute("itemprop") != "author" && !names_any(names, words))
    return false;
  const int64_t characters = measure(node).characters;
  return characters > 0 && characters < longest;
}

bool is_sharing(const HtmlNode& node) {
  constexpr std::string_view words[] = {"share", "sharedaddy"};
  constexpr int64_t longest = 500;
  const std::string names = lower(node.attribute("class")) + " " + lower(node.attribute("id"));
  return names_any(names, words) && measure(node).characters < longest;
}

Furniture furniture_kind(const HtmlNode& node) {
  Furniture found = Furniture::none;
  for (const auto names : {node.attribute("class"), node.attribute("id")}) {
    for_each_name(names, [&](std::string_view squeezed, const std::vector<std::string_view>& words) {
      const auto has_word = [&](std::string_view word) {
        return std::find(words.begin(), words.end(), word) != words.end();
      };
      const auto has_part = [&](std::string_view part) {
        return squeezed.find(part) != std::string_view::npos;
      };
      if (!words.empty() && (words[0] == "no" || words[0] == "has" || words[0] == "with")) return;
      if (std::any_of(std::begin(box_words), std::end(box_words), has_word) ||
          std::any_of(std::begin(box_parts), std::end(box_parts), has_part)) {
        found = Furniture::box;
      } else if (found == Furniture::none &&
                 (std::any_of(std::begin(line_words), std::end(line_words), has_word) ||
                  std::any_of(std::begin(line_parts), std::end(line_parts), has_part))) {
        found = Furniture::line;
      }
    });
  }
  return found;
}

bool is_data_table(const HtmlNode& node) {
  if (node.attribute("role") == "presentation" || node.attribute("datatable") == "0") return false;
  int64_t rows = 0, widest = 0;
  bool has_data_part = !node.attribute("summary").empty(), has_table = false;
  count_cells(node, rows, widest, has_data_part, has_table);
  if (has_data_part) return true;
  if (has_table || rows <= 1 || widest <= 1) return false;
  return rows >= 10 || widest > 4 || rows * widest > 10;
}

}  // namespace fettle::data
