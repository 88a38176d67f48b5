#include "data/html/markdown.h"

#include <algorithm>
#include <cctype>

#include "base/white_space.h"
#include "data/html/markdown_inline.h"

namespace fettle::data {
namespace {

std::string indented(std::string_view text, std::string_view first, std::string_view rest) {
  std::string out(first);
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    const bool line_is_empty = i + 1 < text.size() && text[i + 1] == '\n';
    if (text[i] == '\n') out += line_is_empty ? rest.substr(0, rest.find_last_not_of(' ') + 1) : rest;
  }
  return out;
}

class Writer {
 public:
  explicit Writer(const MarkdownOptions& options) : options_(options) {}

  /// The blocks below `node`, with an empty line between them; `tight` (in a list) leaves it out before a
  /// nested list.
  std::string blocks(const HtmlNode& node, bool tight = false) {
    std::string out;
    InlineText run;
    gather(node, run, out, tight);
    end_paragraph(run, out);
    return out;
  }

 private:
  static bool is_skipped(const HtmlNode& node) {
    return node.removed || node.is_hidden() ||
           node.is({GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE, GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE, GUMBO_TAG_HEAD,
                    GUMBO_TAG_SVG, GUMBO_TAG_IFRAME, GUMBO_TAG_OBJECT, GUMBO_TAG_BUTTON, GUMBO_TAG_SELECT,
                    GUMBO_TAG_INPUT, GUMBO_TAG_TEXTAREA});
  }

  static void join(std::string& out, std::string_view block, const char* between = "\n\n") {
    if (block.empty()) return;
    if (!out.empty()) out += between;
    out += block;
  }

