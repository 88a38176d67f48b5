#include "train/config_value.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace fettle::train {
namespace {

std::string shown(const OrderedJson& value) {
  if (value.is_string()) return fmt::format("'{}'", value.get<std::string>());
  if (value.is_array()) return "a list";
  if (value.is_object()) return "a mapping";
  return value.is_null() ? "nothing" : value.dump();
}

template <typename T>
T whole_number(const ConfigValue& value, std::string_view expected) {
  if (!value.value.is_number_integer()) value.wrong(expected);
  const auto wide = value.value.get<int64_t>();
  const bool fits =
      std::is_unsigned_v<T> ? wide >= 0 || value.value.is_number_unsigned() : std::in_range<T>(wide);
  if (!fits) value.wrong(expected);
  return value.value.get<T>();
}

template <typename E>
struct EnumName {
  std::string_view name;
  E value;
};
constexpr EnumName<data::Truncate> kTruncate[] = {{"keep_start", data::Truncate::keep_start},
                                                  {"keep_end", data::Truncate::keep_end},
                                                  {"drop", data::Truncate::drop}};
constexpr EnumName<data::TrainOn> kTrainOn[] = {{"completions", data::TrainOn::completions},
                                                {"assistant", data::TrainOn::assistant},
                                                {"all", data::TrainOn::all}};
constexpr EnumName<Precision> kPrecision[] = {
    {"auto", Precision::automatic}, {"f32", Precision::f32}, {"bf16", Precision::bf16}};
constexpr EnumName<RecomputeChoice> kRecompute[] = {
    {"auto", RecomputeChoice::automatic}, {"none", RecomputeChoice::none}, {"block", RecomputeChoice::block}};

constexpr EnumName<AdapterBias> kAdapterBias[] = {
    {"none", AdapterBias::none}, {"lora_only", AdapterBias::lora_only}, {"all", AdapterBias::all}};
constexpr EnumName<RowInit> kRowInit[] = {{"mean", RowInit::mean}, {"random", RowInit::random}};

template <typename Number>
void read_pairs(const ConfigValue& value, std::vector<std::pair<std::string, Number>>& to) {
  if (!value.value.is_object()) value.wrong("a mapping of patterns to numbers");
  to.clear();
  for (const auto& [name, number] : value.value.items()) {
    to.emplace_back(name, Number{});
    read(ConfigValue{number, value.key + "." + name, value.place + "." + name}, to.back().second);
  }
}

template <typename Number>
OrderedJson write_pairs(const std::vector<std::pair<std::string, Number>>& pairs) {
  OrderedJson result = OrderedJson::object();
  for (const auto& [name, number] : pairs) result[name] = write(number);
  return result;
}

template <typename E, size_t N>
void read_enum(const ConfigValue& value, const EnumName<E> (&names)[N], E& to) {
  std::vector<std::string> known;
  for (const auto& entry : names) {
    if (value.value == entry.name) {
      to = entry.value;
      return;
    }
    known.emplace_back(entry.name);
  }
  value.wrong(fmt::format("{}", fmt::join(known, " | ")));
}

template <typename E, size_t N>
OrderedJson write_enum(E value, const EnumName<E> (&names)[N]) {
  for (const auto& entry : names)
    if (entry.value == value) return entry.name;
  return nullptr;
}

}  // namespace

void ConfigValue::wrong(std::string_view expected) const {
  fail_usage("{}: expected {}, found {}", place, expected, shown(value));
}

