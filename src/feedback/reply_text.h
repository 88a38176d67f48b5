#pragma once
// Small pieces of reading a judge's reply.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle::feedback {

std::string_view trimmed(std::string_view text);
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator);

/// A number that stands at `at`: digits, with a fraction where `fraction` allows one; moves `at` behind it. No sign, no exponent.
std::optional<double> number_at(std::string_view text, size_t& at, bool fraction = true);

/// The whole text as a finite number, as Python's float() takes it.
std::optional<double> whole_text_number(std::string_view text);

/// A list of dictionaries with plain values, as Python's literals or JSON write it; values as text. None when `text` is anything else.
using LiteralRow = std::vector<std::pair<std::string, std::string>>;
std::optional<std::vector<LiteralRow>> literal_rows(std::string_view text);

}  // namespace fettle::feedback
