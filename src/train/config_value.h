#pragma once
// The values of the training config that have types of its own; base/config_value.h has the others.
#include <string_view>
#include <utility>
#include <vector>

#include "base/config_value.h"
#include "train/config.h"

namespace fettle::train {

using fettle::read_value;
using fettle::write_value;

void read_value(const ConfigValue& value, AdapterBias& to);
void read_value(const ConfigValue& value, RowInit& to);
void read_value(const ConfigValue& value, std::vector<data::DataSource>& to);
void read_value(const ConfigValue& value, data::Truncate& to);
void read_value(const ConfigValue& value, data::TrainOn& to);
void read_value(const ConfigValue& value, Precision& to);
void read_value(const ConfigValue& value, RecomputeChoice& to);

OrderedJson write_value(const AdapterBias& value);
OrderedJson write_value(const RowInit& value);
OrderedJson write_value(const std::vector<data::DataSource>& value);
OrderedJson write_value(const data::Truncate& value);
OrderedJson write_value(const data::TrainOn& value);
OrderedJson write_value(const Precision& value);
OrderedJson write_value(const RecomputeChoice& value);

}  // namespace fettle::train
