#include "train/config_value.h"

namespace fettle::train {
namespace {

constexpr std::pair<std::string_view, Precision> kPrecision[] = {
    {"auto", Precision::automatic}, {"f32", Precision::f32}, {"bf16", Precision::bf16}};
constexpr std::pair<std::string_view, RecomputeChoice> kRecompute[] = {
    {"auto", RecomputeChoice::automatic}, {"none", RecomputeChoice::none}, {"block", RecomputeChoice::block}};
constexpr std::pair<std::string_view, AdapterBias> kAdapterBias[] = {
    {"none", AdapterBias::none}, {"lora_only", AdapterBias::lora_only}, {"all", AdapterBias::all}};
constexpr std::pair<std::string_view, RowInit> kRowInit[] = {{"mean", RowInit::mean}, {"random", RowInit::random}};

}  // namespace

void read_value(const ConfigValue& value, AdapterBias& to) {
  read_choice(value, kAdapterBias, to);
}
OrderedJson write_value(const AdapterBias& value) {
  return write_choice(value, kAdapterBias);
}
void read_value(const ConfigValue& value, RowInit& to) {
  read_choice(value, kRowInit, to);
}
OrderedJson write_value(const RowInit& value) {
  return write_choice(value, kRowInit);
}
void read_value(const ConfigValue& value, data::Truncate& to) {
  read_choice(value, data::truncate_names, to);
}
OrderedJson write_value(const data::Truncate& value) {
  return write_choice(value, data::truncate_names);
}
void read_value(const ConfigValue& value, data::TrainOn& to) {
  read_choice(value, data::train_on_names, to);
}
OrderedJson write_value(const data::TrainOn& value) {
  return write_choice(value, data::train_on_names);
}
void read_value(const ConfigValue& value, Precision& to) {
  read_choice(value, kPrecision, to);
}
OrderedJson write_value(const Precision& value) {
  return write_choice(value, kPrecision);
}
void read_value(const ConfigValue& value, RecomputeChoice& to) {
  read_choice(value, kRecompute, to);
}
OrderedJson write_value(const RecomputeChoice& value) {
  return write_choice(value, kRecompute);
}
void read_value(const ConfigValue& value, std::vector<data::DataSource>& to) {
  to.clear();
  if (!value.value.is_null() && !(value.value.is_array() && value.value.empty()))
    to = data::data_sources_from_json(Json::parse(value.value.dump()), value.place);
}
OrderedJson write_value(const std::vector<data::DataSource>& value) {
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

}  // namespace fettle::train
