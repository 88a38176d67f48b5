#include "data/openchat/sharegpt_text.h"

#include <algorithm>

#include "data/openchat/python_text.h"
#include "data/openchat/soup_markdown.h"

namespace fettle::data {
namespace {

constexpr std::string_view fence = "```", button = "Copy code";
constexpr size_t npos = std::string_view::npos;

/// Takes away every `opening` up to the next > on its line: <div.*?>, so also <divide>.
std::string without_opening_tags(std::string_view html, std::string_view opening) {
  std::string out;
  out.reserve(html.size());
  size_t at = 0;
  for (size_t tag = html.find(opening); tag != npos; tag = html.find(opening, tag)) {
    const size_t end = html.find_first_of(">\n", tag + opening.size());
    if (end == npos) break;
    if (html[end] == '\n') {
      tag = end;
      continue;
    }
    out += html.substr(at, tag - at);
    at = tag = end + 1;
  }
  return out.append(html.substr(at));
}

size_t skip_spaces(std::string_view text, size_t at) {
  while (const size_t length = python_space(text, at)) at += length;
  return at;
}

/// A code block with its button: ```\s*(.*?)(?:Copy code)+(.+?)\s*?```
struct Block {
  size_t begin = npos, end = 0;
  std::string_view language, code;
};

/// The block that opens at `open`; `begin` is npos when there is no button or no end.
Block block_at(std::string_view text, size_t open) {
  const size_t language = skip_spaces(text, open + fence.size()), first = text.find(button, language);
  if (first == npos) return {};
  size_t code = first + button.size();
  while (text.substr(code).starts_with(button)) code += button.size();
  // The block holds at least one character; one made of buttons alone keeps the last ones as its code.
  for (; code > first; code -= button.size()) {
    size_t one = code + 1;
    while (one < text.size() && (text[one] & 0xC0) == 0x80) ++one;
    const size_t close = code < text.size() ? text.find(fence, one) : npos;
    if (close == npos) continue;
    size_t end = close;
    for (size_t length;
         end > one && (length = python_space_before(text.substr(0, end), end)) > 0 && end - length >= one;)
      end -= length;
    return {open, close + fence.size(), text.substr(language, first - language),
            text.substr(code, end - code)};
  }
  return {};
}

std::string rewrite_blocks(std::string_view text, CodeBlocks blocks) {
  std::string out;
  size_t at = 0;
  for (size_t open = text.find(fence); open != npos; open = text.find(fence, open)) {
    const Block block = block_at(text, open);
    if (block.begin == npos) break;
    const size_t close = text.find(fence, open + fence.size());
    if (blocks == CodeBlocks::repaired &&
        close < static_cast<size_t>(block.language.data() - text.data()) + block.language.size()) {
      open = close + fence.size();
      continue;
    }
    out += text.substr(at, open - at);
    for (const auto part :
         {fence, block.language, std::string_view("\n"), block.code, std::string_view("\n"), fence})
      out += part;
    at = open = block.end;
  }
  return out.append(text.substr(at));
}

/// Where the digits at `at` end; `at` itself when there are none.
size_t digits_end(std::string_view text, size_t at) {
  while (const size_t length = python_digit(text, at)) at += length;
  return at;
}

/// \d+ between \d+ at `at`; `none` when it is not there.
size_t two_numbers_end(std::string_view text, size_t at, std::string_view between) {
  const size_t first = digits_end(text, at);
  if (first == at || !text.substr(first).starts_with(between)) return npos;
  const size_t second = digits_end(text, first + between.size());
  return second == first + between.size() ? npos : second;
}

/// Copy\d+ chars / \d+ words
std::string without_counts(std::string_view text) {
  constexpr std::string_view word = "Copy", last = " words";
  std::string out;
  size_t at = 0;
  for (size_t copy = text.find(word); copy != npos; copy = text.find(word, copy)) {
    const size_t end = two_numbers_end(text, copy + word.size(), " chars / ");
    if (end == npos || !text.substr(end).starts_with(last)) {
      copy += word.size();
      continue;
    }
    out += text.substr(at, copy - at);
    at = copy = end + last.size();
  }
  return out.append(text.substr(at));
}

/// ```(.*?)Copy code\s*``` on one line
std::string without_empty_blocks(std::string_view text) {
  std::string out;
  size_t at = 0;
  for (size_t open = text.find(fence); open != npos;) {
    const size_t line_end = std::min(text.find('\n', open + fence.size()), text.size());
    size_t end = npos;
    for (size_t found = text.find(button, open + fence.size()); found < line_end && end == npos;
         found = text.find(button, found + 1)) {
      const size_t close = skip_spaces(text, found + button.size());
      if (text.substr(close).starts_with(fence)) end = close + fence.size();
    }
    if (end == npos) {
      open = text.find(fence, open + 1);
      continue;
    }
    out += text.substr(at, open - at);
    at = end;
    open = text.find(fence, end);
  }
  return out.append(text.substr(at));
}

/// One pass: what three new lines leave is not looked at again.
std::string with_fewer_new_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find("\n\n\n", at), text.size());
    out += text.substr(at, found - at);
    if (found < text.size()) out += '\n';
    at = found + 3;
  }
  return out;
}

}  // namespace

std::string sharegpt_to_markdown(std::string_view html, CodeBlocks blocks) {
  const std::string bare = without_opening_tags(without_opening_tags(html, "<div"), "<span");
  const std::string markdown = soup_to_markdown(bare);
  std::string text = rewrite_blocks(python_strip(markdown), blocks);
  if (const size_t counter = two_numbers_end(text, 0, " / "); counter != npos) text.erase(0, counter);
  text = with_fewer_new_lines(without_empty_blocks(without_counts(text)));
  return std::string(python_strip(text));
}

}  // namespace fettle::data
