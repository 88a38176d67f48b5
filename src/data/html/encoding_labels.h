#pragma once
// Names of encodings as pages write them (WHATWG, Encoding Standard, 4.2).
#include <string_view>

namespace fettle::data {

/// The encoding that a label means, in the standard's name and lower case ("latin1" is "windows-1252"); ""
/// for unknown ones. Case and spaces around do not matter. "replacement" is what must not be decoded.
std::string_view encoding_of_label(std::string_view label);

}  // namespace fettle::data
