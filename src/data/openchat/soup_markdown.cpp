#include "data/openchat/soup_markdown.h"

#include <array>

#include "data/openchat/python_text.h"
#include "data/openchat/tag_soup.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

using Kind = SoupNode::Kind;

bool is_nested(SoupName name) {
  using enum SoupName;
  return name == ol || name == ul || name == li || name == table || name == thead || name == tbody ||
         name == tfoot || name == tr || name == td || name == th;
}
bool is_list(SoupName name) {
  return name == SoupName::ul || name == SoupName::ol;
}

/// Writes the tree into one text: a tag first writes its children behind `mark`, then changes what stands
/// there.
class Writer {
 public:
  explicit Writer(std::string_view html) : soup_(html) { out_.reserve(html.size() + html.size() / 8); }
  std::string run() {
    children(0, false);
    return std::move(out_);
  }

 private:
  const SoupNode& node(uint32_t index) const { return soup_.nodes[index]; }
  /// Python takes a missing sibling and an empty text alike.
  bool is_something(uint32_t index) const {
    return index != 0 && (node(index).kind == Kind::tag || !node(index).text.empty());
  }
  bool is_nested_tag(uint32_t index) const {
    return index != 0 && node(index).kind == Kind::tag && is_nested(node(index).name);
  }
  std::string_view tail(size_t mark) const { return std::string_view(out_).substr(mark); }

  void children(uint32_t parent, bool as_inline) {
    uint32_t place = 0;
    for (uint32_t child = node(parent).first; child != 0; child = node(child).next, ++place) {
      if (node(child).kind == Kind::text) {
        text(child);
      } else if (node(child).kind == Kind::tag) {
        tag(child, as_inline, place);
      }
    }
  }

  /// Space between the parts of lists and tables goes. A removed text moves the rest up under Python's feet,
  /// so that it looks at the one after the next.
  void drop_blank_texts(uint32_t parent) {
    for (uint32_t child = node(parent).first; child != 0;) {
      const auto& it = node(child);
      const uint32_t next = it.next;
      const bool at_edge = !is_something(it.previous) || !is_something(next) || is_nested_tag(it.previous) ||
                           is_nested_tag(next);
      if (it.kind == Kind::tag || !at_edge || !python_strip(it.text).empty()) {
        child = next;
        continue;
      }
      soup_.remove(child);
      child = next != 0 ? node(next).next : 0;
    }
  }

  void text(uint32_t index) {
    const auto& it = node(index);
    const auto& parent = node(it.parent);
    const bool in_code = parent.name == SoupName::code;
    const bool keeps_spaces =
        parent.name == SoupName::pre || (in_code && node(parent.parent).name == SoupName::pre);
    const bool escapes = !in_code && parent.name != SoupName::pre;
    const size_t mark = out_.size();
    for (size_t at = 0; at < it.text.size();) {
      const char c = it.text[at++];
      if (!keeps_spaces && (c == ' ' || c == '\t')) {
        while (at < it.text.size() && (it.text[at] == ' ' || it.text[at] == '\t')) ++at;
        out_ += ' ';
        continue;
      }
      if (escapes && (c == '*' || c == '_')) out_ += '\\';
      out_ += c;
    }
    const bool before_list = it.next != 0 && node(it.next).kind == Kind::tag && is_list(node(it.next).name);
    if (parent.name == SoupName::li && (!is_something(it.next) || before_list)) {
      out_.resize(mark + python_rstrip(tail(mark)).size());
    }
  }

  void tag(uint32_t index, bool as_inline, uint32_t place) {
    const auto name = node(index).name;
    const bool is_cell = name == SoupName::td || name == SoupName::th;
    const bool is_title = name == SoupName::heading && node(index).text.size() > 1 &&
                          node(index).text[1] >= '1' && node(index).text[1] <= '6';
    if (is_nested(name)) drop_blank_texts(index);
    const size_t mark = out_.size();
    children(index, as_inline || is_cell || is_title);
    convert(index, as_inline, place, mark);
  }

