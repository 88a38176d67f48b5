#include "text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "text/jinja/callable.h"

namespace fettle::jinja {

Value Value::undefined(std::string hint) {
  Value out;
  out.data_ = Undefined{std::make_shared<const std::string>(std::move(hint))};
  return out;
}

int64_t Value::integer() const {
  if (const bool* flag = std::get_if<bool>(&data_)) return *flag ? 1 : 0;
  return std::get<int64_t>(data_);
}

double Value::real() const {
  if (const double* number = std::get_if<double>(&data_)) return *number;
  return static_cast<double>(integer());
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (is_integer()) return integer() != 0;
  if (is_real()) return real() != 0.0;
  if (const Text* string = text()) return !string->empty();
  if (const List* items = list()) return items->kind == ListKind::generator || !items->items.empty();
  if (const Dict* entries = dict()) return !entries->entries.empty();
  return true;
}

std::string_view Value::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_boolean()) return "bool";
  if (is_integer()) return "int";
  if (is_real()) return "float";
  if (is_string()) return "str";
  if (dict() != nullptr) return "dict";
  if (space() != nullptr) return "Namespace";
  if (loop() != nullptr) return "LoopContext";
  if (callable() != nullptr) return "function";
  constexpr std::string_view names[] = {"list",       "tuple",     "range",      "generator",
                                        "dict_items", "dict_keys", "dict_values"};
  return names[static_cast<size_t>(list()->kind)];
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    const Text* text = name.text();
    if (text != nullptr && text->bytes() == key) return &value;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (const Text* text = key.text()) return find(text->bytes());
  for (const auto& [name, value] : entries) {
    if (equal(name, key)) return &value;
  }
  return nullptr;
}

Value* Namespace::find(std::string_view name) {
  for (auto& [key, value] : entries) {
    if (key == name) return &value;
  }
  return nullptr;
}

namespace {

int depth_of(const Value& value) {
  if (const List* list = value.list()) return list->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  return 0;
}

template <typename Container>
void add_child(Container& parent, const Value& child) {
  parent.depth = std::max(parent.depth, 1 + depth_of(child));
  parent.weight += weight(child);
  if (parent.depth > kMaxDepth) raise("lists and dicts are nested more than {} deep", kMaxDepth);
  if (parent.weight > kMaxWeight) raise("a list or dict of more than {} values", kMaxWeight);
}

/// Finds keys of a dict, of which a look-up alone walks through all entries.
class KeyPlaces {
 public:
  /// To be called when entries came to `dict`, which is always the same one.
  void added(const Dict& dict) {
    constexpr size_t few = 16;
    if (dict.entries.size() <= few) return;
    for (; counted_ < dict.entries.size(); ++counted_) {
      const Text* text = dict.entries[counted_].first.text();
      if (text != nullptr)
        strings_.emplace(text->bytes(), counted_);
      else
        others_.push_back(counted_);
    }
  }

  const Value* find(const Dict& dict, const Value& key) const {
    if (counted_ == 0) return dict.find(key);
    if (const Text* text = key.text()) {
      const auto found = strings_.find(text->bytes());
      return found == strings_.end() ? nullptr : &dict.entries[found->second].second;
    }
    for (const size_t place : others_) {
      if (equal(dict.entries[place].first, key)) return &dict.entries[place].second;
    }
    return nullptr;
  }

 private:
  size_t counted_ = 0;                                    ///< entries that stand in the two below
  std::unordered_map<std::string_view, size_t> strings_;  ///< the keys' texts are shared and do not move
  std::vector<size_t> others_;
};

}  // namespace

int64_t weight(const Value& value) {
  if (const List* list = value.list()) return list->weight;
  if (const Dict* dict = value.dict()) return dict->weight;
  if (const Text* text = value.text()) return 1 + static_cast<int64_t>(text->size() / 64);
  return 1;
}

Value make_list(std::vector<Value> items, ListKind kind) {
  if (static_cast<int64_t>(items.size()) > kMaxItems) raise("a list of more than {} items", kMaxItems);
  auto list = std::make_shared<List>();
  for (const Value& item : items) add_child(*list, item);
  list->items = std::move(items);
  list->kind = kind;
  return std::shared_ptr<const List>(std::move(list));
}

