#pragma once
// Reading and writing one value of the config: the types that keys have, and errors that name key, line,
// expected and found.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "train/config.h"

namespace fettle::train {

/// One value with its place. The value must outlive this.
struct ConfigValue {
  const OrderedJson& value;
  std::string key;    ///< full path with dots
  std::string place;  ///< "train.yaml:12: beta"

  /// Throws Error(usage): "<place>: expected <expected>, found <the value>".
  [[noreturn]] void wrong(std::string_view expected) const;
};

void read(const ConfigValue& value, bool& to);
void read(const ConfigValue& value, double& to);
void read(const ConfigValue& value, float& to);
void read(const ConfigValue& value, int32_t& to);
void read(const ConfigValue& value, int64_t& to);
void read(const ConfigValue& value, uint64_t& to);
void read(const ConfigValue& value, std::string& to);
void read(const ConfigValue& value, fs::path& to);
void read(const ConfigValue& value, std::vector<std::string>& to);  ///< a list, or one text
void read(const ConfigValue& value, std::vector<int32_t>& to);      ///< a list, or one number
void read(const ConfigValue& value, std::map<std::string, double>& to);
void read(const ConfigValue& value, std::vector<std::pair<std::string, int32_t>>& to);  ///< a mapping, in its order
void read(const ConfigValue& value, std::vector<std::pair<std::string, float>>& to);
void read(const ConfigValue& value, AdapterBias& to);
void read(const ConfigValue& value, RowInit& to);
void read(const ConfigValue& value, std::optional<double>& to);
void read(const ConfigValue& value, Json& to);  ///< an object
void read(const ConfigValue& value, std::vector<data::DataSource>& to);
void read(const ConfigValue& value, data::Truncate& to);
void read(const ConfigValue& value, data::TrainOn& to);
void read(const ConfigValue& value, Precision& to);
void read(const ConfigValue& value, RecomputeChoice& to);
/// Bytes: a number, or a text with a unit ("6 GB", "500 MB").
double read_bytes(const ConfigValue& value);

OrderedJson write(const bool& value);
OrderedJson write(const double& value);
OrderedJson write(const float& value);  ///< the shortest decimal that reads back as this float
OrderedJson write(const int32_t& value);
OrderedJson write(const int64_t& value);
OrderedJson write(const uint64_t& value);
OrderedJson write(const std::string& value);
OrderedJson write(const fs::path& value);
OrderedJson write(const std::vector<std::string>& value);
OrderedJson write(const std::vector<int32_t>& value);
OrderedJson write(const std::map<std::string, double>& value);
OrderedJson write(const std::vector<std::pair<std::string, int32_t>>& value);
OrderedJson write(const std::vector<std::pair<std::string, float>>& value);
OrderedJson write(const AdapterBias& value);
OrderedJson write(const RowInit& value);
OrderedJson write(const std::optional<double>& value);
OrderedJson write(const Json& value);
OrderedJson write(const std::vector<data::DataSource>& value);
OrderedJson write(const data::Truncate& value);
OrderedJson write(const data::TrainOn& value);
OrderedJson write(const Precision& value);
OrderedJson write(const RecomputeChoice& value);

}  // namespace fettle::train
