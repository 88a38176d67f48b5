#include "data/html/segment.h"

#include <algorithm>

#include "base/hash.h"
#include "base/input_fault.h"
#include "base/white_space.h"
#include "data/html/main_text.h"
#include "data/html/markdown.h"
#include "data/rows/json_text.h"
#include "data/signals/language.h"
#include "data/signals/phrases.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

int heading_level(const HtmlNode& node) {
  return node.is({GUMBO_TAG_H1, GUMBO_TAG_H2, GUMBO_TAG_H3, GUMBO_TAG_H4, GUMBO_TAG_H5, GUMBO_TAG_H6})
             ? node.text[1] - '0'
             : 0;
}

bool holds_heading(const HtmlNode& node) {
  return std::any_of(node.children.begin(), node.children.end(), [](const HtmlNode* child) {
    return !child->is_text() && !child->removed && (heading_level(*child) > 0 || holds_heading(*child));
  });
}

/// A header with what stands below it up to the next, and its sub-headers.
struct Section {
  int level = 0;
  std::string header, text;  ///< `text` without the sub-headers'
  std::vector<Section> below;
};

void append_block(std::string& text, std::string_view block) {
  if (block.empty()) return;
  if (!text.empty()) text += "\n\n";
  text += block;
}

/// Cuts a page at its headers.
class Outline {
 public:
  Outline(std::string title, const MarkdownOptions& options) : options_(options) {
    root_.header = std::move(title);
  }

  void add(const HtmlNode& node) {
    if (node.removed) return;
    if (const int level = heading_level(node); level > 0) {
      open(level, one_line(text_of(node)));
    } else if (!node.is_text() && holds_heading(node)) {
      for (const auto* child : node.children) add(*child);
    } else {
      append_block(last().text, node_to_markdown(node, options_));
    }
  }
  const Section& root() const { return root_; }

 private:
  static std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  }
  /// The section that is open: the last one of the last one.
  Section& last() {
    Section* section = &root_;
    while (!section->below.empty()) section = &section->below.back();
    return *section;
  }
  void open(int level, std::string header) {
    Section* above = &root_;
    while (!above->below.empty() && above->below.back().level < level) above = &above->below.back();
    above->below.push_back({level, std::move(header), "", {}});
  }

  const MarkdownOptions& options_;
  Section root_;
};

/// The text of a section with the sub-sections', their headers one level and more below.
std::string whole_text(const Section& section, size_t depth = 1) {
  std::string text = section.text;
  for (const auto& part : section.below) {
    const std::string inner = whole_text(part, depth + 1);
    if (inner.empty()) continue;
    append_block(text, std::string(std::min<size_t>(depth + 1, 6), '#') + " " + part.header);
    append_block(text, inner);
  }
  return text;
}

/// Case and spacing aside.
std::string duplicate_key(const std::string& text) {
  std::string key;
  bool space = false;
  for (const char c : lower_case(text)) {
    const bool white = is_space(c);
    if (!white && space && !key.empty()) key += ' ';
    if (!white) key += c;
    space = white;
  }
  return hash_hex(key);
}

class Segmenter {
 public:
  Segmenter(const Page& page, std::string title, const SegmentOptions& options, PageVerdict& verdict)
      : page_(page), title_(std::move(title)), options_(options), verdict_(verdict) {}

  /// Keeps the section, or else tries those below it.
  void choose(const Section& section, const std::vector<std::string>& path) {
    const std::string text = whole_text(section);
    std::string detail, reason = problem(section.header, text, detail);
    if (reason.empty()) return keep(section.header, path, text);
    auto below = path;
    below.push_back(section.header);
    drop(reason, detail, section.header, text);
    const bool too_short = reason == "text too short";
    for (const auto& part : section.below) {
      if (!too_short) choose(part, below);
    }
  }

  void whole_page(const std::string& text) {
    std::string detail;
    const std::string reason = text_problem(text, detail);
    reason.empty() ? keep(title_, {}, text) : drop(reason, detail, title_, text);
  }

