#include "text/jinja/callable.h"

#include <algorithm>

namespace fettle::jinja {

bool Loop::peek() {
  while (given == ready.size() && next < items.size()) {
    const Value& item = items[next++];
    if (!filter || filter(item)) ready.push_back(item);
  }
  return given < ready.size();
}

bool Loop::advance() {
  if (!peek()) return false;
  ++index0;
  previous = std::move(current);
  current = std::move(ready[given++]);
  return true;
}

int64_t Loop::length() {
  while (next < items.size()) {
    const Value& item = items[next++];
    if (!filter || filter(item)) ready.push_back(item);
  }
  return index0 + 1 + static_cast<int64_t>(ready.size() - given);
}

Bound::Bound(std::string_view function, const Arguments& arguments,
             std::initializer_list<std::string_view> names)
    : function_(function), names_(names), values_(names.size(), nullptr) {
  if (arguments.positional.size() > names_.size()) {
    raise("{} takes {} arguments, got {}", function_, names_.size(), arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) raise("{} has no argument '{}'", function_, name);
    const Value*& slot = values_[static_cast<size_t>(found - names_.begin())];
    if (slot != nullptr) raise("{} got argument '{}' twice", function_, name);
    slot = &value;
  }
}

const Value& Bound::required(size_t index) const {
  if (values_[index] == nullptr) raise("{} needs the argument '{}'", function_, names_[index]);
  return *values_[index];
}

bool Bound::flag(size_t index, bool fallback) const {
  return values_[index] == nullptr ? fallback : values_[index]->truth();
}

int64_t Bound::integer(size_t index, int64_t fallback) const {
  if (values_[index] == nullptr) return fallback;
  if (!values_[index]->is_integer()) {
    raise("{}: '{}' must be an integer, got {}", function_, names_[index], values_[index]->type_name());
  }
  return values_[index]->integer();
}

const Text* Bound::text(size_t index) const {
  if (values_[index] == nullptr || values_[index]->is_none()) return nullptr;
  return &required_text(index);
}

const Text& Bound::required_text(size_t index) const {
  const Value& value = required(index);
  if (!value.is_string()) {
    raise("{}: '{}' must be a string, got {}", function_, names_[index], value.type_name());
  }
  return *value.text();
}

}  // namespace fettle::jinja
