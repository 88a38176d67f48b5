#include <simdjson.h>

#include <cctype>
#include <optional>
#include <unordered_map>

#include "data/rows/parsed.h"
#include "data/rows/row.h"
#include "data/rows/row_view.h"

namespace fettle::data {
namespace {

constexpr size_t max_depth = 512;

/// The last of equal keys wins, at the place of the first. Looking a key up in an ordered object is linear,
/// so objects with many keys go through a set.
OrderedJson convert_object(simdjson::dom::object fields) {
  constexpr size_t few = 32;
  OrderedJson::object_t object;
  object.reserve(fields.size());
  std::unordered_map<std::string, size_t> places;
  for (const auto field : fields) {
    if (object.size() < few) {
      object[std::string(field.key)] = to_ordered_json(field.value);
      continue;
    }
    if (places.empty()) {
      for (size_t i = 0; i < object.size(); ++i) places.emplace(object.data()[i].first, i);
    }
    const auto [place, fresh] = places.emplace(std::string(field.key), object.size());
    if (fresh) {
      object.emplace_back(std::string(field.key), to_ordered_json(field.value));
    } else {
      object.data()[place->second].second = to_ordered_json(field.value);
    }
  }
  return OrderedJson(std::move(object));
}

std::optional<unsigned> escape_at(std::string_view text, size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  unsigned value = 0;
  for (size_t i = at + 2; i < at + 6; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (std::isxdigit(c) == 0) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

/// What Python's json module writes and JSON does not allow: lone surrogate escapes, NaN, Infinity,
/// -Infinity.
std::string repair(std::string_view text) {
  std::string fixed;
  fixed.reserve(text.size());
  bool in_string = false;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (!in_string) {
      size_t word = 0;
      for (const std::string_view name : {"NaN", "Infinity", "-Infinity"}) {
        if (text.substr(at).starts_with(name)) word = name.size();
      }
      in_string = c == '"';
      fixed += word > 0 ? std::string_view("null") : text.substr(at, 1);
      at += word > 0 ? word : 1;
    } else if (c == '\\') {
      const auto first = escape_at(text, at);
      const bool high = first && *first >= 0xD800 && *first < 0xDC00;
      const auto second = high ? escape_at(text, at + 6) : std::nullopt;
      const bool pair = second && *second >= 0xDC00 && *second < 0xE000;
      const bool lone = first && *first >= 0xD800 && *first < 0xE000 && !pair;
      const size_t length = pair ? 12 : first ? 6 : 2;
      fixed += lone ? std::string_view("\\ufffd") : text.substr(at, length);
      at += length;
    } else {
      in_string = c != '"';
      fixed += c;
      ++at;
    }
  }
  return fixed;
}

}  // namespace

OrderedJson to_ordered_json(simdjson::dom::element element) {
  using Type = simdjson::dom::element_type;
  switch (element.type()) {
    case Type::OBJECT:
      return convert_object(simdjson::dom::object(element));
    case Type::ARRAY: {
      OrderedJson::array_t array;
      for (const auto item : simdjson::dom::array(element)) array.push_back(to_ordered_json(item));
      return array;
    }
    case Type::STRING:
      return std::string(std::string_view(element));
    case Type::INT64:
      return int64_t(element);
    case Type::UINT64:
      return uint64_t(element);
    case Type::DOUBLE:
      return double(element);
    case Type::BOOL:
      return bool(element);
    case Type::NULL_VALUE:
      break;
  }
  return nullptr;
}

OrderedJson parse_row(const Row& row, bool* repaired) {
  thread_local simdjson::dom::parser parser;
  if (parser.max_depth() != max_depth && parser.allocate(size_t{1} << 16, max_depth) != simdjson::SUCCESS) {
    throw std::bad_alloc();
  }
  simdjson::dom::element element;
  if (parsed(parser.parse(row.text).get(element))) return to_ordered_json(element);
  const std::string fixed = repair(row.text);
  if (repaired != nullptr) *repaired = fixed != row.text;
  if (fixed != row.text && parsed(parser.parse(fixed).get(element))) return to_ordered_json(element);
  // What is left is broken, for which this parser has the better message, or has a number beyond 64 bits.
  return OrderedJson(parse_json(fixed, row.where()));
}

}  // namespace fettle::data