  void convert(uint32_t index, bool as_inline, uint32_t place, size_t mark) {
    switch (node(index).name) {
      case SoupName::a:
        return link(index, mark);
      case SoupName::b:
        return wrap("**", mark);
      case SoupName::blockquote:
        if (!as_inline) quote(mark);
        return;
      case SoupName::br:
        out_.resize(mark);
        if (!as_inline) out_ += "  \n";
        return;
      case SoupName::code:
      case SoupName::kbd:
        if (node(node(index).parent).name != SoupName::pre) wrap("`", mark);
        return;
      case SoupName::del:
        return wrap("~~", mark);
      case SoupName::em:
        return wrap("*", mark);
      case SoupName::failing:
        throw SoupError("markdownify takes the tag's name for a method of its own");
      case SoupName::heading:
        if (!as_inline) heading(index, mark);
        return;
      case SoupName::hr:
        out_.resize(mark);
        out_ += "\n\n---\n\n";
        return;
      case SoupName::img:
        return image(index, as_inline, mark);
      case SoupName::li:
        return item(index, place, mark);
      case SoupName::list:
      case SoupName::ol:
      case SoupName::ul:
        return list(index, mark);
      case SoupName::p:
        if (!as_inline && out_.size() > mark) out_ += "\n\n";
        return;
      case SoupName::pre:
        if (out_.size() == mark) return;
        out_.insert(mark, "\n```\n");
        out_ += "\n```\n";
        return;
      case SoupName::sub:
        return wrap("", mark);
      case SoupName::table:
        out_.insert(mark, "\n\n");
        out_ += '\n';
        return;
      case SoupName::td:
      case SoupName::th:
        out_.insert(mark, " ");
        out_ += " |";
        return;
      case SoupName::tr:
        return row(index, mark);
      default:
        return;
    }
  }

  /// Takes the text behind `mark` away, without the space around it; one blank on either side is handed over
  /// apart.
  std::string take(size_t mark, std::string_view& before, std::string_view& after) {
    before = out_.size() > mark && out_[mark] == ' ' ? " " : "";
    after = out_.size() > mark && out_.back() == ' ' ? " " : "";
    std::string inner(python_strip(tail(mark)));
    out_.resize(mark);
    return inner;
  }

  void wrap(std::string_view sign, size_t mark) {
    std::string_view before, after;
    const std::string inner = take(mark, before, after);
    if (inner.empty()) return;
    for (const auto part : {before, sign, std::string_view(inner), sign, after}) out_ += part;
  }

  static std::string title_part(const std::string_view* title) {
    if (title == nullptr || title->empty()) return "";
    std::string text = " \"";
    for (const char c : *title) {
      if (c == '"') text += '\\';
      text += c;
    }
    return text + '"';
  }

  static std::string without_escaped_underscores(std::string text) {
    for (size_t at = 0; (at = text.find("\\_", at)) != std::string::npos; ++at) text.erase(at, 1);
    return text;
  }

  void link(uint32_t index, size_t mark) {
    std::string_view before, after;
    const std::string inner = take(mark, before, after);
    if (inner.empty()) return;
    const auto* href = soup_.attribute(index, "href");
    const std::string title = title_part(soup_.attribute(index, "title"));
    if (href != nullptr && title.empty() && without_escaped_underscores(inner) == *href) {
      out_ += '<';
      out_ += *href;
      out_ += '>';
    } else if (href == nullptr || href->empty()) {
      out_ += inner;
    } else {
      for (const auto part : {before, std::string_view("["), std::string_view(inner), std::string_view("]("),
                              *href, std::string_view(title), std::string_view(")"), after}) {
        out_ += part;
      }
    }
  }

  void image(uint32_t index, bool as_inline, size_t mark) {
    const auto value = [&](const char* name) {
      const auto* found = soup_.attribute(index, name);
      return found == nullptr ? std::string_view{} : *found;
    };
    out_.resize(mark);
    if (as_inline) {
      out_ += value("alt");
      return;
    }
    out_ += "![";
    out_ += value("alt");
    out_ += "](";
    out_ += value("src");
    out_ += title_part(soup_.attribute(index, "title"));
    out_ += ')';
  }

