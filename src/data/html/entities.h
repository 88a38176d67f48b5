#pragma once
// The named character references of the HTML standard.
#include <string_view>

namespace fettle::data {

/// The UTF-8 text that `name` stands for, with or without its semicolon ("amp;", "amp", "hellip;"); empty
/// when there is no such name in that spelling.
std::string_view html_entity(std::string_view name);

}  // namespace fettle::data
