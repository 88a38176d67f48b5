#include "data/openchat/python_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace fettle::data {
namespace {

/// The code point at `at` and its length; -1 and 1 for a byte that starts none. Surrogates pass.
int32_t code_point(std::string_view text, size_t at, size_t& length) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : 0; };
  const int first = byte(0);
  length = 1;
  if (first < 0x80) return first;
  const size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (wanted == 0) return -1;
  int32_t point = first & (0xFF >> (wanted + 1));
  for (size_t i = 1; i < wanted; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return -1;
    point = point << 6 | (byte(i) & 0x3F);
  }
  length = wanted;
  return point;
}

bool is_wide_space(int32_t point) {
  return point == 0x85 || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) ||
         point == 0x2028 || point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

std::string plus_decimal(std::string digits, uint32_t add) {
  uint64_t carry = add;
  for (size_t i = digits.size(); i-- > 0 && carry > 0;) {
    carry += static_cast<uint64_t>(digits[i] - '0');
    digits[i] = static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  return carry > 0 ? std::to_string(carry) + digits : digits;
}

/// digits - take, for digits that are no smaller.
std::string minus_decimal(std::string digits, uint32_t take) {
  int64_t debt = take;
  for (size_t i = digits.size(); i-- > 0 && debt > 0;) {
    const int64_t left = digits[i] - '0' - debt % 10;
    debt = debt / 10 + (left < 0 ? 1 : 0);
    digits[i] = static_cast<char>('0' + (left + 10) % 10);
  }
  const size_t zeros = std::min(digits.find_first_not_of('0'), digits.size() - 1);
  return digits.substr(zeros);
}

/// repr of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
std::string python_float(double value) {
  std::array<char, 32> room{};
  const auto end =
      std::to_chars(room.data(), room.data() + room.size(), value, std::chars_format::scientific).ptr;
  const std::string text(room.data(), end);
  const size_t e = text.find('e');
  if (e == std::string::npos) return text;
  const int exponent = std::stoi(text.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const bool negative = text[0] == '-';
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  if (exponent < 0) {
    digits = "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else {
    const auto whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole) digits.resize(whole + 1, '0');
    digits.insert(whole, ".");
  }
  return (negative ? "-" : "") + digits;
}

void append_escape(std::string& out, int32_t unit) {
  fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
}

}  // namespace

size_t python_space(std::string_view text, size_t at) {
  if (at >= text.size()) return 0;
  const auto c = static_cast<uint8_t>(text[at]);
  if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) ? 1 : 0;
  if (c != 0xC2 && (c < 0xE1 || c > 0xE3)) return 0;
  size_t length = 0;
  return is_wide_space(code_point(text, at, length)) ? length : 0;
}

size_t python_space_before(std::string_view text, size_t end) {
  for (size_t length = 1; length <= std::min<size_t>(3, end); ++length) {
    if (python_space(text.substr(0, end), end - length) == length) return length;
  }
  return 0;
}

size_t python_digit(std::string_view text, size_t at, int* value) {
  if (at >= text.size()) return 0;
  const char c = text[at];
  if (static_cast<uint8_t>(c) < 0x80) {
    if (c < '0' || c > '9') return 0;
    if (value != nullptr) *value = c - '0';
    return 1;
  }
  size_t length = 0;
  const int32_t point = code_point(text, at, length);
  if (point < 0 || utf8proc_category(point) != UTF8PROC_CATEGORY_ND) return 0;
  if (value != nullptr) {
    // Decimal digits stand in the code in whole runs of ten that begin with zero.
    int32_t zero = point;
    while (utf8proc_category(zero - 1) == UTF8PROC_CATEGORY_ND) --zero;
    *value = (point - zero) % 10;
  }
  return length;
}

std::string_view python_rstrip(std::string_view text) {
  while (const size_t length = python_space_before(text, text.size())) text.remove_suffix(length);
  return text;
}

std::string_view python_strip(std::string_view text) {
  while (const size_t length = python_space(text, 0)) text.remove_prefix(length);
  return python_rstrip(text);
}

std::optional<std::string> python_int_plus(std::string_view text, uint32_t add) {
  constexpr size_t most_digits = 4300;
  text = python_strip(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::string digits;
  bool after_digit = false;
  for (size_t at = 0; at < text.size();) {
    int value = 0;
    const size_t length = python_digit(text, at, &value);
    if (length == 0 && (text[at] != '_' || !after_digit)) return std::nullopt;
    after_digit = length > 0;
    if (after_digit) digits += static_cast<char>('0' + value);
    at += std::max<size_t>(length, 1);
  }
  if (!after_digit || digits.size() > most_digits) return std::nullopt;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  if (!negative) return plus_decimal(digits, add);
  const bool crosses = digits.size() <= 10 && std::stoull(digits) <= add;
  if (crosses) return std::to_string(add - std::stoull(digits));
  return "-" + minus_decimal(digits, add);
}

bool has_visible_character(std::string_view text) {
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    const int32_t point = code_point(text, at, length);
    if (point < 0) continue;
    const auto category = utf8proc_category(point);
    const bool hidden = category == UTF8PROC_CATEGORY_CN || category >= UTF8PROC_CATEGORY_ZS;
    if (!hidden) return true;
  }
  return false;
}

void append_code_point(std::string& text, uint32_t point) {
  const auto put = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

void append_python_json(std::string& out, std::string_view text) {
  constexpr std::string_view short_names = "\"\\\b\f\n\r\t", short_letters = "\"\\bfnrt";
  out += '"';
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    const int32_t point = code_point(text, at, length);
    const size_t known =
        point < 0x80 && point > 0 ? short_names.find(static_cast<char>(point)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out += '\\';
      out += short_letters[known];
    } else if (point >= 32 && point < 127) {
      out += static_cast<char>(point);
    } else if (point > 0xFFFF) {
      append_escape(out, 0xD800 + ((point - 0x10000) >> 10));
      append_escape(out, 0xDC00 + ((point - 0x10000) & 0x3FF));
    } else {
      append_escape(out, point < 0 ? 0xFFFD : point);
    }
  }
  out += '"';
}

void append_python_json(std::string& out, simdjson::dom::element value, int depth) {
  using Type = simdjson::dom::element_type;
  const auto new_line = [&](int tabs) {
    out += '\n';
    out.append(static_cast<size_t>(tabs), '\t');
  };
  bool first = true;
  const auto next = [&] {
    if (!first) out += ',';
    first = false;
    new_line(depth + 1);
  };
  switch (value.type()) {
    case Type::OBJECT:
      out += '{';
      for (const auto field : simdjson::dom::object(value)) {
        next();
        append_python_json(out, field.key);
        out += ": ";
        append_python_json(out, field.value, depth + 1);
      }
      if (!first) new_line(depth);
      out += '}';
      break;
    case Type::ARRAY:
      out += '[';
      for (const auto item : simdjson::dom::array(value)) {
        next();
        append_python_json(out, item, depth + 1);
      }
      if (!first) new_line(depth);
      out += ']';
      break;
    case Type::STRING:
      append_python_json(out, std::string_view(value));
      break;
    case Type::DOUBLE:
      out += python_float(double(value));
      break;
    default:
      out += simdjson::minify(value);
  }
}

}  // namespace fettle::data