  /// A text that would begin a block of another kind gets a backslash.
  static std::string guarded(std::string text) {
    size_t digits = 0;
    while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) != 0) ++digits;
    const auto space_at = [&](size_t at) { return at >= text.size() || is_html_space(text[at]); };
    if (digits > 0 && digits < text.size() && (text[digits] == '.' || text[digits] == ')') &&
        space_at(digits + 1)) {
      text.insert(digits, "\\");
    } else if (!text.empty() && (text[0] == '>' || ((text[0] == '-' || text[0] == '+') && space_at(1)) ||
                                 (text[0] == '#' && space_at(text.find_first_not_of('#'))))) {
      text.insert(0, "\\");
    }
    return text;
  }

  void end_paragraph(InlineText& run, std::string& out) {
    join(out, guarded(run.take()));
    run = InlineText();
  }

  /// Goes through children; blocks go to `out`, the rest to the paragraph that is open.
  void gather(const HtmlNode& node, InlineText& run, std::string& out, bool tight) {
    for (const auto* child : node.children) {
      if (child->is_text()) {
        if (!child->removed) run.text(child->text);
        continue;
      }
      bool display = false;
      const std::string tex = child->removed ? "" : tex_of(*child, display);
      if (!tex.empty() && display) {
        end_paragraph(run, out);
        join(out, "$$\n" + tex + "\n$$");
      } else if (!tex.empty()) {
        run.raw("$" + tex + "$");
      } else if (is_skipped(*child)) {
        continue;
      } else if (is_block(child->tag)) {
        end_paragraph(run, out);
        const bool is_list = child->is({GUMBO_TAG_UL, GUMBO_TAG_OL});
        join(out, block(*child), tight && is_list ? "\n" : "\n\n");
      } else if (holds_block(*child)) {
        gather(*child, run, out, tight);
      } else {
        inline_element(*child, run);
      }
    }
  }

  static bool holds_block(const HtmlNode& node) {
    return std::any_of(node.children.begin(), node.children.end(), [](const HtmlNode* child) {
      return !child->is_text() && !child->removed && (is_block(child->tag) || holds_block(*child));
    });
  }

  std::string block(const HtmlNode& node) {
    switch (node.tag) {
      case GUMBO_TAG_H1:
      case GUMBO_TAG_H2:
      case GUMBO_TAG_H3:
      case GUMBO_TAG_H4:
      case GUMBO_TAG_H5:
      case GUMBO_TAG_H6: {
        const std::string text = one_line(node);
        return text.empty() ? "" : std::string(static_cast<size_t>(node.text[1] - '0'), '#') + " " + text;
      }
      case GUMBO_TAG_PRE:
        return code_block(node);
      case GUMBO_TAG_HR:
        return "---";
      case GUMBO_TAG_BLOCKQUOTE: {
        const std::string inner = blocks(node);
        return inner.empty() ? "" : indented(inner, "> ", "> ");
      }
      case GUMBO_TAG_UL:
      case GUMBO_TAG_OL:
        return list(node);
      case GUMBO_TAG_TABLE:
        return table(node);
      case GUMBO_TAG_DT: {
        const std::string term = one_line(node);
        return term.empty() ? "" : "**" + term + "**";
      }
      default:
        return blocks(node);
    }
  }

  std::string one_line(const HtmlNode& node) {
    InlineText run;
    inline_children(node, run);
    std::string text = run.take();
    for (size_t at = 0; (at = text.find("  \n", at)) != std::string::npos;) text.replace(at, 3, " ");
    return text;
  }

  void inline_children(const HtmlNode& node, InlineText& run) {
    for (const auto* child : node.children) {
      if (child->is_text()) {
        if (!child->removed) run.text(child->text);
        continue;
      }
      bool display = false;
      const std::string tex = child->removed ? "" : tex_of(*child, display);
      if (!tex.empty()) {
        run.raw("$" + tex + "$");
      } else if (!is_skipped(*child)) {
        if (is_block(child->tag)) run.space();
        inline_element(*child, run);
        if (is_block(child->tag)) run.space();
      }
    }
  }

  void marked(const HtmlNode& node, std::string_view sign, InlineText& run) {
    InlineText inner;
    inline_children(node, inner);
    const bool space_after = inner.has_trailing_space();
    std::string first;
    raw_text(node, first);
    const std::string text = inner.take();
    if (!first.empty() && is_html_space(first.front())) run.space();
    if (!text.empty()) run.raw(std::string(sign) + text + std::string(sign));
    if (space_after) run.space();
  }

  void inline_element(const HtmlNode& node, InlineText& run) {
    switch (node.tag) {
      case GUMBO_TAG_B:
      case GUMBO_TAG_STRONG:
        return marked(node, "**", run);
      case GUMBO_TAG_I:
      case GUMBO_TAG_EM:
        return marked(node, "*", run);
      case GUMBO_TAG_S:
      case GUMBO_TAG_STRIKE:
      case GUMBO_TAG_DEL:
        return marked(node, "~~", run);
      case GUMBO_TAG_CODE:
      case GUMBO_TAG_KBD:
      case GUMBO_TAG_SAMP:
      case GUMBO_TAG_TT:
        return code_span(node, run);
      case GUMBO_TAG_BR:
        return run.line_break();
      case GUMBO_TAG_A:
        return link(node, run);
      case GUMBO_TAG_IMG:
        return image(node, run);
      default:
        return inline_children(node, run);
    }
  }

  void code_span(const HtmlNode& node, InlineText& run) {
    std::string text;
    raw_text(node, text);
    std::replace(text.begin(), text.end(), '\n', ' ');
    text = trimmed(text);
    if (text.empty()) return;
    const std::string tick = longer_run(text, '`', text.find('`') == std::string::npos ? 1 : 2);
    const char* space = text.front() == '`' || text.back() == '`' ? " " : "";
    run.raw(tick + space + text + space + tick);
  }

  /// An address as it may stand between ( and ).
  static std::string address(std::string_view text) {
    std::string out;
    for (const char c : trimmed(std::string(text))) {
      if (is_html_space(c)) {
        out += "%20";
      } else if (c == '(' || c == ')') {
        out += c == '(' ? "%28" : "%29";
      } else {
        out += c;
      }
    }
    return out;
  }

  void link(const HtmlNode& node, InlineText& run) {
    const auto href = node.attribute("href");
    const std::string text = one_line(node);
    if (!options_.links || href.empty() || text.empty() || href.starts_with('#') ||
        href.starts_with("javascript:")) {
      return inline_children(node, run);
    }
    run.raw("[" + text + "](" + address(href) + ")");
  }

  void image(const HtmlNode& node, InlineText& run) {
    const auto source = node.attribute("src");
    if (!options_.images || source.empty() || source.starts_with("data:")) return;
    InlineText alt;
    alt.text(node.attribute("alt"));
    run.raw("![" + alt.take() + "](" + address(source) + ")");
  }

  static std::string language_of(const HtmlNode& node) {
    for (const std::string_view prefix : {"language-", "lang-", "highlight-source-", "brush:"}) {
      const auto classes = node.attribute("class");
      const size_t at = classes.find(prefix);
      if (at == std::string_view::npos) continue;
      size_t begin = at + prefix.size(), end = 0;
      while (begin < classes.size() && is_html_space(classes[begin])) ++begin;
      end = begin;
      while (end < classes.size() && !is_html_space(classes[end]) && classes[end] != ';') ++end;
      return std::string(classes.substr(begin, end - begin));
    }
    return "";
  }

  static std::string code_block(const HtmlNode& node) {
    std::string code, language = language_of(node);
    raw_text(node, code);
    if (const auto* inner = find_tag(node, GUMBO_TAG_CODE); inner != nullptr && language.empty())
      language = language_of(*inner);
    if (language.empty() && node.parent != nullptr) language = language_of(*node.parent);
    while (!code.empty() && is_html_space(code.back())) code.pop_back();
    while (code.starts_with('\n')) code.erase(0, 1);
    if (code.empty()) return "";
    const std::string fence = longer_run(code, '`', 3);
    return fence + language + "\n" + code + "\n" + fence;
  }

  std::string list(const HtmlNode& node) {
    std::string out;
    const auto start = node.attribute("start");
    int64_t number = 1;
    if (!start.empty() && start.size() < 9 &&
        std::all_of(start.begin(), start.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) {
      number = std::stoll(std::string(start));
    }
    bool loose = false;
    std::vector<std::string> items;
    for (const auto* child : node.children) {
      if (child->is_text() || is_skipped(*child)) continue;
      // A list right below a list belongs to the item above it.
      const bool belongs_above = child->is({GUMBO_TAG_UL, GUMBO_TAG_OL}) && !items.empty();
      const std::string text = child->tag == GUMBO_TAG_LI ? blocks(*child, true) : block(*child);
      if (text.empty()) continue;
      if (belongs_above) {
        items.back() += "\n" + text;
      } else {
        items.push_back(text);
      }
      loose = loose || text.find("\n\n") != std::string::npos;
    }
    for (const auto& item : items) {
      const std::string marker = node.tag == GUMBO_TAG_OL ? std::to_string(number++) + ". " : "- ";
      join(out, indented(item, marker, std::string(marker.size(), ' ')), loose ? "\n\n" : "\n");
    }
    return out;
  }

  static void collect_rows(const HtmlNode& node, std::vector<const HtmlNode*>& rows) {
    for (const auto* child : node.children) {
      if (child->removed) continue;
      if (child->tag == GUMBO_TAG_TR) rows.push_back(child);
      if (child->is({GUMBO_TAG_THEAD, GUMBO_TAG_TBODY, GUMBO_TAG_TFOOT})) collect_rows(*child, rows);
    }
  }

  /// A table that only places things on the page is no table: its cells follow one another.
  static bool is_layout(const HtmlNode& node, const std::vector<const HtmlNode*>& rows) {
    if (node.attribute("role") == "presentation" || find_tag(node, GUMBO_TAG_TABLE) != nullptr) return true;
    size_t widest = 0;
    for (const auto* row : rows) widest = std::max(widest, cells_of(*row).size());
    return widest < 2 && find_tag(node, GUMBO_TAG_TH) == nullptr;
  }

  static std::vector<const HtmlNode*> cells_of(const HtmlNode& row) {
    std::vector<const HtmlNode*> cells;
    for (const auto* child : row.children) {
      if (!child->removed && child->is({GUMBO_TAG_TD, GUMBO_TAG_TH})) cells.push_back(child);
    }
    return cells;
  }

  std::string cell(const HtmlNode& node) {
    std::string text = one_line(node);
    for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    return text;
  }

  std::string table(const HtmlNode& node) {
    std::vector<const HtmlNode*> rows;
    collect_rows(node, rows);
    if (rows.empty() || is_layout(node, rows)) return blocks(node);
    size_t columns = 0;
    for (const auto* row : rows) columns = std::max(columns, cells_of(*row).size());
    if (columns == 0) return "";
    const auto line = [&](const std::vector<std::string>& cells) {
      std::string text = "|";
      for (size_t i = 0; i < columns; ++i) text += " " + (i < cells.size() ? cells[i] : "") + " |";
      return text;
    };
    const auto first = cells_of(*rows[0]);
    const bool has_head = std::all_of(first.begin(), first.end(),
                                      [](const HtmlNode* head) { return head->tag == GUMBO_TAG_TH; });
    std::string out;
    if (const auto* caption = find_tag(node, GUMBO_TAG_CAPTION)) out = one_line(*caption);
    if (!has_head) join(out, line({}) + "\n" + line(std::vector<std::string>(columns, "---")));
    for (size_t i = 0; i < rows.size(); ++i) {
      std::vector<std::string> cells;
      for (const auto* part : cells_of(*rows[i])) cells.push_back(cell(*part));
      join(out, line(cells), i == 0 && has_head ? "\n\n" : "\n");
      if (i == 0 && has_head) join(out, line(std::vector<std::string>(columns, "---")), "\n");
    }
    return out;
  }

  const MarkdownOptions& options_;
};

}  // namespace

std::string node_to_markdown(const HtmlNode& node, const MarkdownOptions& options) {
  HtmlNode holder;
  holder.tag = GUMBO_TAG_DIV;
  holder.children = {const_cast<HtmlNode*>(&node)};
  return Writer(options).blocks(holder);
}

std::string html_to_markdown(std::string_view html, const MarkdownOptions& options) {
  HtmlTree tree(html);
  return node_to_markdown(*tree.body(), options);
}

}  // namespace fettle::data
