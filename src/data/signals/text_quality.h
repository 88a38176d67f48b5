#pragma once
// Signs of poor text: how much of it repeats itself, and how much is neither letters, digits nor spaces.
#include <cstdint>
#include <string_view>

namespace fettle::data {

/// The share of the text's runs of `words` words that stood in it before; 0 for shorter texts. Case of ASCII
/// letters does not count.
double repeated_share(std::string_view text, int words = 5);

/// The share of characters other than white space that are neither letters, marks nor numbers.
double symbol_share(std::string_view text);

/// The share of characters beyond ASCII.
double non_ascii_share(std::string_view text);

/// The longest run of one and the same digit.
int64_t longest_digit_run(std::string_view text);

}  // namespace fettle::data
