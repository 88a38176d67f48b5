#include "generate/constrain/schema_constraints.h"

#include <algorithm>
#include <cmath>

#include "generate/constrain/grammar_work.h"

namespace fettle {
namespace {

constexpr size_t most_schema_steps = 200000, deepest_chain = 100;

using Names = std::set<std::string_view>;
// What describes a value and changes none.
const Names annotations{"title",
                        "description",
                        "default",
                        "example",
                        "examples",
                        "$schema",
                        "$id",
                        "id",
                        "$comment",
                        "$anchor",
                        "$vocabulary",
                        "deprecated",
                        "readOnly",
                        "writeOnly",
                        "$defs",
                        "definitions",
                        "components",
                        "strict",
                        "xml",
                        "externalDocs",
                        "discriminator",
                        "contentEncoding",
                        "contentMediaType",
                        "contentSchema",
                        "propertyOrdering",
                        "markdownDescription",
                        "enumDescriptions",
                        "enumNames",
                        "name"};
const Names object_keys{"properties",    "required",      "additionalProperties", "patternProperties",
                        "propertyNames", "minProperties", "maxProperties",        "unevaluatedProperties"};
const Names array_keys{"items",    "prefixItems", "additionalItems", "minItems",
                       "maxItems", "uniqueItems", "unevaluatedItems"};
const Names string_keys{"pattern", "minLength", "maxLength"};
const Names number_keys{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"};
const Names other_keys{"type", "enum", "const", "format", "nullable"};
const Names joining_keys{"$ref", "allOf", "anyOf", "oneOf"};

bool is_own(std::string_view key) {
  return std::ranges::any_of(std::array{&object_keys, &array_keys, &string_keys, &number_keys, &other_keys},
                             [&](const Names* names) { return names->contains(key); });
}

/// {} and true let everything through.
bool is_all(const OrderedJson& schema) {
  return schema == true || (schema.is_object() && schema.empty());
}

void check_keywords(const SchemaPlace& place) {
  for (const auto& [key, value] : place.schema->items()) {
    if (annotations.contains(key) || joining_keys.contains(key) || is_own(key) || key.starts_with("x-"))
      continue;
    if (key == "not" && is_all(value)) continue;
    std::vector<std::string> known;
    for (const Names* names :
         {&object_keys, &array_keys, &string_keys, &number_keys, &other_keys, &joining_keys})
      known.insert(known.end(), names->begin(), names->end());
    const std::string near = nearest_name(key, known);
    fail_schema(place.path, "the keyword '{}' is not supported{}", key.substr(0, 60),
                near.empty() ? "" : "; did you mean '" + near + "'?");
  }
}

std::string decoded(std::string_view text) {
  std::string out;
  const auto digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) && digit(text[i + 2])) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// The keywords of one schema, each read into what is known so far.
class Reader {
 public:
  Reader(const SchemaPlace& place, SchemaConstraints& out)
      : schema_(*place.schema), path_(place.path), out_(out) {}

  void read(uint8_t& implied) {
    read_type(implied);
    read_values();
    read_strings();
    read_numbers();
    read_array();
    read_object();
  }

 private:
  const OrderedJson* find(const char* key) const {
    const auto found = schema_.find(key);
    return found == schema_.end() ? nullptr : &*found;
  }
  std::string below(std::string_view key) const { return path_ + "/" + pointer_step(key); }

  int64_t count(const char* key, int64_t fallback) const {
    const OrderedJson* value = find(key);
    if (value == nullptr) return fallback;
    const bool whole = value->is_number() && value->get<double>() >= 0 &&
                       std::floor(value->get<double>()) == value->get<double>();
    if (!whole) fail_schema(below(key), "must be a whole number of at least 0");
    return static_cast<int64_t>(std::min(value->get<double>(), 2147483647.0));
  }
  void read_counts(const char* least, const char* most, int64_t& low, int64_t& high) const {
    low = std::max(low, count(least, 0));
    const int64_t bound = count(most, -1);
    if (bound >= 0) high = high < 0 ? bound : std::min(high, bound);
    if (high >= 0 && high < low && (find(least) != nullptr || find(most) != nullptr))
      fail_schema(path_, "{} {} is below {} {}", most, high, least, low);
  }

