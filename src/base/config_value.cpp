#include "base/config_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace fettle {
namespace {

std::string shown(const OrderedJson& value) {
  if (value.is_string()) return fmt::format("'{}'", value.get<std::string>());
  if (value.is_array()) return "a list";
  if (value.is_object()) return "a mapping";
  return value.is_null() ? "nothing" : value.dump();
}

template <typename T>
T whole_value(const ConfigValue& value, std::string_view expected) {
  if (!value.value.is_number_integer()) value.wrong(expected);
  const auto wide = value.value.get<int64_t>();
  const bool fits =
      std::is_unsigned_v<T> ? wide >= 0 || value.value.is_number_unsigned() : std::in_range<T>(wide);
  if (!fits) value.wrong(expected);
  return value.value.get<T>();
}

template <typename Value>
void read_pairs(const ConfigValue& value, std::vector<std::pair<std::string, Value>>& to) {
  if (!value.value.is_object()) value.wrong(std::is_arithmetic_v<Value> ? "a mapping of patterns to numbers" : "a mapping of names to texts");
  to.clear();
  for (const auto& [name, number] : value.value.items()) {
    to.emplace_back(name, Value{});
    read_value(ConfigValue{number, value.key + "." + name, value.place + "." + name}, to.back().second);
  }
}

template <typename Value>
OrderedJson write_pairs(const std::vector<std::pair<std::string, Value>>& pairs) {
  OrderedJson result = OrderedJson::object();
  for (const auto& [name, number] : pairs) result[name] = write_value(number);
  return result;
}

}  // namespace

void ConfigValue::wrong(std::string_view expected) const {
  fail_usage("{}: expected {}, found {}", place, expected, shown(value));
}

void read_value(const ConfigValue& value, bool& to) {
  if (!value.value.is_boolean()) value.wrong("true or false");
  to = value.value.get<bool>();
}
void read_value(const ConfigValue& value, double& to) {
  if (!value.value.is_number()) value.wrong("a number");
  to = value.value.get<double>();
  if (!std::isfinite(to)) value.wrong("a finite number");
}
void read_value(const ConfigValue& value, float& to) {
  double wide = 0.0;
  read_value(value, wide);
  to = static_cast<float>(wide);
}
void read_value(const ConfigValue& value, int32_t& to) {
  to = whole_value<int32_t>(value, "a whole number");
}
void read_value(const ConfigValue& value, int64_t& to) {
  to = whole_value<int64_t>(value, "a whole number");
}
void read_value(const ConfigValue& value, uint64_t& to) {
  to = whole_value<uint64_t>(value, "a whole number that is not negative");
}
void read_value(const ConfigValue& value, std::string& to) {
  if (!value.value.is_string()) value.wrong("a text");
  to = value.value.get<std::string>();
}
void read_value(const ConfigValue& value, fs::path& to) {
  std::string text;
  read_value(value, text);
  to = text;
}
void read_value(const ConfigValue& value, std::vector<std::string>& to) {
  to.clear();
  if (value.value.is_string()) {
    to.push_back(value.value.get<std::string>());
    return;
  }
  if (!value.value.is_array()) value.wrong("a list of texts");
  for (const auto& item : value.value) {
    if (!item.is_string()) value.wrong("a list of texts");
    to.push_back(item.get<std::string>());
  }
}
void read_value(const ConfigValue& value, std::vector<int32_t>& to) {
  to.clear();
  if (!value.value.is_array()) {
    read_value(value, to.emplace_back());
    return;
  }
  for (const auto& item : value.value) read_value(ConfigValue{item, value.key, value.place}, to.emplace_back());
}
void read_value(const ConfigValue& value, std::vector<double>& to) {
  to.clear();
  if (!value.value.is_array()) {
    read_value(value, to.emplace_back());
    return;
  }
  for (const auto& item : value.value) read_value(ConfigValue{item, value.key, value.place}, to.emplace_back());
}
void read_value(const ConfigValue& value, std::map<std::string, std::string>& to) {
  if (!value.value.is_object()) value.wrong("a mapping of names to texts");
  to.clear();
  for (const auto& [name, text] : value.value.items())
    read_value(ConfigValue{text, value.key + "." + name, value.place + "." + name}, to[name]);
}
void read_value(const ConfigValue& value, std::vector<std::pair<std::string, int32_t>>& to) {
  read_pairs(value, to);
}
void read_value(const ConfigValue& value, std::vector<std::pair<std::string, float>>& to) {
  read_pairs(value, to);
}
void read_value(const ConfigValue& value, std::vector<std::pair<std::string, std::string>>& to) {
  read_pairs(value, to);
}
void read_value(const ConfigValue& value, OrderedJson& to) {
  to = value.value;
}
void read_value(const ConfigValue& value, std::map<std::string, double>& to) {
  if (!value.value.is_object()) value.wrong("a mapping of names to numbers");
  to.clear();
  for (const auto& [name, number] : value.value.items())
    read_value(ConfigValue{number, value.key + "." + name, value.place + "." + name}, to[name]);
}
void read_value(const ConfigValue& value, Json& to) {
  if (!value.value.is_object()) value.wrong("a mapping");
  to = Json::parse(value.value.dump());
}

