#pragma once
// Reading and writing one value of a config or a table of keys: the types that keys have, and errors that name key, line,
// expected and found.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace fettle {

/// One value with its place. The value must outlive this.
struct ConfigValue {
  const OrderedJson& value;
  std::string key;    ///< full path with dots
  std::string place;  ///< "train.yaml:12: beta", "filter: --min-turns"

  /// Throws Error(usage): "<place>: expected <expected>, found <the value>".
  [[noreturn]] void wrong(std::string_view expected) const;
};

void read_value(const ConfigValue& value, bool& to);
void read_value(const ConfigValue& value, double& to);
void read_value(const ConfigValue& value, float& to);
void read_value(const ConfigValue& value, int32_t& to);
void read_value(const ConfigValue& value, int64_t& to);
void read_value(const ConfigValue& value, uint64_t& to);
void read_value(const ConfigValue& value, std::string& to);
void read_value(const ConfigValue& value, fs::path& to);
void read_value(const ConfigValue& value, std::vector<std::string>& to);  ///< a list, or one text
void read_value(const ConfigValue& value, std::vector<int32_t>& to);      ///< a list, or one number
void read_value(const ConfigValue& value, std::vector<double>& to);       ///< a list, or one number
void read_value(const ConfigValue& value, std::map<std::string, double>& to);
void read_value(const ConfigValue& value, std::map<std::string, std::string>& to);
void read_value(const ConfigValue& value, std::vector<std::pair<std::string, int32_t>>& to);  ///< a mapping, in its order
void read_value(const ConfigValue& value, std::vector<std::pair<std::string, float>>& to);
void read_value(const ConfigValue& value, std::vector<std::pair<std::string, std::string>>& to);
void read_value(const ConfigValue& value, Json& to);         ///< an object
void read_value(const ConfigValue& value, OrderedJson& to);  ///< anything
/// null: nothing.
template <typename T>
void read_value(const ConfigValue& value, std::optional<T>& to) {
  if (value.value.is_null()) {
    to.reset();
  } else {
    read_value(value, to.emplace());
  }
}
/// Bytes: a number, or a text with a unit ("6 GB", "500 MB").
double read_bytes(const ConfigValue& value);

OrderedJson write_value(const bool& value);
OrderedJson write_value(const double& value);
OrderedJson write_value(const float& value);  ///< the shortest decimal that reads back as this float
OrderedJson write_value(const int32_t& value);
OrderedJson write_value(const int64_t& value);
OrderedJson write_value(const uint64_t& value);
OrderedJson write_value(const std::string& value);
OrderedJson write_value(const fs::path& value);
OrderedJson write_value(const std::vector<std::string>& value);
OrderedJson write_value(const std::vector<int32_t>& value);
OrderedJson write_value(const std::vector<double>& value);
OrderedJson write_value(const std::map<std::string, double>& value);
OrderedJson write_value(const std::map<std::string, std::string>& value);
OrderedJson write_value(const std::vector<std::pair<std::string, int32_t>>& value);
OrderedJson write_value(const std::vector<std::pair<std::string, float>>& value);
OrderedJson write_value(const std::vector<std::pair<std::string, std::string>>& value);
OrderedJson write_value(const Json& value);
OrderedJson write_value(const OrderedJson& value);
template <typename T>
OrderedJson write_value(const std::optional<T>& value) {
  return value ? write_value(*value) : OrderedJson(nullptr);
}

/// One of `known` by name; otherwise the error lists them. Names and values go side by side.
template <typename Value, typename Names>
void read_choice(const ConfigValue& value, const Names& known, Value& to) {
  std::string names;
  for (const auto& [name, choice] : known) {
    if (value.value == name) {
      to = choice;
      return;
    }
    names += (names.empty() ? "" : " | ") + std::string(name);
  }
  value.wrong(names);
}
template <typename Value, typename Names>
OrderedJson write_choice(const Value& value, const Names& known) {
  for (const auto& [name, choice] : known)
    if (choice == value) return name;
  return nullptr;
}

}  // namespace fettle
