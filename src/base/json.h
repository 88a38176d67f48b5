#pragma once
// JSON with errors that name the place. nlohmann-json behind; bulk reading of data files uses simdjson in data/.
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

// Compiled once, in json.cpp; instantiating them takes seconds in every file that would.
extern template class nlohmann::basic_json<>;
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace fettle {

using Json = nlohmann::json;
/// Keeps the order of keys as written; for files that people read.
using OrderedJson = nlohmann::ordered_json;

/// Parses; Error names `where`, line and column. Nesting is limited to 512 levels. Invalid UTF-8 is an error.
Json parse_json(std::string_view text, std::string_view where);
Json read_json(const fs::path& path);

/// One line. Invalid UTF-8 inside strings is replaced by U+FFFD, never thrown.
std::string dump_json(const Json& value);
std::string dump_json(const OrderedJson& value, int indent = -1);

/// value[key] as T; throws naming `where` and the key when it is missing or of another type.
template <typename T>
T json_get(const Json& value, const char* key, std::string_view where) {
  const auto found = value.find(key);
  if (found == value.end()) fail(where, "key '{}' is missing", key);
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(where, "key '{}' has the wrong type: {}", key, found->dump().substr(0, 60));
  }
}

/// The same, with a default for a missing or null key.
template <typename T>
T json_get_or(const Json& value, const char* key, T fallback, std::string_view where) {
  const auto found = value.find(key);
  return found == value.end() || found->is_null() ? fallback : json_get<T>(value, key, where);
}

}  // namespace fettle