Dict dict_of(std::vector<std::pair<Value, Value>> entries) {
  if (static_cast<int64_t>(entries.size()) > kMaxItems) raise("a dict of more than {} keys", kMaxItems);
  Dict dict;
  KeyPlaces places;
  dict.entries.reserve(entries.size());
  for (auto& [key, value] : entries) {
    const List* list = key.list();
    if (key.dict() != nullptr || (list != nullptr && list->kind == ListKind::list)) {
      raise("unhashable type: '{}'", key.type_name());
    }
    add_child(dict, key);
    add_child(dict, value);
    if (const Value* known = places.find(dict, key)) {
      *const_cast<Value*>(known) = std::move(value);
    } else {
      dict.entries.emplace_back(std::move(key), std::move(value));
      places.added(dict);
    }
  }
  return dict;
}

Value from_json(const OrderedJson& json, int32_t source) {
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return json.get<bool>();
    case OrderedJson::value_t::number_integer:
      return json.get<int64_t>();
    case OrderedJson::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number > static_cast<uint64_t>(INT64_MAX)) return static_cast<double>(number);
      return static_cast<int64_t>(number);
    }
    case OrderedJson::value_t::number_float:
      return json.get<double>();
    case OrderedJson::value_t::string:
      return Value::string(json.get<std::string>(), source);
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(item, source));
      return make_list(std::move(items));
    }
    case OrderedJson::value_t::object: {
      // Keys of an object already differ, so no look-up per key.
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, value] : json.items()) {
        dict->entries.emplace_back(Value::string(key, source), from_json(value, source));
        add_child(*dict, dict->entries.back().second);
      }
      return std::shared_ptr<const Dict>(std::move(dict));
    }
    default:
      return None{};
  }
}

