#pragma once
// Python's str operations on Text, shared by filters and methods. All keep provenance.
#include <optional>

#include "text/jinja_interpreter.h"

namespace fettle::jinja {

Text replace(Interpreter& run, const Text& text, std::string_view old, const Text& by, int64_t count = -1);
/// str.split and str.rsplit; at white space when `separator` is null. limit < 0: no limit.
std::vector<Value> split(const Text& text, const Text* separator, int64_t limit, bool from_right);
std::vector<Text> split_lines(const Text& text, bool keep_ends);
Text join(Interpreter& run, const Text& separator, const std::vector<Value>& items);
/// Pads with `fill` (one character) to `width` characters; the text stands left, right or in the middle as
/// str.center puts it.
Text pad(Interpreter& run, const Text& text, int64_t width, std::string_view fill, Side text_at);
std::optional<int64_t> parse_integer(std::string_view text, int base);  ///< int(str, base)
std::optional<double> parse_real(std::string_view text);                ///< float(str)
/// The double as an int; Failure when it does not fit.
int64_t truncated(double value);

}  // namespace fettle::jinja
