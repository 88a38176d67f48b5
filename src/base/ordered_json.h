#pragma once
// The entrance for JSON that somebody else wrote and whose order of keys matters: requests, arguments of tool calls, rows,
// answers of other servers. parse_json (json.h) is the one for JSON whose order does not. Nothing else in this program
// parses JSON that it did not write itself (tests/structure/json_entrances.py). Thread-safe.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace fettle {

struct JsonBounds {
  size_t values = size_t{1} << 26;  ///< values and keys in one text
};

/// As parse_json: Error names `where`, line and byte; at most 512 levels; invalid UTF-8 is an error. Of a key that stands
/// twice in an object the last value counts. Time and memory grow as the text does, however many keys an object has.
OrderedJson parse_ordered_json(std::string_view text, std::string_view where, JsonBounds bounds = {});

/// None when `text` is no JSON within the same bounds.
std::optional<OrderedJson> ordered_json_or_none(std::string_view text);
std::optional<Json> json_or_none(std::string_view text);

/// Adds a member whose key the object does not have yet, without looking for it: `object[key] = value` looks through all.
void append_member(OrderedJson& object, std::string key, OrderedJson value);

}  // namespace fettle