namespace {

bool ordered_kind(ListKind kind) {
  return kind == ListKind::list || kind == ListKind::tuple || kind == ListKind::range;
}

bool equal_lists(const List& left, const List& right) {
  if (&left == &right) return true;
  if (left.kind != right.kind || !ordered_kind(left.kind)) return false;
  return std::equal(left.items.begin(), left.items.end(), right.items.begin(), right.items.end(), equal);
}

bool equal_dicts(const Dict& left, const Dict& right) {
  if (&left == &right) return true;
  if (left.entries.size() != right.entries.size()) return false;
  KeyPlaces places;
  places.added(right);
  return std::all_of(left.entries.begin(), left.entries.end(), [&](const auto& entry) {
    const Value* other = places.find(right, entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

template <typename T>
int sign(const T& left, const T& right) {
  return left < right ? -1 : right < left ? 1 : 0;
}

}  // namespace

bool equal(const Value& left, const Value& right) {
  if (left.is_integer() && right.is_integer()) return left.integer() == right.integer();
  if (left.is_number() && right.is_number()) return left.real() == right.real();
  if (left.is_string() && right.is_string()) return left.text()->bytes() == right.text()->bytes();
  if (left.list() != nullptr && right.list() != nullptr) return equal_lists(*left.list(), *right.list());
  if (left.dict() != nullptr && right.dict() != nullptr) return equal_dicts(*left.dict(), *right.dict());
  if (left.is_none() || right.is_none()) return left.is_none() && right.is_none();
  if (left.is_undefined() || right.is_undefined()) return left.is_undefined() && right.is_undefined();
  if (left.space() != nullptr || right.space() != nullptr) return left.space() == right.space();
  if (left.loop() != nullptr || right.loop() != nullptr) return left.loop() == right.loop();
  return left.callable() != nullptr && left.callable() == right.callable();
}

int compare(const Value& left, const Value& right, std::string_view symbol) {
  if (left.is_integer() && right.is_integer()) return sign(left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return sign(left.real(), right.real());
  if (left.is_string() && right.is_string()) return sign(left.text()->bytes(), right.text()->bytes());
  for (const Value* side : {&left, &right}) {
    if (side->is_undefined() && side->hint().hint != nullptr) raise("{}", *side->hint().hint);
  }
  const List* first = left.list();
  const List* second = right.list();
  if (first == nullptr || second == nullptr || first->kind != second->kind || !ordered_kind(first->kind) ||
      first->kind == ListKind::range) {
    raise("'{}' not supported between instances of '{}' and '{}'", symbol, left.type_name(),
          right.type_name());
  }
  const size_t common = std::min(first->items.size(), second->items.size());
  for (size_t i = 0; i < common; ++i) {
    if (!equal(first->items[i], second->items[i])) return compare(first->items[i], second->items[i], symbol);
  }
  return sign(first->items.size(), second->items.size());
}

std::vector<Value> iterate(const Value& value) {
  if (value.is_undefined()) return {};
  if (value.loop() != nullptr) raise("'{}' object is not iterable here", value.type_name());
  if (const List* list = value.list()) {
    if (list->kind != ListKind::generator) return list->items;
    const auto from = list->items.begin() + static_cast<std::ptrdiff_t>(list->consumed);
    list->consumed = list->items.size();
    return {from, list->items.end()};
  }
  std::vector<Value> out;
  if (const Dict* dict = value.dict()) {
    out.reserve(dict->entries.size());
    for (const auto& entry : dict->entries) out.push_back(entry.first);
    return out;
  }
  const Text* text = value.text();
  if (text == nullptr) raise("'{}' object is not iterable", value.type_name());
  for (size_t at = 0; at < text->size();) {
    if (static_cast<int64_t>(out.size()) >= kMaxItems)
      raise("a string of more than {} characters as a list", kMaxItems);
    const size_t begin = at;
    next_character(text->bytes(), at);
    out.emplace_back(text->slice(begin, at));
  }
  return out;
}

std::string repr_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                    plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(buffer, result.ptr);
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}

namespace {

void append_items(Text& out, const List& list, std::string_view open, std::string_view close) {
  out.append(open, kFromTemplate);
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out.append(", ", kFromTemplate);
    append_repr(out, list.items[i]);
    check_size(static_cast<int64_t>(out.size()));
  }
  if (list.kind == ListKind::tuple && list.items.size() == 1) out.append(",", kFromTemplate);
  out.append(close, kFromTemplate);
}

void append_list(Text& out, const List& list) {
  switch (list.kind) {
    case ListKind::list:
      return append_items(out, list, "[", "]");
    case ListKind::tuple:
      return append_items(out, list, "(", ")");
    case ListKind::items:
      return append_items(out, list, "dict_items([", "])");
    case ListKind::keys:
      return append_items(out, list, "dict_keys([", "])");
    case ListKind::values:
      return append_items(out, list, "dict_values([", "])");
    case ListKind::range:
      return out.append(list.label, kFromTemplate);
    case ListKind::generator:
      return out.append("<generator object>", kFromTemplate);
  }
}

void append_dict(Text& out, const Dict& dict) {
  out.append("{", kFromTemplate);
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!first) out.append(", ", kFromTemplate);
    first = false;
    append_repr(out, key);
    out.append(": ", kFromTemplate);
    append_repr(out, value);
    check_size(static_cast<int64_t>(out.size()));
  }
  out.append("}", kFromTemplate);
}

}  // namespace

void append_repr(Text& out, const Value& value) {
  if (const Text* text = value.text()) {
    return out.append(escaped(text->bytes()), text->main_source());
  }
  if (value.is_undefined()) return out.append("Undefined", kFromTemplate);
  append_str(out, value);
}

void append_str(Text& out, const Value& value) {
  if (value.is_undefined()) return;
  if (const Text* text = value.text()) return out.append(*text);
  if (const List* list = value.list()) return append_list(out, *list);
  if (const Dict* dict = value.dict()) return append_dict(out, *dict);
  if (value.is_none()) return out.append("None", kFromTemplate);
  if (value.is_boolean()) return out.append(value.integer() != 0 ? "True" : "False", kFromTemplate);
  if (value.is_integer()) return out.append(std::to_string(value.integer()), kFromTemplate);
  if (value.is_real()) return out.append(repr_real(value.real()), kFromTemplate);
  if (value.callable() != nullptr) return out.append("<" + value.callable()->name + ">", kFromTemplate);
  out.append(fmt::format("<{}>", value.type_name()), kFromTemplate);
}

Text to_text(const Value& value) {
  if (value.is_string()) return *value.text();
  Text out;
  append_str(out, value);
  return out;
}

void check_size(int64_t bytes) {
  if (bytes > kMaxBytes) raise("a text of more than {} MiB", kMaxBytes >> 20);
}

}  // namespace fettle::jinja
