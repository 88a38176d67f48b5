#include "text/unicode/wide_text.h"

namespace fettle {
namespace {

constexpr uint32_t replacement_point = 0xFFFD;

bool opens_text(char c) {
  return c == '{' || c == '[' || c == '<';
}

}  // namespace

void append_utf8(uint32_t character, std::string& utf8) {
  const auto put = [&](uint32_t byte) { utf8 += static_cast<char>(byte); };
  if (character < 0x80) return put(character);
  if (character < 0x800) {
    put(0xC0 | character >> 6);
  } else {
    if (character < 0x10000) {
      put(0xE0 | character >> 12);
    } else {
      put(0xF0 | character >> 18);
      put(0x80 | (character >> 12 & 63));
    }
    put(0x80 | (character >> 6 & 63));
  }
  put(0x80 | (character & 63));
}

uint32_t first_character(std::string_view utf8) {
  const auto lead = static_cast<uint8_t>(utf8.front());
  if (lead < 0x80) return lead;
  const size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  uint32_t character = lead & (0x3Fu >> more);
  for (size_t i = 1; i <= more && i < utf8.size(); ++i)
    character = character << 6 | (static_cast<uint8_t>(utf8[i]) & 0x3F);
  return character;
}

std::optional<WideText> WideText::found(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\xFF\xFE\0\0"sv)) return WideText(4, false);
  if (head.starts_with("\0\0\xFE\xFF"sv)) return WideText(4, true);
  if (head.starts_with("\xFF\xFE"sv)) return WideText(2, false);
  if (head.starts_with("\xFE\xFF"sv)) return WideText(2, true);
  if (head.size() < 4) return std::nullopt;
  if (opens_text(head[0]) && head[1] == 0) return WideText(head[2] == 0 ? 4 : 2, false);
  if (head.starts_with("\0\0\0"sv) && opens_text(head[3])) return WideText(4, true);
  if (head[0] == 0 && opens_text(head[1])) return WideText(2, true);
  return std::nullopt;
}

std::string WideText::name() const {
  return std::string(unit_ == 2 ? "UTF-16" : "UTF-32") + (big_endian_ ? "BE" : "LE");
}

void WideText::replace(std::string& utf8) {
  append_utf8(replacement_point, utf8);
  ++replaced_;
}

void WideText::put(uint32_t unit, std::string& utf8) {
  const bool mark = !begun_ && unit == 0xFEFF, is_low = unit >= 0xDC00 && unit <= 0xDFFF;
  begun_ = true;
  if (high_ != 0) {
    const uint32_t high = high_;
    high_ = 0;
    if (is_low) return append_utf8(0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00), utf8);
    replace(utf8);
  }
  if (mark) return;
  if (unit_ == 2 && unit >= 0xD800 && unit <= 0xDBFF) {
    high_ = unit;
  } else if ((unit >= 0xD800 && unit <= 0xDFFF) || unit > 0x10FFFF) {
    replace(utf8);
  } else {
    append_utf8(unit, utf8);
  }
}

void WideText::append(std::string_view bytes, std::string& utf8) {
  const auto width = static_cast<size_t>(unit_);
  const auto take = [&](std::string_view unit) {
    uint32_t value = 0;
    for (size_t i = 0; i < width; ++i) {
      value |= static_cast<uint32_t>(static_cast<uint8_t>(unit[big_endian_ ? width - 1 - i : i])) << (8 * i);
    }
    put(value, utf8);
  };
  while (!rest_.empty() && !bytes.empty()) {
    rest_ += bytes.front();
    bytes.remove_prefix(1);
    if (rest_.size() < width) continue;
    take(rest_);
    rest_.clear();
  }
  for (; bytes.size() >= width; bytes.remove_prefix(width)) take(bytes);
  rest_ += bytes;
}

void WideText::finish(std::string& utf8) {
  if (high_ != 0 || !rest_.empty()) replace(utf8);
  high_ = 0;
  rest_.clear();
}

}  // namespace fettle
