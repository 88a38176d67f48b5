#include "text/jinja/text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace fettle::jinja {

void Text::append(std::string_view piece, int32_t source) {
  if (piece.empty()) return;
  if (bytes_.empty()) {
    source_ = source;
    runs_.clear();
  } else if (runs_.empty() && source != source_) {
    runs_.reserve(8);
    runs_.push_back({static_cast<int64_t>(bytes_.size()), source_});
  }
  if (const size_t needed = bytes_.size() + piece.size(); needed > bytes_.capacity()) {
    bytes_.reserve(needed + needed / 4 + 64);  // a template writes something behind a message
  }
  bytes_.append(piece);
  const auto end = static_cast<int64_t>(bytes_.size());
  if (runs_.empty()) return;
  if (runs_.back().source == source) {
    runs_.back().end = end;
  } else {
    runs_.push_back({end, source});
  }
}

void Text::append(const Text& other, size_t begin, size_t end) {
  const std::string_view piece = std::string_view(other.bytes_).substr(begin, end - begin);
  if (other.runs_.empty()) return append(piece, other.source_);
  auto run = std::upper_bound(other.runs_.begin(), other.runs_.end(), static_cast<int64_t>(begin),
                              [](int64_t at, const Run& r) { return at < r.end; });
  for (size_t at = begin; at < end; ++run) {
    const size_t stop = std::min(end, static_cast<size_t>(run->end));
    append(piece.substr(at - begin, stop - at), run->source);
    at = stop;
  }
}

Text Text::slice(size_t begin, size_t end) const {
  Text out;
  out.append(*this, begin, std::max(begin, end));
  return out;
}

int32_t Text::source_at(size_t byte) const {
  if (runs_.empty()) return source_;
  const auto run = std::upper_bound(runs_.begin(), runs_.end(), static_cast<int64_t>(byte),
                                    [](int64_t at, const Run& r) { return at < r.end; });
  return run == runs_.end() ? runs_.back().source : run->source;
}

int32_t Text::main_source() const {
  for (const Run& run : runs_) {
    if (!is_of_template(run.source)) return run.source;
  }
  return runs_.empty() && !empty() ? source_ : kFromTemplate;
}

std::vector<Text::Run> Text::runs() const {
  if (bytes_.empty()) return {};
  if (runs_.empty()) return {{static_cast<int64_t>(bytes_.size()), source_}};
  return runs_;
}

uint32_t next_character(std::string_view text, size_t& position) {
  const auto first = static_cast<uint8_t>(text[position]);
  if (first < 0x80) {
    ++position;
    return first;
  }
  utf8proc_int32_t character = -1;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + position;
  const auto used =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - position), &character);
  if (used <= 0) {
    ++position;
    return 0xDC00U + first;
  }
  position += static_cast<size_t>(used);
  return static_cast<uint32_t>(character);
}

void append_character(std::string& out, uint32_t character) {
  if (character >= 0xDC80 && character <= 0xDCFF) {
    out.push_back(static_cast<char>(character - 0xDC00));
    return;
  }
  if (character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF)) character = 0xFFFD;
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto used = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(used));
}

int64_t count_characters(std::string_view text) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) next_character(text, at);
  return count;
}

size_t offset_of_character(std::string_view text, int64_t index) {
  size_t at = 0;
  while (index-- > 0 && at < text.size()) next_character(text, at);
  return at;
}