  static uint8_t type_bits(const std::string& name) {
    static const std::map<std::string, uint8_t> bits{{"null", kNull},       {"boolean", kBoolean},
                                                     {"object", kObject},   {"array", kArray},
                                                     {"integer", kInteger}, {"number", kInteger | kFraction},
                                                     {"string", kString}};
    const auto found = bits.find(name);
    return found == bits.end() ? uint8_t{0} : found->second;
  }

  void read_type(uint8_t& implied) {
    const OrderedJson* type = find("type");
    if (type == nullptr) {
      for (const auto& [key, value] : schema_.items()) {
        if (object_keys.contains(key)) implied |= kObject;
        if (array_keys.contains(key)) implied |= kArray;
        if (string_keys.contains(key) || key == "format") implied |= kString;
        if (number_keys.contains(key)) implied |= kInteger | kFraction;
      }
      return;
    }
    const OrderedJson list = type->is_string() ? OrderedJson::array({*type}) : *type;
    if (!list.is_array() || list.empty()) fail_schema(below("type"), "must be a name or a list of names");
    uint8_t bits = 0;
    for (const OrderedJson& name : list) {
      const uint8_t one = name.is_string() ? type_bits(name.get<std::string>()) : uint8_t{0};
      if (one == 0) {
        fail_schema(below("type"), "{} is none of null, boolean, object, array, number, integer, string",
                    dump_json(name).substr(0, 60));
      }
      bits |= one;
    }
    const OrderedJson* nullable = find("nullable");
    if (nullable != nullptr && *nullable == true && find("enum") == nullptr && find("const") == nullptr)
      bits |= kNull;
    out_.types &= bits;
    out_.typed = true;
  }

  void read_values() {
    const OrderedJson* list = find("enum");
    if (list != nullptr && (!list->is_array() || list->empty()))
      fail_schema(below("enum"), "must be a list of values");
    const OrderedJson* constant = find("const");
    if (list != nullptr) keep_values({list->begin(), list->end()}, "enum");
    if (constant != nullptr) keep_values({*constant}, "const");
  }
  void keep_values(std::vector<OrderedJson> values, const char* key) {
    out_.values_path = below(key);
    if (out_.values) {
      GrammarWork::spend(values.size() * out_.values->size() / 16);
      std::erase_if(values, [&](const OrderedJson& value) {
        return std::ranges::find(*out_.values, value) == out_.values->end();
      });
    }
    out_.values = std::move(values);
  }

  void read_strings() {
    for (const char* key : {"pattern", "format"}) {
      const OrderedJson* text = find(key);
      if (text == nullptr) continue;
      if (!text->is_string()) fail_schema(below(key), "must be text");
      (std::string_view(key) == "pattern" ? out_.patterns : out_.formats)
          .emplace_back(text->get<std::string>(), below(key));
    }
    read_counts("minLength", "maxLength", out_.min_length, out_.max_length);
  }

  std::optional<Decimal> decimal(const char* key) const {
    const OrderedJson* value = find(key);
    if (value == nullptr || value->is_boolean()) return std::nullopt;
    if (!value->is_number()) fail_schema(below(key), "must be a number");
    try {
      return decimal_of(*value);
    } catch (const Error& error) {
      fail_schema(below(key), "{}", error.what());
    }
  }
  /// Before 2019 `exclusiveMinimum: true` said how `minimum` is meant.
  bool says(const char* key) const { return find(key) != nullptr && *find(key) == true; }

