#include "text/unicode/unicode.h"

#include <utf8proc.h>

#include <cstring>
#include <memory>

namespace fettle::unicode {
namespace {

uint8_t classes_of(char32_t code) {
  uint8_t bits = 0;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) bits |= kLetter;
  if (category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT) bits |= kUpper;
  if (category == UTF8PROC_CATEGORY_LL) bits |= kLower;
  if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME) bits |= kMark;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) bits |= kNumber;
  if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO) bits |= kPunctuation;
  const bool separator = category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP;
  if (separator || (code >= 9 && code <= 13) || code == 0x85) bits |= kSpace;
  return bits;
}

std::array<uint8_t, 0x10000>* make_table() {
  auto* table = new std::array<uint8_t, 0x10000>;
  for (char32_t code = 0; code < 0x10000; ++code) (*table)[code] = classes_of(code);
  return table;
}

/// The length of the valid character at `text[at]`, or 0 with `bad` set to the length of the maximal invalid
/// sequence.
size_t character(std::string_view text, size_t at, size_t& bad) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : uint8_t{0};
  };
  const uint8_t lead = byte(0);
  bad = 1;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (bad = 2; bad < length; ++bad) {
    if ((byte(bad) & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

const std::array<uint8_t, 0x10000>& class_table() {
  static const std::unique_ptr<const std::array<uint8_t, 0x10000>> table(make_table());
  return *table;
}

uint8_t classes_beyond(char32_t code) {
  return classes_of(code);
}

bool is_control(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CS;
}

void append(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

std::string encode(char32_t code) {
  std::string out;
  append(out, code);
  return out;
}

size_t valid_prefix(std::string_view text) {
  size_t at = 0, bad = 0;
  while (at < text.size()) {
    uint64_t block = 0;
    while (at + 8 <= text.size()) {
      std::memcpy(&block, text.data() + at, 8);
      if ((block & 0x8080808080808080ull) != 0) break;
      at += 8;
    }
    if (at >= text.size()) break;
    const size_t length = character(text, at, bad);
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::string lossy(std::string_view text, std::vector<uint32_t>* origin) {
  std::string out;
  out.reserve(text.size() + 16);
  size_t at = 0;
  while (at < text.size()) {
    const size_t valid = valid_prefix(text.substr(at));
    out.append(text.substr(at, valid));
    if (origin != nullptr) {
      for (size_t i = 0; i < valid; ++i) origin->push_back(static_cast<uint32_t>(at + i));
    }
    at += valid;
    if (at >= text.size()) break;
    size_t bad = 1;
    character(text, at, bad);
    out.append("\xef\xbf\xbd");
    if (origin != nullptr) origin->insert(origin->end(), 3, static_cast<uint32_t>(at));
    at = std::min(at + bad, text.size());
  }
  return out;
}

size_t incomplete_tail(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<uint8_t>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    if (byte < 0xc2 || byte > 0xf4 || length(static_cast<char>(byte)) <= back) return 0;
    size_t bad = 0;
    character(text, text.size() - back, bad);
    return bad == back ? back : 0;
  }
  return 0;
}

size_t character_boundary(std::string_view text, size_t at) {
  at = std::min(at, text.size());
  while (at > 0 && at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

}  // namespace fettle::unicode
