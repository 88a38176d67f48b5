#include "data/openchat/soup_reader.h"

#include <algorithm>
#include <cstring>

#include "data/html/entities.h"
#include "data/openchat/python_text.h"
#include "data/openchat/tag_soup.h"
#include "data/signals/phrases.h"

namespace fettle::data {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_number(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_number(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool ends_tag_name(char c) {
  return c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == ' ' || c == '/' || c == '>' || c == '\0';
}

/// Without a case; `text` in lower case. The long s is an s to Python.
size_t match_word(std::string_view html, size_t at, std::string_view text) {
  for (const char c : text) {
    if (c == 's' && html.substr(at).starts_with("\xC5\xBF")) {
      at += 2;
    } else if (at < html.size() && (is_letter(html[at]) ? html[at] | 0x20 : html[at]) == c) {
      ++at;
    } else {
      return std::string_view::npos;
    }
  }
  return at;
}

/// Windows-1252 from 0x80; 0 where it has no character.
constexpr uint16_t windows[32] = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                  0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
                                  0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                  0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

/// The number that digits say, at most 0x110000. Python's int() refuses long decimal ones.
uint32_t number_of(std::string_view digits, uint32_t base) {
  constexpr size_t most_digits = 4300;
  if (base == 10 && digits.size() > most_digits)
    throw SoupError("a character reference with too many digits");
  uint32_t number = 0;
  for (const char c : digits) {
    const int value = is_number(c) ? c - '0' : (c | 0x20) - 'a' + 10;
    number = std::min<uint32_t>(number * base + static_cast<uint32_t>(value), 0x110000);
  }
  return number;
}

bool is_noncharacter(uint32_t point) {
  return (point >= 1 && point <= 8) || (point >= 0xE && point <= 0x1F) || (point >= 0x7F && point <= 0x9F) ||
         point == 0xB || (point >= 0xFDD0 && point <= 0xFDEF) || (point & 0xFFFE) == 0xFFFE;
}

void append_unescaped_number(std::string& out, uint32_t point) {
  if (point >= 0x80 && point < 0xA0) {
    append_code_point(out, windows[point - 0x80] != 0 ? windows[point - 0x80] : point);
  } else if (point == 0 || (point >= 0xD800 && point <= 0xDFFF) || point > 0x10FFFF) {
    append_code_point(out, 0xFFFD);
  } else if (point == 0xD || !is_noncharacter(point)) {
    append_code_point(out, point);
  }
}

/// A name of at most 32 characters and its semicolon, from after the &.
size_t reference_name_end(std::string_view text, size_t at) {
  size_t characters = 0;
  while (at < text.size() && std::strchr("\t\n\f <&#;", text[at]) == nullptr) {
    const bool begins = (text[at] & 0xC0) != 0x80;
    if (begins && ++characters > 32) break;
    ++at;
  }
  return characters > 0 && at < text.size() && text[at] == ';' ? at + 1 : at;
}

void append_unescaped_name(std::string& out, std::string_view name) {
  if (const auto whole = html_entity(name); !whole.empty()) {
    out += whole;
    return;
  }
  for (size_t length = name.size() - 1; length > 1; --length) {
    if (const auto known = html_entity(name.substr(0, length)); !known.empty()) {
      out += known;
      out += name.substr(length);
      return;
    }
  }
  out += '&';
  out += name;
}

}  // namespace

std::string python_unescape(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t mark = text.find('&', at);
    out += text.substr(at, mark - at);
    if (mark == std::string_view::npos) break;
    at = mark + 1;
    const bool number = at < text.size() && text[at] == '#';
    if (number) {
      const bool hex = at + 1 < text.size() && (text[at + 1] | 0x20) == 'x';
      const size_t first = at + (hex ? 2 : 1);
      size_t end = first;
      while (end < text.size() && (hex ? is_hex(text[end]) : is_number(text[end]))) ++end;
      if (end == first) {
        out += '&';
        continue;
      }
      append_unescaped_number(out, number_of(text.substr(first, end - first), hex ? 16 : 10));
      at = end + (end < text.size() && text[end] == ';' ? 1 : 0);
      continue;
    }
    const size_t end = reference_name_end(text, at);
    if (end == at) {
      out += '&';
    } else {
      append_unescaped_name(out, text.substr(at, end - at));
    }
    at = end;
  }
  return out;
}

size_t SoupScanner::skip_spaces(size_t place) const {
  while (const size_t length = python_space(html_, place)) place += length;
  return place;
}

/// (?:\s|/(?!>))*
size_t SoupScanner::skip_spaces_and_slashes(size_t place) const {
  for (;;) {
    const size_t length = python_space(html_, place);
    if (length == 0 && !(place < html_.size() && html_[place] == '/' && at(place + 1) != '>')) return place;
    place += std::max<size_t>(length, 1);
  }
}

size_t SoupScanner::name_end(size_t place) const {
  while (place < html_.size() && !ends_tag_name(html_[place])) ++place;
  return place;
}

/// Where the attribute name that begins at `place` ends; `place` itself when none does: it must follow a
/// space, a quote or a slash.
size_t SoupScanner::attribute_name_end(size_t place) const {
  const char before = html_[place - 1];
  if (before != '\'' && before != '"' && before != '/' && python_space_before(html_, place) == 0)
    return place;
  size_t end = place;
  while (end < html_.size() && html_[end] != '/' && html_[end] != '>' &&
         (html_[end] != '=' || end == place) && python_space(html_, end) == 0) {
    ++end;
  }
  return end;
}

/// \s*=+\s*('[^']*'|"[^"]*"|(?!['"])[^>\s]*), with what a search engine that goes back makes of an open
/// quote: a value that ends before it, or that begins with the last of several equal signs.
bool SoupScanner::attribute_value(size_t place, Value& value) const {
  const size_t sign = skip_spaces(place);
  size_t signs_end = sign;
  while (at(signs_end) == '=' && signs_end < html_.size()) ++signs_end;
  if (signs_end == sign) return false;
  size_t begin = skip_spaces(signs_end);
  const char quote = at(begin);
  if (quote == '\'' || quote == '"') {
    const size_t end = html_.find(quote, begin + 1);
    if (end != none) {
      value = {begin + 1, end, end + 1, true};
      return true;
    }
    if (begin > signs_end) {
      const size_t last = begin - python_space_before(html_, begin);
      value = {last, last, last, false};
      return true;
    }
    if (signs_end - sign < 2) return false;
    begin = signs_end - 1;
  }
  size_t end = begin;
  while (end < html_.size() && html_[end] != '>' && python_space(html_, end) == 0) ++end;
  value = {begin, end, end, false};
  return true;
}

size_t SoupScanner::end_of_start_tag(size_t place) const {
  size_t end = name_end(place + 2);
  while (end < html_.size() && (html_[end] == '/' || python_space(html_, end) > 0)) {
    end += std::max<size_t>(python_space(html_, end), 1);
  }
  for (;;) {
    const size_t name = attribute_name_end(end);
    if (name == end) break;
    Value value;
    end = skip_spaces_and_slashes(attribute_value(name, value) ? skip_spaces(value.after) : name);
  }
  end = skip_spaces(end);
  if (end >= html_.size()) return none;
  if (html_[end] == '>') return end + 1;
  if (html_[end] == '/') return at(end + 1) == '>' ? end + 2 : none;
  return is_letter(html_[end]) || html_[end] == '=' ? none : end;
}

size_t SoupScanner::start_tag(size_t place) {
  const size_t end = end_of_start_tag(place);
  if (end == none) return none;
  const size_t after_name = name_end(place + 1);
  const auto name = slice(place + 1, after_name);
  size_t at_attribute = skip_spaces_and_slashes(after_name);
  SoupEvents::Attributes attributes;
  while (at_attribute < end) {
    const size_t attribute_end = attribute_name_end(at_attribute);
    if (attribute_end == at_attribute) break;
    Value value;
    const bool has_value = attribute_value(attribute_end, value);
    attributes.emplace_back(slice(at_attribute, attribute_end),
                            has_value ? slice(value.begin, value.end) : std::string_view{});
    at_attribute = skip_spaces_and_slashes(has_value ? value.after : attribute_end);
  }
  const auto rest = at_attribute < end ? python_strip(slice(at_attribute, end)) : std::string_view{};
  if (rest != ">" && rest != "/>") {
    events_.data(slice(place, end));
    return end;
  }
  const bool self_closing = rest == "/>";
  events_.start_tag(name, attributes, self_closing);
  if (!self_closing && (name.size() == 5 || name.size() == 6)) {
    const std::string lowered = lower_case(name);
    if (lowered == "script" || lowered == "style") raw_element_ = lowered;
  }
  return end;
}

size_t SoupScanner::end_tag(size_t place) {
  size_t close = html_.find('>', place + 1);
  if (close == none) return none;
  size_t name = skip_spaces(place + 2), end = name;
  const auto in_name = [&](char c) {
    return is_letter(c) || (end > name && (is_number(c) || c == '-' || c == '.' || c == ':' || c == '_'));
  };
  while (end < html_.size() && in_name(html_[end])) ++end;
  if (end > name && at(skip_spaces(end)) == '>' && skip_spaces(end) < html_.size()) {
    const auto raw = slice(name, end);
    if (!raw_element_.empty() && lower_case(raw) != raw_element_) {
      events_.data(slice(place, close + 1));
      return close + 1;
    }
    events_.end_tag(raw);
    raw_element_.clear();
    return close + 1;
  }
  if (!raw_element_.empty()) {
    events_.data(slice(place, close + 1));
    return close + 1;
  }
  if (!is_letter(at(place + 2))) return close == place + 2 ? close + 1 : bogus_comment(place);
  end = name_end(place + 2);
  close = html_.find('>', skip_spaces_and_slashes(end));
  events_.end_tag(slice(place + 2, end));
  return close + 1;
}

size_t SoupScanner::comment(size_t place) {
  for (size_t dashes = html_.find("--", place + 4); dashes != none; dashes = html_.find("--", dashes + 1)) {
    const size_t end = skip_spaces(dashes + 2);
    if (end >= html_.size() || html_[end] != '>') continue;
    events_.comment(slice(place + 4, dashes));
    return end + 1;
  }
  return none;
}

size_t SoupScanner::bogus_comment(size_t place) {
  const size_t end = html_.find('>', place + 2);
  if (end == none) return none;
  events_.comment(slice(place + 2, end));
  return end + 1;
}

size_t SoupScanner::processing_instruction(size_t place) {
  const size_t end = html_.find('>', place + 2);
  if (end == none) return none;
  events_.declaration(slice(place + 2, end));
  return end + 1;
}

/// Where `]>` (or with two brackets `]]>`, spaces allowed between) ends, and in `begin` where it begins.
size_t SoupScanner::closing(std::string_view opening, size_t place, int brackets, size_t& begin) const {
  for (begin = html_.find(']', place + opening.size()); begin != none; begin = html_.find(']', begin + 1)) {
    size_t end = skip_spaces(begin + 1);
    if (brackets == 2) end = end < html_.size() && html_[end] == ']' ? skip_spaces(end + 1) : html_.size();
    if (end < html_.size() && html_[end] == '>') return end + 1;
  }
  return none;
}

size_t SoupScanner::marked_section(size_t place) {
  constexpr std::string_view opening = "<![";
  const size_t name = place + opening.size();
  if (name == html_.size()) return none;
  if (!is_letter(html_[name])) throw SoupError("a name was expected after <![");
  size_t end = name;
  while (end < html_.size() &&
         (is_letter(html_[end]) || is_number(html_[end]) || std::strchr("-_.", html_[end]) != nullptr) &&
         html_[end] != '\0') {
    ++end;
  }
  const std::string word = lower_case(slice(name, end));
  if (skip_spaces(end) == html_.size()) return none;
  const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const bool standard = is_one_of({"temp", "cdata", "ignore", "include", "rcdata"});
  if (!standard && !is_one_of({"if", "else", "endif"}))
    throw SoupError("<![" + word + " is no marked section");
  size_t begin = 0;
  const size_t after = closing(opening, place, standard ? 2 : 1, begin);
  if (after == none) return none;
  auto text = slice(name, begin);
  if (match_word(text, 0, "cdata[") != none) text.remove_prefix(6);
  events_.declaration(text);
  return after;
}

size_t SoupScanner::declaration(size_t place) {
  if (starts("<![", place)) return marked_section(place);
  if (match_word(html_, place + 2, "doctype") != place + 9) return bogus_comment(place);
  const size_t end = html_.find('>', place + 9);
  if (end == none) return none;
  constexpr size_t word = 8;  // "DOCTYPE ", cut off unseen
  events_.comment(slice(std::min(place + 2 + word, end), end));
  return end + 1;
}

/// A <…> of any kind at place_: what follows it, or `none` when it is not whole.
size_t SoupScanner::markup(bool at_end) {
  const size_t place = place_;
  size_t after = none;
  if (is_letter(at(place + 1))) {
    after = start_tag(place);
  } else if (starts("</", place)) {
    after = end_tag(place);
  } else if (starts("<!--", place)) {
    after = comment(place);
  } else if (starts("<?", place)) {
    after = processing_instruction(place);
  } else if (starts("<!", place)) {
    after = declaration(place);
  } else if (place + 1 < html_.size()) {
    events_.data("<");
    return place + 1;
  } else {
    return none;
  }
  if (after != none || !at_end) return after;
  after = html_.find('>', place + 1);
  if (after != none) {
    ++after;
  } else {
    after = std::min(html_.find('<', place + 1), html_.size());
    if (after == html_.size()) after = place + 1;
  }
  events_.data(slice(place, after));
  return after;
}

/// False ends the pass.
bool SoupScanner::number_reference() {
  const bool hex = (at(place_ + 2) | 0x20) == 'x';
  const size_t first = place_ + (hex ? 3 : 2);
  size_t end = first;
  while (end < html_.size() && (hex ? is_hex(html_[end]) : is_number(html_[end]))) ++end;
  if (end == first || end >= html_.size() || is_hex(html_[end])) {
    if (html_.find(';', place_) == none) return false;
    events_.data(slice(place_, place_ + 2));
    place_ += 2;
    return false;
  }
  uint32_t point = number_of(slice(first, end), hex ? 16 : 10);
  if (point >= 0x80 && point < 0xA0 && windows[point - 0x80] != 0) point = windows[point - 0x80];
  std::string text;
  append_code_point(text, point > 0x10FFFF ? 0xFFFD : point);
  events_.decoded(std::move(text));
  place_ = end + (html_[end] == ';' ? 1 : 0);
  return true;
}

bool SoupScanner::name_reference(bool at_end) {
  const auto in_name = [](char c) { return is_letter(c) || is_number(c) || c == '-' || c == '.'; };
  if (!is_letter(at(place_ + 1))) {
    if (place_ + 1 >= html_.size()) return false;
    events_.data("&");
    ++place_;
    return true;
  }
  size_t end = place_ + 1;
  while (end < html_.size() && in_name(html_[end])) ++end;
  if (end == html_.size()) {
    // The name must be followed by something; its own last dash or dot will do.
    while (end > place_ + 1 && (is_letter(html_[end - 1]) || is_number(html_[end - 1]))) --end;
    if (end <= place_ + 1) {
      if (at_end && html_.size() - place_ == 2) ++place_;
      return false;
    }
    --end;
  }
  const auto name = slice(place_ + 1, end);
  std::string text(html_entity(name));
  if (text.empty()) text = html_entity(std::string(name) + ";");
  events_.decoded(text.empty() ? "&" + std::string(name) : text);
  place_ = end + (html_[end] == ';' ? 1 : 0);
  return true;
}

/// Where </script> or </style> begins.
size_t SoupScanner::find_raw_end(size_t place) const {
  for (size_t tag = html_.find("</", place); tag != none; tag = html_.find("</", tag + 1)) {
    const size_t after = match_word(html_, skip_spaces(tag + 2), raw_element_);
    if (after == none) continue;
    const size_t end = skip_spaces(after);
    if (end < html_.size() && html_[end] == '>') return tag;
  }
  return none;
}

void SoupScanner::pass(bool at_end) {
  while (place_ < html_.size()) {
    const bool raw = !raw_element_.empty();
    const size_t next =
        raw ? find_raw_end(place_) : std::min(html_.find_first_of("&<", place_), html_.size());
    if (next == none) break;
    if (next > place_) events_.data(slice(place_, next));
    place_ = next;
    if (place_ == html_.size()) break;
    if (html_[place_] == '<') {
      const size_t after = markup(at_end);
      if (after == none) break;
      place_ = after;
    } else if (at(place_ + 1) == '#' ? !number_reference() : !name_reference(at_end)) {
      break;
    }
  }
  if (at_end && place_ < html_.size() && raw_element_.empty()) {
    events_.data(slice(place_, html_.size()));
    place_ = html_.size();
  }
}

void SoupScanner::run() {
  pass(false);
  pass(true);
}

}  // namespace fettle::data
