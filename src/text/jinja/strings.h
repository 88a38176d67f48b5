#pragma once
// Python's str operations on Text, shared by filters and methods. All keep provenance.
#include <optional>

#include "text/jinja/interpreter.h"

namespace fettle::jinja {

/// As std::string_view's find and rfind, in time that grows as the two texts do and no faster; `run` is charged for both.
size_t find_part(Interpreter& run, std::string_view text, std::string_view part, size_t from = 0);
size_t find_last_part(Interpreter& run, std::string_view text, std::string_view part);
/// For work on every character of a text, some nanoseconds each.
void charge_characters(Interpreter& run, size_t bytes);

Text replace(Interpreter& run, const Text& text, std::string_view old, const Text& by, int64_t count = -1);
/// str.split and str.rsplit; at white space when `separator` is null. limit < 0: no limit.
std::vector<Value> split(Interpreter& run, const Text& text, const Text* separator, int64_t limit, bool from_right);
std::vector<Text> split_lines(Interpreter& run, const Text& text, bool keep_ends);
Text join(Interpreter& run, const Text& separator, const std::vector<Value>& items);
/// Pads with `fill` (one character) to `width` characters; the text stands left, right or in the middle as
/// str.center puts it.
Text pad(Interpreter& run, const Text& text, int64_t width, std::string_view fill, Side text_at);
std::optional<int64_t> parse_integer(std::string_view text, int base);  ///< int(str, base)
std::optional<double> parse_real(std::string_view text);                ///< float(str)
/// The double as an int; Failure when it does not fit.
int64_t truncated(double value);

}  // namespace fettle::jinja
