#pragma once
// Python's rules for text, on UTF-8: what is a space or a digit, strip(), int(), and JSON as its json module
// writes it. What has to come out byte for byte as a Python program wrote it goes through these. Lone
// surrogates, which Python texts may hold, stand as three bytes each (WTF-8).
#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fettle::data {

/// Bytes of the character at `at` where it is a space by str.isspace (also `\s` of `re`), else 0.
size_t python_space(std::string_view text, size_t at);
/// The same for the character that ends before `end`.
size_t python_space_before(std::string_view text, size_t end);
/// Bytes of the decimal digit at `at` (category Nd; `\d` of `re`) and its value, else 0.
size_t python_digit(std::string_view text, size_t at, int* value = nullptr);

/// str.strip, str.rstrip.
std::string_view python_strip(std::string_view text);
std::string_view python_rstrip(std::string_view text);

/// str(int(text) + add); nothing where int() raises.
std::optional<std::string> python_int_plus(std::string_view text, uint32_t add);

/// Whether a character of `text` is printable by str.isprintable and no space.
bool has_visible_character(std::string_view text);

/// Appends one code point; surrogates as three bytes.
void append_code_point(std::string& text, uint32_t point);

/// A JSON text as json.dumps writes it by default: quoted, everything beyond ASCII escaped.
void append_python_json(std::string& out, std::string_view text);
/// Any value as json.dumps(value, indent="\t") writes it at this depth.
void append_python_json(std::string& out, simdjson::dom::element value, int depth);

}  // namespace fettle::data