  /// `sign` at the beginning of every line, also of an empty one behind the last new line.
  std::string begin_lines(std::string_view text, std::string_view sign) const {
    std::string lines(sign);
    for (const char c : text) {
      lines += c;
      if (c == '\n') lines += sign;
    }
    return lines;
  }

  void quote(size_t mark) {
    if (out_.size() == mark) return;
    const std::string lines = begin_lines(tail(mark), "> ");
    out_.resize(mark);
    out_ += '\n';
    out_ += lines;
    out_ += "\n\n";
  }

  void heading(uint32_t index, size_t mark) {
    const int32_t level = node(index).level;
    out_.resize(mark + python_rstrip(tail(mark)).size());
    if (level > 2) {
      out_.insert(mark, std::string(static_cast<size_t>(level), '#') + " ");
      out_ += "\n\n";
    } else if (out_.size() > mark) {
      const auto width = static_cast<size_t>(unicode::count_characters(tail(mark)));
      out_ += '\n';
      out_.append(width, level == 1 ? '=' : '-');
      out_ += "\n\n";
    }
  }

  void list(uint32_t index, size_t mark) {
    for (uint32_t up = index; up != 0; up = node(up).parent) {
      if (node(up).name != SoupName::li) continue;
      const std::string lines = out_.size() == mark ? "" : begin_lines(tail(mark), "\t");
      out_.resize(mark);
      out_ += '\n';
      out_ += python_rstrip(lines);
      return;
    }
    const uint32_t next = node(index).next;
    if (is_something(next) && !(node(next).kind == Kind::tag && is_list(node(next).name))) out_ += '\n';
  }

  std::string bullet(uint32_t index, uint32_t place) const {
    const uint32_t parent = node(index).parent;
    if (node(parent).name == SoupName::ol) {
      const auto* start = soup_.attribute(parent, "start");
      if (start == nullptr || start->empty()) return std::to_string(place + 1) + ". ";
      const auto number = python_int_plus(*start, place);
      if (!number) throw SoupError("a list starts at what is no number");
      return *number + ". ";
    }
    constexpr std::array<const char*, 3> signs{"* ", "+ ", "- "};
    size_t depth = 2;  // without a list, Python counts from the last sign
    for (uint32_t up = index; up != 0; up = node(up).parent) depth += node(up).name == SoupName::ul;
    return signs[depth % signs.size()];
  }

  void item(uint32_t index, uint32_t place, size_t mark) {
    std::string_view before, after;
    const std::string inner = take(mark, before, after);
    out_ += bullet(index, place);
    out_ += inner;
    out_ += '\n';
  }

  void row(uint32_t index, size_t mark) {
    size_t cells = 0;
    bool only_heads = true;
    for (uint32_t at = node(index).first; at != 0; at = following(at, index)) {
      const auto name = node(at).name;
      cells += name == SoupName::td || name == SoupName::th;
      only_heads = only_heads && name != SoupName::td;
    }
    const auto line = [&](std::string_view cell) {
      std::string text = "| ";
      for (size_t i = 0; i < cells; ++i) {
        if (i > 0) text += " | ";
        text += cell;
      }
      return text + " |\n";
    };
    const auto& it = node(index);
    const bool is_first = !is_something(it.previous);
    const auto& parent = node(it.parent);
    const bool in_first_body = parent.name == SoupName::tbody && !is_something(parent.previous);
    std::string above = "|";
    if (!only_heads && is_first && (parent.name == SoupName::table || in_first_body))
      above = line("") + line("---") + "|";
    out_.insert(mark, above);
    out_ += '\n';
    if (only_heads && is_first) out_ += line("---");
  }

  /// The next node of the tree in document order, inside of `root`; 0 behind the last.
  uint32_t following(uint32_t at, uint32_t root) const {
    if (node(at).first != 0) return node(at).first;
    while (at != root && node(at).next == 0) at = node(at).parent;
    return at == root ? 0 : node(at).next;
  }

  TagSoup soup_;
  std::string out_;
};

}  // namespace

std::string soup_to_markdown(std::string_view html) {
  return Writer(html).run();
}

}  // namespace fettle::data