  void read_numbers() {
    if (const auto value = decimal("minimum")) out_.numbers.raise_low({*value, says("exclusiveMinimum")});
    if (const auto value = decimal("maximum")) out_.numbers.lower_high({*value, says("exclusiveMaximum")});
    if (const auto value = decimal("exclusiveMinimum")) out_.numbers.raise_low({*value, true});
    if (const auto value = decimal("exclusiveMaximum")) out_.numbers.lower_high({*value, true});
    if (const auto value = decimal("multipleOf")) {
      if (value->negative || value->zero()) fail_schema(below("multipleOf"), "must be above 0");
      out_.numbers.multiples.push_back(*value);
    }
  }

  std::vector<SchemaPlace> list(const char* key) const {
    const OrderedJson& schemas = *find(key);
    std::vector<SchemaPlace> places;
    for (size_t i = 0; i < schemas.size(); ++i)
      places.push_back({&schemas[i], below(key) + "/" + std::to_string(i)});
    return places;
  }

  void read_array() {
    SchemaConstraints::Array array;
    const OrderedJson *prefix = find("prefixItems"), *items = find("items"), *rest = find("additionalItems");
    if (prefix != nullptr) {
      if (!prefix->is_array()) fail_schema(below("prefixItems"), "must be a list of schemas");
      array.prefix = list("prefixItems");
    }
    if (items != nullptr && items->is_array()) {  // before 2020 a list of items was a prefix
      if (prefix != nullptr) fail_schema(below("items"), "must be a schema beside prefixItems");
      array.prefix = list("items");
      if (rest != nullptr) array.items = SchemaPlace{rest, below("additionalItems")};
    } else if (items != nullptr) {
      array.items = SchemaPlace{items, below("items")};
    }
    if (prefix != nullptr || items != nullptr) out_.arrays.push_back(std::move(array));
    read_counts("minItems", "maxItems", out_.min_items, out_.max_items);
    if (says("uniqueItems")) out_.unique_path = below("uniqueItems");
    const OrderedJson* unevaluated = find("unevaluatedItems");
    if (unevaluated != nullptr && !unevaluated->is_boolean())
      fail_schema(below("unevaluatedItems"), "a schema is not supported here");
  }

  std::vector<std::pair<std::string, SchemaPlace>> map(const char* key) const {
    std::vector<std::pair<std::string, SchemaPlace>> places;
    const OrderedJson* schemas = find(key);
    if (schemas == nullptr) return places;
    if (!schemas->is_object()) fail_schema(below(key), "must be an object of schemas");
    for (const auto& [name, schema] : schemas->items())
      places.push_back({name, {&schema, below(key) + "/" + pointer_step(name)}});
    return places;
  }

  void read_object() {
    SchemaConstraints::Object object{map("properties"), map("patternProperties"), {}};
    if (const OrderedJson* additional = find("additionalProperties"))
      object.additional = SchemaPlace{additional, below("additionalProperties")};
    if (!object.properties.empty() || !object.patterns.empty() || object.additional ||
        find("properties") != nullptr)
      out_.objects.push_back(std::move(object));
    if (const OrderedJson* required = find("required")) {
      const bool names = required->is_array() && std::ranges::all_of(*required, [](const OrderedJson& name) {
                           return name.is_string();
                         });
      if (!names) fail_schema(below("required"), "must be a list of names");
      for (const OrderedJson& name : *required) out_.required.push_back(name.get<std::string>());
    }
    if (const OrderedJson* names = find("propertyNames"))
      out_.names.push_back({names, below("propertyNames")});
    read_counts("minProperties", "maxProperties", out_.min_properties, out_.max_properties);
    const OrderedJson* unevaluated = find("unevaluatedProperties");
    if (unevaluated != nullptr && !unevaluated->is_boolean())
      fail_schema(below("unevaluatedProperties"), "a schema is not supported here");
  }