double read_bytes(const ConfigValue& value) {
  constexpr std::string_view kExpected = "a number of bytes, or one with a unit such as '6 GB'";
  const std::map<std::string_view, double> units{
      {"", 1.0},   {"b", 1.0},  {"k", 1e3},  {"kb", 1e3},     {"m", 1e6},       {"mb", 1e6},         {"g", 1e9},
      {"gb", 1e9}, {"t", 1e12}, {"tb", 1e12}, {"kib", 1024.0}, {"mib", 1048576.0}, {"gib", 1073741824.0}};
  const std::string text = value.value.is_string() ? value.value.get<std::string>() : value.value.dump();
  double amount = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
  std::string unit(end, static_cast<size_t>(text.data() + text.size() - end));
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  std::ranges::transform(unit, unit.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto factor = units.find(unit);
  if (error != std::errc() || factor == units.end() || !(amount >= 0.0)) value.wrong(kExpected);
  return amount * factor->second;
}

OrderedJson write_value(const bool& value) {
  return value;
}
OrderedJson write_value(const double& value) {
  return value;
}
OrderedJson write_value(const float& value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double shortest = 0.0;
  std::from_chars(digits, end, shortest);
  return shortest;
}
OrderedJson write_value(const int32_t& value) {
  return value;
}
OrderedJson write_value(const int64_t& value) {
  return value;
}
OrderedJson write_value(const uint64_t& value) {
  return value;
}
OrderedJson write_value(const std::string& value) {
  return value;
}
OrderedJson write_value(const fs::path& value) {
  return value.string();
}
OrderedJson write_value(const std::vector<std::string>& value) {
  return value;
}
OrderedJson write_value(const std::vector<int32_t>& value) {
  return value;
}
OrderedJson write_value(const std::vector<std::pair<std::string, int32_t>>& value) {
  return write_pairs(value);
}
OrderedJson write_value(const std::vector<std::pair<std::string, float>>& value) {
  return write_pairs(value);
}
OrderedJson write_value(const std::vector<std::pair<std::string, std::string>>& value) {
  return write_pairs(value);
}
OrderedJson write_value(const OrderedJson& value) {
  return value;
}
OrderedJson write_value(const std::vector<double>& value) {
  return value;
}
OrderedJson write_value(const std::map<std::string, double>& value) {
  return value;
}
OrderedJson write_value(const std::map<std::string, std::string>& value) {
  return value;
}
OrderedJson write_value(const Json& value) {
  return OrderedJson::parse(value.dump());
}

}  // namespace fettle
