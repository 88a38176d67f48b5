#pragma once
// JSON text made without a tree in between.
#include <string>
#include <string_view>

namespace fettle::data {

/// `value` in quotes with the escapes JSON demands, appended to `text`. Bytes that are no UTF-8 stay.
void append_json_string(std::string_view value, std::string& text);

}  // namespace fettle::data
