#include "data/html/markdown_inline.h"

#include <algorithm>
#include <cctype>

#include "base/white_space.h"

namespace fettle::data {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0;
}

bool has_class(const HtmlNode& node, std::string_view name) {
  const auto classes = node.attribute("class");
  for (size_t at = classes.find(name); at != std::string_view::npos; at = classes.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || is_html_space(classes[at - 1])) && (end == classes.size() || is_html_space(classes[end])))
      return true;
  }
  return false;
}

const HtmlNode* find_annotation(const HtmlNode& node) {
  for (const auto* child : node.children) {
    if (child->text == "annotation" && child->attribute("encoding") == "application/x-tex") return child;
    if (const auto* found = find_annotation(*child)) return found;
  }
  return nullptr;
}

}  // namespace

void InlineText::text(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_html_space(c)) {
      space_ = true;
      continue;
    }
    flush_space();
    const char before = out_.empty() ? ' ' : out_.back(), after = i + 1 < text.size() ? text[i + 1] : ' ';
    const bool inside_word = is_word(before) && is_word(after);
    const bool is_sign =
        c == '\\' || c == '`' || c == '*' || (c == '_' && !inside_word) || c == '[' || c == ']' ||
        (c == '<' && (std::isalpha(static_cast<unsigned char>(after)) != 0 || after == '/' || after == '!'));
    if (is_sign) out_ += '\\';
    out_ += c;
  }
}

void InlineText::raw(std::string_view text) {
  if (text.empty()) return;
  flush_space();
  out_ += text;
}

void InlineText::line_break() {
  if (out_.empty()) return;
  space_ = false;
  while (!out_.empty() && out_.back() == ' ') out_.pop_back();
  out_ += "  \n";
}

std::string InlineText::take() {
  while (!out_.empty() && is_html_space(out_.back())) out_.pop_back();
  return std::move(out_);
}

void InlineText::flush_space() {
  if (space_ && !out_.empty() && !is_html_space(out_.back())) out_ += ' ';
  space_ = false;
}

void raw_text(const HtmlNode& node, std::string& out) {
  if (node.removed) return;
  if (node.is_text()) out += node.text;
  if (node.tag == GUMBO_TAG_BR) out += '\n';
  for (const auto* child : node.children) raw_text(*child, out);
}

const HtmlNode* find_tag(const HtmlNode& node, GumboTag tag) {
  for (const auto* child : node.children) {
    if (child->removed) continue;
    if (child->tag == tag) return child;
    if (const auto* found = find_tag(*child, tag)) return found;
  }
  return nullptr;
}

std::string tex_of(const HtmlNode& node, bool& display) {
  std::string tex;
  if (node.tag == GUMBO_TAG_SCRIPT) {
    const auto type = node.attribute("type");
    if (!type.starts_with("math/tex")) return "";
    display = type.find("mode=display") != std::string_view::npos;
    raw_text(node, tex);
    return trimmed(tex);
  }
  const bool is_math = node.tag == GUMBO_TAG_MATH;
  if (!is_math && !has_class(node, "katex") && !has_class(node, "katex-display") &&
      !has_class(node, "mwe-math-element"))
    return "";
  const auto* math = is_math ? &node : find_tag(node, GUMBO_TAG_MATH);
  display = has_class(node, "katex-display") || (math != nullptr && math->attribute("display") == "block");
  if (const auto* annotation = find_annotation(node)) raw_text(*annotation, tex);
  if (tex.empty() && math != nullptr) tex = math->attribute("alttext");
  return trimmed(tex);
}

std::string trimmed(std::string text) {
  while (!text.empty() && is_html_space(text.back())) text.pop_back();
  size_t begin = 0;
  while (begin < text.size() && is_html_space(text[begin])) ++begin;
  return text.substr(begin);
}

std::string longer_run(std::string_view text, char sign, size_t least) {
  size_t longest = 0, run = 0;
  for (const char c : text) {
    run = c == sign ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return std::string(std::max(least, longest + 1), sign);
}

}  // namespace fettle::data