void read(const ConfigValue& value, bool& to) {
  if (!value.value.is_boolean()) value.wrong("true or false");
  to = value.value.get<bool>();
}
void read(const ConfigValue& value, double& to) {
  if (!value.value.is_number()) value.wrong("a number");
  to = value.value.get<double>();
  if (!std::isfinite(to)) value.wrong("a finite number");
}
void read(const ConfigValue& value, float& to) {
  double wide = 0.0;
  read(value, wide);
  to = static_cast<float>(wide);
}
void read(const ConfigValue& value, int32_t& to) {
  to = whole_number<int32_t>(value, "a whole number");
}
void read(const ConfigValue& value, int64_t& to) {
  to = whole_number<int64_t>(value, "a whole number");
}
void read(const ConfigValue& value, uint64_t& to) {
  to = whole_number<uint64_t>(value, "a whole number that is not negative");
}
void read(const ConfigValue& value, std::string& to) {
  if (!value.value.is_string()) value.wrong("a text");
  to = value.value.get<std::string>();
}
void read(const ConfigValue& value, fs::path& to) {
  std::string text;
  read(value, text);
  to = text;
}
void read(const ConfigValue& value, std::vector<std::string>& to) {
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
void read(const ConfigValue& value, std::vector<int32_t>& to) {
  to.clear();
  if (!value.value.is_array()) {
    read(value, to.emplace_back());
    return;
  }
  for (const auto& item : value.value) read(ConfigValue{item, value.key, value.place}, to.emplace_back());
}
void read(const ConfigValue& value, std::vector<std::pair<std::string, int32_t>>& to) {
  read_pairs(value, to);
}
void read(const ConfigValue& value, std::vector<std::pair<std::string, float>>& to) {
  read_pairs(value, to);
}
void read(const ConfigValue& value, AdapterBias& to) {
  read_enum(value, kAdapterBias, to);
}
void read(const ConfigValue& value, RowInit& to) {
  read_enum(value, kRowInit, to);
}
void read(const ConfigValue& value, std::map<std::string, double>& to) {
  if (!value.value.is_object()) value.wrong("a mapping of names to numbers");
  to.clear();
  for (const auto& [name, number] : value.value.items())
    read(ConfigValue{number, value.key + "." + name, value.place + "." + name}, to[name]);
}
void read(const ConfigValue& value, std::optional<double>& to) {
  if (value.value.is_null()) {
    to.reset();
    return;
  }
  read(value, to.emplace());
}
void read(const ConfigValue& value, Json& to) {
  if (!value.value.is_object()) value.wrong("a mapping");
  to = Json::parse(value.value.dump());
}
void read(const ConfigValue& value, std::vector<data::DataSource>& to) {
  to.clear();
  if (!value.value.is_null() && !(value.value.is_array() && value.value.empty()))
    to = data::data_sources_from_json(Json::parse(value.value.dump()), value.place);
}
void read(const ConfigValue& value, data::Truncate& to) {
  read_enum(value, kTruncate, to);
}
void read(const ConfigValue& value, data::TrainOn& to) {
  read_enum(value, kTrainOn, to);
}
void read(const ConfigValue& value, Precision& to) {
  read_enum(value, kPrecision, to);
}
void read(const ConfigValue& value, RecomputeChoice& to) {
  read_enum(value, kRecompute, to);
}

double read_bytes(const ConfigValue& value) {
  constexpr std::string_view kExpected = "a number of bytes, or one with a unit such as '6 GB'";
  const std::map<std::string_view, double> units{
      {"", 1.0},   {"B", 1.0},   {"kB", 1e3},     {"KB", 1e3},        {"MB", 1e6},
      {"GB", 1e9}, {"TB", 1e12}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}};
  const std::string text = value.value.is_string() ? value.value.get<std::string>() : value.value.dump();
  double amount = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const auto factor = units.find(unit);
  if (error != std::errc() || factor == units.end() || !(amount >= 0.0)) value.wrong(kExpected);
  return amount * factor->second;
}

OrderedJson write(const bool& value) {
  return value;
}
OrderedJson write(const double& value) {
  return value;
}
OrderedJson write(const float& value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double shortest = 0.0;
  std::from_chars(digits, end, shortest);
  return shortest;
}
OrderedJson write(const int32_t& value) {
  return value;
}
OrderedJson write(const int64_t& value) {
  return value;
}
OrderedJson write(const uint64_t& value) {
  return value;
}
OrderedJson write(const std::string& value) {
  return value;
}
OrderedJson write(const fs::path& value) {
  return value.string();
}
OrderedJson write(const std::vector<std::string>& value) {
  return value;
}
OrderedJson write(const std::vector<int32_t>& value) {
  return value;
}
OrderedJson write(const std::vector<std::pair<std::string, int32_t>>& value) {
  return write_pairs(value);
}
OrderedJson write(const std::vector<std::pair<std::string, float>>& value) {
  return write_pairs(value);
}
OrderedJson write(const AdapterBias& value) {
  return write_enum(value, kAdapterBias);
}
OrderedJson write(const RowInit& value) {
  return write_enum(value, kRowInit);
}
OrderedJson write(const std::map<std::string, double>& value) {
  return value;
}
OrderedJson write(const std::optional<double>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}
OrderedJson write(const Json& value) {
  return OrderedJson::parse(value.dump());
}
OrderedJson write(const std::vector<data::DataSource>& value) {
  OrderedJson list = OrderedJson::array();
  for (const data::DataSource& source : value) {
    OrderedJson entry;
    entry["path"] = source.paths;
    if (source.format != data::Format::automatic) entry["format"] = data::format_name(source.format);
    if (!source.columns.empty()) entry["columns"] = source.columns;
    if (source.weight != 1.0) entry["weight"] = source.weight;
    list.push_back(std::move(entry));
  }
  return list;
}
OrderedJson write(const data::Truncate& value) {
  return write_enum(value, kTruncate);
}
OrderedJson write(const data::TrainOn& value) {
  return write_enum(value, kTrainOn);
}
OrderedJson write(const Precision& value) {
  return write_enum(value, kPrecision);
}
OrderedJson write(const RecomputeChoice& value) {
  return write_enum(value, kRecompute);
}

}  // namespace fettle::train
