#pragma once
// UTF-8 helpers of the readers and filters.
#include <string>
#include <string_view>

namespace fettle::data {

/// Each maximal ill-formed piece becomes one U+FFFD (Unicode 15, chapter 3, "U+FFFD substitution of maximal
/// subparts"; what Python's errors="replace" does).
std::string replace_invalid_utf8(std::string_view text);

/// The largest position <= `at` that does not cut a character.
size_t character_boundary(std::string_view text, size_t at);

/// Number of code points of valid UTF-8.
int64_t count_characters(std::string_view text);

}  // namespace fettle::data