  void drop(const std::string& reason, const std::string& detail, const std::string& header,
            const std::string& text) {
    std::string row = "{";
    field(row, "header", header);
    field(row, "text", text);
    verdict_.dropped.push_back({reason, detail, "", row + "}"});
  }

 private:
  std::string problem(const std::string& header, const std::string& text, std::string& detail) const {
    if (std::string reason = header_problem(header, options_.max_capitals); !reason.empty()) {
      detail = header;
      return reason;
    }
    if (std::string reason = text_problem(text, detail); !reason.empty()) return reason;
    const double repetition = sentence_repetition(text);
    if (repetition <= options_.max_repetition) return "";
    detail = fmt::format("{:.2f}", repetition);
    return "repetitive sentences";
  }

  std::string text_problem(const std::string& text, std::string& detail) const {
    const int64_t characters = unicode::count_characters(text);
    detail = fmt::format("{} characters", characters);
    if (characters < options_.min_characters || characters == 0) return "text too short";
    if (options_.max_characters > 0 && characters > options_.max_characters) return "text too long";
    if (options_.languages.empty()) return "";
    const auto found = detect_language(text);
    const bool wanted = std::find(options_.languages.begin(), options_.languages.end(), found.code) !=
                        options_.languages.end();
    if (wanted && found.confidence >= options_.min_confidence) return "";
    detail = fmt::format("{}, {:.2f}", found.code, found.confidence);
    return "other language";
  }

  static void field(std::string& row, std::string_view key, const std::string& value) {
    if (row.size() > 1) row += ',';
    append_json_string(key, row);
    row += ':';
    append_json_string(value, row);
  }

  void keep(const std::string& header, const std::vector<std::string>& path, const std::string& text) {
    PageVerdict::Made made;
    made.key = duplicate_key(text);
    made.id = hash_hex(header + "\n" + text).substr(0, 16);
    made.row = "{";
    field(made.row, "id", made.id);
    if (!options_.whole_pages) {
      field(made.row, "header", header);
      made.row += ",\"path\":[";
      for (size_t i = 0; i < path.size(); ++i) {
        if (i > 0) made.row += ',';
        append_json_string(path[i], made.row);
      }
      made.row += ']';
    }
    field(made.row, "text", options_.with_header ? header + "\n\n" + text : text);
    field(made.row, "title", title_);
    field(made.row, "language", detect_language(text).code);
    field(made.row, "source", page_.source);
    made.row += '}';
    verdict_.made.push_back(std::move(made));
  }

  const Page& page_;
  std::string title_;
  const SegmentOptions& options_;
  PageVerdict& verdict_;
};

}  // namespace

void segment_page(const Page& page, const SegmentOptions& options, PageVerdict& verdict) try {
  if (!page.problem.empty()) {
    verdict.dropped.push_back({"damaged compressed file", page.problem + "; what stands before is read", "", ""});
  }
  HtmlTree tree(page.text);
  const std::string title = tree.title();
  Segmenter segmenter(page, title, options, verdict);
  const auto parts = find_main_text(tree);
  const MarkdownOptions markdown{options.links, false};
  if (options.whole_pages) {
    std::string text;
    for (const auto* part : parts) append_block(text, node_to_markdown(*part, markdown));
    return segmenter.whole_page(text);
  }
  Outline outline(title, markdown);
  for (const auto* part : parts) outline.add(*part);
  if (outline.root().below.empty() && title.empty())
    return segmenter.drop("no header", "", "", outline.root().text);
  segmenter.choose(outline.root(), {});
} catch (const Error& error) {
  rethrow_unless_of_input(error);
  verdict.dropped.push_back({"nested too deep", error.what(), "", ""});
}

PassReport segment_pages(const PassFiles& files, const SegmentOptions& options) {
  return run_pages("segment", files, RowLayout::lines,
                   [&](const Page& page, PageVerdict& verdict) { segment_page(page, options, verdict); });
}

}  // namespace fettle::data