bool is_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_end(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

namespace {

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

uint32_t simple_upper(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
uint32_t simple_lower(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}
uint32_t simple_title(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}

// Unicode's SpecialCasing.txt: characters whose upper case is several characters (the common ones).
struct LongCase {
  uint32_t character;
  const char* upper;
  const char* title;
};
constexpr LongCase kLongCases[] = {
    {0x00DF, "SS", "Ss"}, {0x0149, "ʼN", "ʼN"},   {0x01F0, "J̌", "J̌"},     {0x0390, "Ϊ́", "Ϊ́"},
    {0x03B0, "Ϋ́", "Ϋ́"},   {0x0587, "ԵՒ", "Եւ"},   {0xFB00, "FF", "Ff"},   {0xFB01, "FI", "Fi"},
    {0xFB02, "FL", "Fl"}, {0xFB03, "FFI", "Ffi"}, {0xFB04, "FFL", "Ffl"}, {0xFB05, "ST", "St"},
    {0xFB06, "ST", "St"},
};

const LongCase* long_case(uint32_t c) {
  if (c < 0xDF) return nullptr;
  for (const LongCase& entry : kLongCases) {
    if (entry.character == c) return &entry;
  }
  return nullptr;
}

bool is_cased(uint32_t c) {
  if (c < 0x80) return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
}

void append_upper(std::string& out, uint32_t c) {
  if (const LongCase* entry = long_case(c)) {
    out += entry->upper;
  } else {
    append_character(out, simple_upper(c));
  }
}

void append_title(std::string& out, uint32_t c) {
  if (const LongCase* entry = long_case(c)) {
    out += entry->title;
  } else {
    append_character(out, simple_title(c));
  }
}

// A capital sigma at the end of a word becomes the final form.
bool sigma_is_final(std::string_view text, size_t end, bool letter_before) {
  if (!letter_before) return false;
  while (end < text.size()) {
    const uint32_t c = next_character(text, end);
    if (is_cased(c)) return false;
    if (c != '\'' && c != 0x2019 && category(c) != UTF8PROC_CATEGORY_MN) break;
  }
  return true;
}

void append_lower(std::string& out, std::string_view text, size_t end, uint32_t c, bool letter_before) {
  if (c == 0x0130) {
    out += "i̇";
  } else if (c == 0x03A3) {
    append_character(out, sigma_is_final(text, end, letter_before) ? 0x03C2 : 0x03C3);
  } else {
    append_character(out, simple_lower(c));
  }
}

enum class Case { upper, lower, capitalize, title };

Text change_case(const Text& text, Case how) {
  Text out;
  out.reserve(text.size());
  const std::string_view bytes = text.bytes();
  bool letter_before = false;
  std::string changed;
  for (size_t at = 0; at < bytes.size();) {
    const size_t begin = at;
    const uint32_t c = next_character(bytes, at);
    changed.clear();
    const bool initial = how == Case::capitalize ? begin == 0 : how == Case::title && !letter_before;
    if (how == Case::upper) {
      append_upper(changed, c);
    } else if (initial) {
      append_title(changed, c);
    } else {
      append_lower(changed, bytes, at, c, letter_before);
    }
    letter_before = is_cased(c);
    out.append(changed, text.source_at(begin));
  }
  return out;
}

}  // namespace

bool is_printable(uint32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7F;
  if (c >= 0xD800 && c <= 0xDFFF) return false;
  const auto kind = category(c);
  return kind != UTF8PROC_CATEGORY_CC && kind != UTF8PROC_CATEGORY_CF && kind != UTF8PROC_CATEGORY_CS &&
         kind != UTF8PROC_CATEGORY_CO && kind != UTF8PROC_CATEGORY_CN && kind != UTF8PROC_CATEGORY_ZL &&
         kind != UTF8PROC_CATEGORY_ZP && kind != UTF8PROC_CATEGORY_ZS;
}

bool is_alphabetic(uint32_t c) {
  const auto kind = category(c);
  return is_cased(c) || kind == UTF8PROC_CATEGORY_LM || kind == UTF8PROC_CATEGORY_LO;
}

bool is_decimal(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}

Text upper(const Text& text) {
  return change_case(text, Case::upper);
}
Text lower(const Text& text) {
  return change_case(text, Case::lower);
}
Text capitalize(const Text& text) {
  return change_case(text, Case::capitalize);
}
Text title(const Text& text) {
  return change_case(text, Case::title);
}

bool is_upper(std::string_view text) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_character(text, at);
    const auto kind = category(c);
    if (kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT) return false;
    any = any || kind == UTF8PROC_CATEGORY_LU;
  }
  return any;
}

bool is_lower(std::string_view text) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_character(text, at);
    const auto kind = category(c);
    if (kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LT) return false;
    any = any || kind == UTF8PROC_CATEGORY_LL;
  }
  return any;
}

std::string escaped(std::string_view text) {
  const bool single = text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_character(text, at);
    if (c == static_cast<uint32_t>(quote) || c == '\\') {
      out += {'\\', static_cast<char>(c)};
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      append_character(out, c);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += c < 0x10000 ? fmt::format("\\u{:04x}", c) : fmt::format("\\U{:08x}", c);
    }
  }
  out.push_back(quote);
  return out;
}

Text strip(const Text& text, Side side, const std::string* characters) {
  std::vector<uint32_t> set;
  for (size_t at = 0; characters != nullptr && at < characters->size();) {
    set.push_back(next_character(*characters, at));
  }
  const auto goes = [&](uint32_t c) {
    return characters == nullptr ? is_space(c) : std::find(set.begin(), set.end(), c) != set.end();
  };
  const std::string_view bytes = text.bytes();
  size_t begin = 0;
  while (side != Side::right && begin < bytes.size()) {
    size_t after = begin;
    if (!goes(next_character(bytes, after))) break;
    begin = after;
  }
  size_t end = bytes.size();
  while (side != Side::left && end > begin) {
    size_t start = end - 1;
    while (start > begin && end - start < 4 && (static_cast<uint8_t>(bytes[start]) & 0xC0) == 0x80) --start;
    size_t after = start;
    const uint32_t c = next_character(bytes, after);
    if (after != end) {  // not one whole character: the last byte stands alone
      start = end - 1;
      if (!goes(0xDC00U + static_cast<uint8_t>(bytes[start]))) break;
    } else if (!goes(c)) {
      break;
    }
    end = start;
  }
  return text.slice(begin, end);
}

}  // namespace fettle::jinja
