#pragma once
// UTF-8 and the character classes that tokenizers ask for. All functions are thread-safe.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::unicode {

/// Bits of classes(): Unicode general categories and the White_Space property.
enum Class : uint8_t {
  kLetter = 1,       ///< L
  kNumber = 2,       ///< N
  kSpace = 4,        ///< White_Space, what `\s` matches
  kPunctuation = 8,  ///< P
  kMark = 16,        ///< M
  kUpper = 32,       ///< Lu or Lt
  kLower = 64,       ///< Ll
};

/// The class bits of every code point below 0x10000; the first 128 are the ASCII ones.
const std::array<uint8_t, 0x10000>& class_table();
uint8_t classes_beyond(char32_t code);
inline uint8_t classes(char32_t code) {
  return code < 0x10000 ? class_table()[code] : classes_beyond(code);
}

/// General category Cc, Cf, Co, Cs (not a tab, newline or carriage return): what BERT's clean-up drops.
bool is_control(char32_t code);

/// Length in bytes of the character whose first byte is `lead` (valid UTF-8 is assumed; 1 for a stray byte).
inline size_t length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/// Reads the character at `text[at]` and moves `at` behind it. `text` must be valid UTF-8 from `at` on.
inline char32_t next(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x80) return text[at++];
  if (lead < 0xe0) {
    at += 2;
    return static_cast<char32_t>((lead & 0x1f) << 6 | (byte(at - 1) & 0x3f));
  }
  if (lead < 0xf0) {
    at += 3;
    return static_cast<char32_t>((lead & 0x0f) << 12 | (byte(at - 2) & 0x3f) << 6 | (byte(at - 1) & 0x3f));
  }
  at += 4;
  return static_cast<char32_t>((lead & 0x07) << 18 | (byte(at - 3) & 0x3f) << 12 |
                               (byte(at - 2) & 0x3f) << 6 | (byte(at - 1) & 0x3f));
}

/// Where the character that ends before `at` starts (valid UTF-8, at > 0).
inline size_t previous(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80);
  return at;
}

void append(std::string& out, char32_t code);
std::string encode(char32_t code);

/// How many bytes from the start of `text` are valid UTF-8 (surrogates and overlong forms are not).
size_t valid_prefix(std::string_view text);

/// Replaces each maximal invalid sequence by U+FFFD (Unicode's recommended practice, as Python and Rust do).
/// `origin` receives, for every byte of the result, the offset in `text` it came from.
std::string lossy(std::string_view text, std::vector<uint32_t>* origin = nullptr);

/// The largest position <= `at` that does not cut a character.
size_t character_boundary(std::string_view text, size_t at);

/// Number of code points of valid UTF-8.
int64_t count_characters(std::string_view text);

/// How many bytes at the end of `text` start a character that is not complete yet: 0 to 3.
size_t incomplete_tail(std::string_view text);

}  // namespace fettle::unicode
