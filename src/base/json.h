#pragma once
// JSON with errors that name the place. nlohmann-json behind; bulk reading of data files uses simdjson in data/.
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

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

/// The whole number that a JSON value is, where T holds it; 2048.0 is one, true is none. `value` is a Json or an OrderedJson.
template <typename T, typename Value>
std::optional<T> whole_number(const Value& value) {
  static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>);
  constexpr double exact = 9007199254740992.0;  // 2^53: beyond it, not every whole number is a double
  if (value.is_number_unsigned()) {
    const auto number = value.template get<uint64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  } else if (value.is_number_integer()) {
    const auto number = value.template get<int64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  } else if (value.is_number_float()) {
    const auto number = value.template get<double>();
    if (std::abs(number) <= exact && std::trunc(number) == number && std::in_range<T>(static_cast<int64_t>(number)))
      return static_cast<T>(number);
  }
  return std::nullopt;
}

/// value[key] as T; throws naming `where` and the key when it is missing or of another type. A number must
/// be one that T holds: no fraction for whole numbers, and true is no number.
template <typename T>
T json_get(const Json& value, const char* key, std::string_view where) {
  const auto found = value.find(key);
  if (found == value.end()) fail(where, "key '{}' is missing", key);
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    if (const auto number = whole_number<T>(*found)) return *number;
    if (found->is_number())
      fail(where, "key '{}' must be a whole number from {} to {}, found {}", key, std::numeric_limits<T>::min(),
           std::numeric_limits<T>::max(), found->dump().substr(0, 60));
  }
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    if (!found->is_number()) fail(where, "key '{}' has the wrong type: {}", key, found->dump().substr(0, 60));
  }
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
