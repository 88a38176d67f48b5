#include "data/rows/fields.h"

#include "text/unicode/unicode.h"

#include <algorithm>
#include <cstdlib>


namespace fettle::data {
namespace {

RowKeys::Value kind_of(const OrderedJson& value) {
  if (value.is_null()) return RowKeys::Value::null;
  if (value.is_string()) return RowKeys::Value::text;
  if (value.is_array()) return RowKeys::Value::list;
  return value.is_object() ? RowKeys::Value::object : RowKeys::Value::other;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}

}  // namespace

Fields::Fields(const OrderedJson& row, const Columns& columns, std::string_view where, RowUse* use)
    : row_(row), columns_(columns), where_(where), use_(use) {
  for (const auto& [key, value] : row.get_ref<const OrderedJson::object_t&>()) {
    const int index = row_key_index(key);
    if (index < 0) continue;
    // Of keys that differ only in the case of their letters, the one spelled as the format spells it counts.
    const Slot& slot = slots_[static_cast<size_t>(index)];
    if (slot.value == nullptr || key == fettle::data::row_keys()[static_cast<size_t>(index)])
      put(index, key, value);
  }
  for (const auto& [role, column] : columns) rename(role, column);
}

void Fields::put(int index, const std::string& name, const OrderedJson& value) {
  slots_[static_cast<size_t>(index)] = {&value, &name};
  keys_.set(index, kind_of(value));
}

void Fields::rename(const std::string& role, const std::string& column) {
  const std::string* name = &column;
  if (const size_t sign = column.find(">="); role == "label" && sign != std::string::npos) {
    const std::string number = trimmed(std::string_view(column).substr(sign + 2));
    char* end = nullptr;
    threshold_ = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0') fail_usage("columns: label: '{}' should be COLUMN >= NUMBER", column);
    label_column_ = trimmed(std::string_view(column).substr(0, sign));
    name = &label_column_;
  }
  const int index = row_key_index(role);
  if (index < 0) return;
  const auto found = row_.find(*name);
  if (found != row_.end()) {
    put(index, *name, *found);
  } else {
    slots_[static_cast<size_t>(index)] = {};
    keys_.set(index, RowKeys::Value::null);
    keys_.null.reset(static_cast<size_t>(index));
  }
}

std::string Fields::name(std::string_view role) const {
  const int index = row_key_index(role);
  if (index >= 0 && slots_[static_cast<size_t>(index)].name != nullptr)
    return *slots_[static_cast<size_t>(index)].name;
  const auto renamed = columns_.find(std::string(role));
  return renamed == columns_.end() ? std::string(role) : renamed->second;
}

void Fields::note(std::string_view role, const std::string& column) const {
  if (use_ == nullptr) return;
  if (std::find(use_->columns.begin(), use_->columns.end(), column) == use_->columns.end())
    use_->columns.push_back(column);
  if (role != column) {
    std::string mapping = fmt::format("{} → {}", column, role);
    if (std::find(use_->mappings.begin(), use_->mappings.end(), mapping) == use_->mappings.end())
      use_->mappings.push_back(std::move(mapping));
  }
}

const OrderedJson* Fields::find(std::string_view role) const {
  const int index = row_key_index(role);
  if (index < 0) {
    const auto found = row_.find(role);
    return found == row_.end() || found->is_null() ? nullptr : &*found;
  }
  const Slot& slot = slots_[static_cast<size_t>(index)];
  if (slot.value == nullptr || slot.value->is_null()) return nullptr;
  note(role, *slot.name);
  return slot.value;
}

const OrderedJson* Fields::first_of(KeyNames roles, std::string* found) const {
  // What the user has mapped goes before what the row happens to hold under another name.
  for (const bool mapped : {true, false}) {
    if (mapped && columns_.empty()) continue;
    for (const auto* role : roles) {
      if (mapped && !columns_.contains(role)) continue;
      const Slot& slot = slots_[static_cast<size_t>(row_key_index(role))];
      if (slot.value == nullptr || slot.value->is_null()) continue;
      if (found != nullptr) *found = *slot.name;
      note(roles.front(), *slot.name);
      return slot.value;
    }
  }
  return nullptr;
}

std::vector<std::string> Fields::keys() const {
  std::vector<std::string> all;
  for (const auto& [key, value] : row_.items()) all.push_back(key);
  return all;
}

const OrderedJson& Fields::need(std::string_view role) const {
  const auto* value = find(role);
  if (value != nullptr) return *value;
  const std::string key = name(role);
  if (row_.contains(key))
    throw RowError(fmt::format("no value ('{}')", key), where_,
                   fmt::format("key '{}' is null, a value was expected", key));
  const std::string near = nearest_name(key, keys());
  fail(where_, "key '{}' is missing{}; the row has {}", key,
       near.empty() ? "" : fmt::format(", did you mean '{}'?", near), quoted(keys()));
}

const OrderedJson& Fields::need_one_of(KeyNames roles, std::string* found) const {
  if (const auto* value = first_of(roles, found)) return *value;
  for (const auto* role : roles) {
    if (slots_[static_cast<size_t>(row_key_index(role))].value != nullptr) return need(role);
  }
  return need(roles.front());
}

std::string Fields::text(std::string_view role) const {
  const auto& value = need(role);
  if (!value.is_string()) fail(where_, "key '{}' should be text, found {}", name(role), describe(value));
  return value.get<std::string>();
}

std::string Fields::text_or_empty(std::string_view role) const {
  return has(role) ? text(role) : std::string();
}

std::string describe(const OrderedJson& value) {
  std::string shown = dump_json(value);
  if (shown.size() > 40) shown = shown.substr(0, unicode::character_boundary(shown, 40)) + "…";
  return fmt::format("{}{}",
                     value.is_array()    ? "a list "
                     : value.is_object() ? "an object "
                     : value.is_string() ? "the text "
                                         : "",
                     shown);
}

std::string quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "'" : ", '") + word + "'";
  return text;
}

}  // namespace fettle::data