  const OrderedJson& schema_;
  const std::string& path_;
  SchemaConstraints& out_;
};

}  // namespace

std::string pointer_step(std::string_view key) {
  std::string out;
  for (const char c : key.substr(0, 100)) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

void SchemaSource::count_work(const std::string& path) {
  if (++work_ > most_schema_steps) fail_schema(path, "is too large once its references are followed");
  try {
    GrammarWork::spend(16 + path.size() / 8);  // paths are kept
  } catch (const Error& error) {
    fail_schema(path, "{}", error.what());
  }
}

SchemaPlace SchemaSource::target(const std::string& reference, const std::string& path) const {
  std::string_view pointer = reference;
  if (root_.is_object() && root_.contains("$id") && root_["$id"].is_string()) {
    const auto& id = root_["$id"].get_ref<const std::string&>();
    if (!id.empty() && pointer.starts_with(id)) pointer.remove_prefix(id.size());
  }
  const std::string text = decoded(pointer);
  if (!text.starts_with("#") || (text.size() > 1 && text[1] != '/'))
    fail_schema(path, "'{}' must be # or begin with #/: only places inside this schema are read",
                reference.substr(0, 100));
  try {
    return {&root_.at(OrderedJson::json_pointer(text.substr(1))), text.substr(1)};
  } catch (const nlohmann::json::exception&) {
    fail_schema(path, "'{}' leads nowhere", reference.substr(0, 100));
  }
}

bool SchemaSource::expand(const SchemaPlace& place, SchemaAtoms& atoms,
                          std::vector<const OrderedJson*> within) {
  const OrderedJson& schema = *place.schema;
  if (schema.is_boolean()) return schema.get<bool>();
  if (!schema.is_object())
    fail_schema(place.path, "must be an object, found {}", dump_json(schema).substr(0, 60));
  count_work(place.path);
  if (std::ranges::find(within, &schema) != within.end()) fail_schema(place.path, "leads to itself");
  if (within.size() > deepest_chain)
    fail_schema(place.path, "is a chain of more than {} references", deepest_chain);
  within.push_back(&schema);
  if (checked_.insert(&schema).second) check_keywords(place);
  if (schema.contains("not")) return false;
  if (schema.contains("$ref")) {
    if (!schema["$ref"].is_string()) fail_schema(place.path + "/$ref", "must be text");
    if (!expand(target(schema["$ref"].get<std::string>(), place.path + "/$ref"), atoms, within)) return false;
  }
  for (const char* key : {"allOf", "anyOf", "oneOf"}) {
    if (!schema.contains(key)) continue;
    const OrderedJson& parts = schema[key];
    if (!parts.is_array() || parts.empty()) fail_schema(place.path + "/" + key, "must be a list of schemas");
    for (size_t i = 0; i < parts.size() && std::string_view(key) == "allOf"; ++i) {
      if (!expand({&parts[i], fmt::format("{}/allOf/{}", place.path, i)}, atoms, within)) return false;
    }
  }
  const bool own = std::ranges::any_of(schema.items(), [](const auto& entry) { return is_own(entry.key()); });
  const auto add = [&](SchemaAtom::Part part) {
    const bool known = std::ranges::any_of(
        atoms, [&](const SchemaAtom& atom) { return atom.place.schema == &schema && atom.part == part; });
    if (!known) atoms.push_back({place, part, within});
  };
  if (own) add(SchemaAtom::Part::own);
  if (schema.contains("anyOf")) add(SchemaAtom::Part::any);
  if (schema.contains("oneOf")) add(SchemaAtom::Part::one);
  return true;
}

SchemaConstraints SchemaSource::read(const SchemaAtoms& atoms) {
  SchemaConstraints out;
  uint8_t implied = 0;
  for (const SchemaAtom& atom : atoms) {
    if (atom.part != SchemaAtom::Part::own) continue;
    count_work(atom.place.path);
    if (out.path.empty()) out.path = atom.place.path;
    GrammarWork::spend(16 * atom.place.schema->size());
    Reader(atom.place, out).read(implied);
  }
  // A keyword that speaks of one type alone says which type is meant, where nothing else does.
  if (!out.typed && implied != 0) {
    out.types = implied;
    out.typed = true;
  }
  return out;
}

}  // namespace fettle
