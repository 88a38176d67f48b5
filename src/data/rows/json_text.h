#pragma once
// JSON text made without a tree in between, and trees that keep the order of keys.
#include <string>
#include <string_view>

#include "base/json.h"

namespace fettle::data {

/// `value` in quotes with the escapes JSON demands, appended to `text`. Bytes that are no UTF-8 stay.
void append_json_string(std::string_view value, std::string& text);

/// As parse_json, with the keys in the order in which they are written.
OrderedJson parse_ordered_json(std::string_view text, std::string_view where);

}  // namespace fettle::data
