#include "base/keys.h"

#include <algorithm>

#include "base/error.h"

namespace fettle {
namespace {

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

const KeyInfo* find_info(const std::vector<KeyInfo>& keys, std::string_view name) {
  for (const auto& key : keys)
    if (key.name == name || std::find(key.aliases.begin(), key.aliases.end(), name) != key.aliases.end()) return &key;
  return nullptr;
}

[[noreturn]] void fail_unknown(const std::vector<KeyInfo>& keys, const std::string& name, const KeyStyle& style) {
  std::vector<std::string> known;
  for (const auto& key : keys) {
    known.push_back(key.name);
    known.insert(known.end(), key.aliases.begin(), key.aliases.end());
  }
  const std::string near = nearest_name(name, known);
  if (!near.empty()) fail_usage("{}there is no key '{}'; did you mean '{}'?", style.where, name, near);
  known.clear();
  for (const auto& key : keys) known.push_back(key.name);
  fail_usage("{}there is no key '{}'; it knows {}", style.where, name, fmt::join(known, ", "));
}

/// "--where (--fields)": the command line does not say which of them was used.
std::string spellings(const KeyInfo& key) {
  std::string text = key.flag(), others;
  for (const auto& alias : key.aliases) others += (others.empty() ? "--" : ", --") + with_dashes(alias);
  return others.empty() ? text : fmt::format("{} ({})", text, others);
}

}  // namespace

KeyInfo& KeyInfo::required() { return is_required = true, *this; }
KeyInfo& KeyInfo::positional() { return is_positional = true, *this; }
KeyInfo& KeyInfo::alias(std::string other) { return aliases.push_back(std::move(other)), *this; }
KeyInfo& KeyInfo::only_with(std::vector<std::string> keys) { return needs = std::move(keys), *this; }
KeyInfo& KeyInfo::not_with(std::vector<std::string> keys) { return excludes = std::move(keys), *this; }
KeyInfo& KeyInfo::at_least(double number) { return least = number, *this; }
KeyInfo& KeyInfo::above(double number) { return least = number, above_least = true, *this; }
KeyInfo& KeyInfo::between(double from, double to) { return least = from, most = to, *this; }
KeyInfo& KeyInfo::one_of(std::vector<std::string> names) { return choices = std::move(names), *this; }
KeyInfo& KeyInfo::repeated() { return one_by_one = true, *this; }
KeyInfo& KeyInfo::listed() { return by_comma = true, *this; }
KeyInfo& KeyInfo::by_default(std::string words) { return fallback_text = std::move(words), *this; }
KeyInfo& KeyInfo::input() { return use = Use::input, *this; }
KeyInfo& KeyInfo::is_file_or_name() { return use = Use::named, *this; }
KeyInfo& KeyInfo::output(std::string file_name) { return use = Use::output, file = std::move(file_name), *this; }
KeyInfo& KeyInfo::for_speed() { return use = Use::speed, *this; }
KeyInfo& KeyInfo::on_terminal() { return use = Use::terminal, *this; }

std::string KeyInfo::flag() const { return (is_negative() ? "--no-" : "--") + with_dashes(name); }

std::string KeyInfo::type_text() const {
  if (!choices.empty()) return fmt::format("{}", fmt::join(choices, " | "));
  std::string range;
  if (least > -std::numeric_limits<double>::infinity()) range = fmt::format(" {} {:g}", above_least ? "above" : "from", least);
  if (most < std::numeric_limits<double>::infinity()) range += fmt::format(" to {:g}", most);
  switch (kind) {
    case Kind::flag:
      return "true or false";
    case Kind::whole:
      return "whole number" + range;
    case Kind::number:
      return "number" + range;
    case Kind::size:
      return "bytes, as 2GB";
    case Kind::text:
      return use == Use::input || use == Use::output ? "path" : "text";
    case Kind::texts:
      return use == Use::input ? "paths" : "list of texts";
    case Kind::numbers:
      return "list of numbers" + range;
    case Kind::mapping:
      return "mapping";
    case Kind::any:
      return "text, list or mapping";
  }
  return {};
}

std::string KeyInfo::default_text() const {
  if (!fallback_text.empty()) return fallback_text;
  if (fallback.is_null() || (kind == Kind::flag && fallback == false)) return {};
  if (fallback.is_array()) {
    std::vector<std::string> items;
    for (const auto& item : fallback) items.push_back(item.is_string() ? item.get<std::string>() : dump_json(item));
    return fmt::format("{}", fmt::join(items, ","));
  }
  return fallback.is_string() ? fallback.get<std::string>() : dump_json(fallback);
}

void KeyInfo::check(const ConfigValue& value) const {
  if (!choices.empty() && value.value.is_string() && std::find(choices.begin(), choices.end(), value.value) == choices.end())
    value.wrong(type_text());
  const auto in_range = [&](const OrderedJson& number) {
    if (!number.is_number()) return;
    const double at = number.get<double>();
    if (at < least || at > most || (above_least && at == least)) value.wrong("a " + type_text());
  };
  if (value.value.is_array()) {
    for (const auto& item : value.value) in_range(item);
  } else {
    in_range(value.value);
  }
}

std::string KeyStyle::shown(std::string_view key) const {
  return flags ? "--" + with_dashes(std::string(key)) : std::string(key);
}

KeyValues::KeyValues(const std::vector<KeyInfo>& keys, const OrderedJson& given, const KeyStyle& style) : style_(style) {
  for (const auto& [written, value] : given.items()) {
    std::string name = written;
    std::replace(name.begin(), name.end(), '-', '_');
    const KeyInfo* key = find_info(keys, name);
    if (key == nullptr) fail_unknown(keys, written, style_);
    if (has(key->name))
      fail_usage("{}'{}' is given twice, once as '{}'; keep one of them", style_.where, key->name, written);
    written_[key->name] = style_.flags ? spellings(*key) : written;
    values_[key->name] = value;
  }
  for (const auto& key : keys) {
    if (has(key.name)) {
      check_needs(key);
      key.check(at(key.name));
    } else if (key.is_required) {
      fail_usage("{}{} is missing: {}", style_.where, shown(key.name), key.help);
    }
  }
}

std::string KeyValues::shown(std::string_view key) const {
  const auto found = written_.find(key);
  return found == written_.end() ? style_.shown(key) : found->second;
}

void KeyValues::check_needs(const KeyInfo& key) const {
  const auto given = [&](const std::string& name) { return has(name); };
  if (!key.needs.empty() && std::none_of(key.needs.begin(), key.needs.end(), given)) {
    std::vector<std::string> names;
    for (const auto& name : key.needs) names.push_back(shown(name));
    fail_usage("{}{} has no effect without {} ({})", style_.where, shown(key.name), fmt::join(names, " or "), key.help);
  }
  for (const auto& name : key.excludes)
    if (has(name)) fail_usage("{}{} has no effect beside {}", style_.where, shown(key.name), shown(name));
}

}  // namespace fettle
