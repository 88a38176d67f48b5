#include "generate/constrain/json_schema.h"

#include <algorithm>
#include <set>

namespace fettle {
namespace {

using Sequence = Grammar::Sequence;

constexpr int free_depth = 12;
constexpr int64_t most_repeats = 512;
constexpr size_t most_rules = 60000;

const std::set<std::string_view> annotations{"title", "description", "default",    "examples", "$schema",
                                             "$id",   "$comment",    "deprecated", "readOnly", "writeOnly",
                                             "$defs", "definitions", "strict"};

[[noreturn]] void refuse(const std::string& message) {
  fail("schema", "{}", message);
}

class SchemaGrammar {
 public:
  SchemaGrammar(Grammar& grammar, const OrderedJson& root) : g_(grammar), root_(root) {}

  /// A rule for instances of `schema`.
  int32_t rule(const OrderedJson& schema, int depth = 0) {
    if (depth > 64) refuse("is nested deeper than 64 levels");
    if (g_.rules().size() > most_rules) refuse("is too large");
    if (schema.is_boolean() && schema.get<bool>()) return value(free_depth);
    if (!schema.is_object()) refuse("must be an object, found " + dump_json(schema).substr(0, 60));
    if (schema.contains("$ref")) return referred(schema, depth);
    if (schema.contains("enum") || schema.contains("const")) return choice(schema);
    for (const char* key : {"anyOf", "oneOf", "allOf"}) {
      if (schema.contains(key)) return any_of(schema, key, depth);
    }
    return typed(schema, depth);
  }

  int32_t object_of_anything() { return object(free_depth); }

 private:
  static Grammar::Symbol ref(int32_t rule) { return Grammar::reference(rule); }
  static Sequence join(std::initializer_list<Sequence> parts) {
    Sequence out;
    for (const Sequence& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
  }

  void check_keys(const OrderedJson& schema, std::set<std::string_view> known) {
    for (const auto& [key, value] : schema.items()) {
      if (annotations.contains(key) || known.contains(key)) continue;
      refuse(fmt::format("the keyword '{}' is not supported", key.substr(0, 60)));
    }
  }

  int32_t referred(const OrderedJson& schema, int depth) {
    check_keys(schema, {"$ref"});
    if (!schema["$ref"].is_string()) refuse("$ref must be text");
    const auto path = schema["$ref"].get<std::string>();
    if (const auto known = references_.find(path); known != references_.end()) return known->second;
    if (!path.starts_with('#')) refuse(fmt::format("$ref '{}' must begin with #", path));
    const OrderedJson* target = nullptr;
    try {
      target = &root_.at(OrderedJson::json_pointer(path.substr(1)));
    } catch (const nlohmann::json::exception&) {
      refuse(fmt::format("$ref '{}' leads nowhere", path));
    }
    const int32_t made = g_.add_rule();
    references_[path] = made;
    const int32_t inner = rule(*target, depth + 1);
    if (inner == made) refuse(fmt::format("$ref '{}' leads to itself", path));
    g_.add_alternative(made, {ref(inner)});
    return made;
  }

  int32_t choice(const OrderedJson& schema) {
    check_keys(schema, {"enum", "const", "type"});
    const OrderedJson values =
        schema.contains("const") ? OrderedJson::array({schema["const"]}) : schema["enum"];
    if (!values.is_array() || values.empty()) refuse("enum must be a list of values");
    std::vector<Sequence> alternatives;
    for (const OrderedJson& value : values) alternatives.push_back(Grammar::literal(dump_json(value)));
    return g_.add_rule(std::move(alternatives));
  }

  int32_t any_of(const OrderedJson& schema, const char* key, int depth) {
    check_keys(schema, {key, "type", "discriminator"});
    const OrderedJson& parts = schema[key];
    if (!parts.is_array() || parts.empty()) refuse(fmt::format("{} must be a list of schemas", key));
    if (std::string_view(key) == "allOf" && parts.size() > 1)
      refuse("allOf of more than one schema is not supported");
    std::vector<Sequence> alternatives;
    for (const OrderedJson& part : parts) alternatives.push_back({ref(rule(part, depth + 1))});
    return g_.add_rule(std::move(alternatives));
  }

  int32_t typed(const OrderedJson& schema, int depth) {
    std::vector<std::string> types;
    if (!schema.contains("type")) {
      if (schema.contains("properties"))
        types = {"object"};
      else if (schema.contains("items"))
        types = {"array"};
      else {
        check_keys(schema, {});
        return value(free_depth);
      }
    } else if (schema["type"].is_string()) {
      types = {schema["type"].get<std::string>()};
    } else {
      if (!schema["type"].is_array() || schema["type"].empty())
        refuse("type must be a name or a list of names");
      for (const OrderedJson& type : schema["type"]) {
        if (!type.is_string()) refuse("type must be a name or a list of names");
        types.push_back(type.get<std::string>());
      }
    }
    check_keys(schema, {"type", "properties", "required", "additionalProperties", "items", "minItems",
                        "maxItems", "minLength", "maxLength", "minimum"});
    std::vector<Sequence> alternatives;
    for (const std::string& type : types) alternatives.push_back({ref(of_type(type, schema, depth))});
    return g_.add_rule(std::move(alternatives));
  }

  int32_t of_type(const std::string& type, const OrderedJson& schema, int depth) {
    if (type == "object") return object_of(schema, depth);
    if (type == "array") return array_of(schema, depth);
    if (type == "string") return string_of(schema);
    if (type == "number" || type == "integer") {
      bool negative = true;
      if (schema.contains("minimum")) {
        if (schema["minimum"] != 0) refuse("of the numbers for 'minimum' only 0 is supported");
        negative = false;
      }
      return number(type == "integer", negative);
    }
    if (type == "boolean") return g_.add_rule({Grammar::literal("true"), Grammar::literal("false")});
    if (type == "null") return g_.add_rule({Grammar::literal("null")});
    refuse(fmt::format("unknown type '{}'", type.substr(0, 60)));
  }

  int64_t count(const OrderedJson& schema, const char* key, int64_t fallback) {
    if (!schema.contains(key)) return fallback;
    const OrderedJson& value = schema[key];
    if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t{most_repeats})
      refuse(fmt::format("'{}' must be between 0 and {}", key, most_repeats));
    return value.get<int64_t>();
  }

  int32_t object_of(const OrderedJson& schema, int depth) {
    static const OrderedJson none = OrderedJson::object(), empty = OrderedJson::array();
    const OrderedJson& properties = schema.contains("properties") ? schema["properties"] : none;
    const OrderedJson& required = schema.contains("required") ? schema["required"] : empty;
    if (!properties.is_object() || !required.is_array())
      refuse("properties must be an object, required a list");
    for (const OrderedJson& name : required) {
      if (!name.is_string() || !properties.contains(name.get<std::string>()))
        refuse(fmt::format("'{}' is required, but no property", dump_json(name).substr(0, 60)));
    }
    if (properties.empty()) {
      const bool closed = schema.contains("additionalProperties") && schema["additionalProperties"] == false;
      if (closed) return g_.add_rule({Grammar::literal("{}")});
      if (!schema.contains("additionalProperties") || schema["additionalProperties"] == true)
        return object(free_depth);
      return members(ref(string(0, -1)), ref(rule(schema["additionalProperties"], depth + 1)));
    }
    // rest[f]: the properties from the current one on; f says whether one stands before them already.
    int32_t rest[2] = {g_.add_rule({Sequence{}}), -1};
    rest[1] = rest[0];
    std::vector<std::string> names;
    for (const auto& [name, value] : properties.items()) names.push_back(name);
    for (size_t i = names.size(); i-- > 0;) {
      const Sequence key = Grammar::literal(dump_json(OrderedJson(names[i])) + ":");
      const Sequence value{ref(space()), ref(rule(properties[names[i]], depth + 1)), ref(rest[1])};
      const bool optional = std::ranges::find(required, OrderedJson(names[i])) == required.end();
      std::vector<Sequence> first{join({key, value})};
      std::vector<Sequence> later{join({Grammar::literal(","), {ref(space())}, key, value})};
      if (optional) first.push_back({ref(rest[0])});
      if (optional) later.push_back({ref(rest[1])});
      rest[0] = g_.add_rule(std::move(first));
      rest[1] = g_.add_rule(std::move(later));
    }
    return g_.add_rule(
        {join({Grammar::literal("{"), {ref(space()), ref(rest[0]), ref(space())}, Grammar::literal("}")})});
  }

  int32_t array_of(const OrderedJson& schema, int depth) {
    const int64_t least = count(schema, "minItems", 0), most = count(schema, "maxItems", -1);
    if (most >= 0 && most < least) refuse("maxItems is below minItems");
    if (most == 0) return g_.add_rule({Grammar::literal("[]")});
    const int32_t item = schema.contains("items") ? rule(schema["items"], depth + 1) : value(free_depth);
    const Sequence next = join({Grammar::literal(","), {ref(space()), ref(item)}});
    const int32_t more = repeated(next, std::max<int64_t>(0, least - 1), most < 0 ? -1 : most - 1);
    std::vector<Sequence> inside{{ref(space()), ref(item), ref(more), ref(space())}};
    if (least == 0) inside.push_back({});
    return g_.add_rule(
        {join({Grammar::literal("["), {ref(g_.add_rule(std::move(inside)))}, Grammar::literal("]")})});
  }

  int32_t string_of(const OrderedJson& schema) {
    const int64_t least = count(schema, "minLength", 0), most = count(schema, "maxLength", -1);
    if (most >= 0 && most < least) refuse("maxLength is below minLength");
    return string(least, most);
  }

  /// `part` between `least` and `most` (-1: any number of) times.
  int32_t repeated(const Sequence& part, int64_t least, int64_t most) {
    int32_t rest = g_.add_rule({Sequence{}});
    if (most < 0) {
      g_.add_alternative(rest, join({part, {ref(rest)}}));
    } else {
      for (int64_t i = least; i < most; ++i) rest = g_.add_rule({Sequence{}, join({part, {ref(rest)}})});
    }
    for (int64_t i = 0; i < least; ++i) rest = g_.add_rule({join({part, {ref(rest)}})});
    return rest;
  }

  int32_t once(int32_t& kept, auto make) {
    if (kept < 0) kept = make();
    return kept;
  }

  /// Room for a model's taste: nothing, a space, or a new line with an indent; never without end.
  int32_t space() {
    return once(space_, [&] {
      const int32_t indent = repeated({Grammar::byte(' ', ' ')}, 0, 24);
      return g_.add_rule({{}, Grammar::literal(" "), join({Grammar::literal("\n"), {ref(indent)}})});
    });
  }

  int32_t character() {
    return once(character_, [&] {
      const auto b = [](int low, int high) {
        return Grammar::byte(static_cast<uint8_t>(low), static_cast<uint8_t>(high));
      };
      const auto tail = b(0x80, 0xbf);
      const int32_t hex = g_.add_rule({{b('0', '9')}, {b('a', 'f')}, {b('A', 'F')}});
      const int32_t not_d =
          g_.add_rule({{b('0', '9')}, {b('a', 'c')}, {b('A', 'C')}, {b('e', 'f')}, {b('E', 'F')}});
      const int32_t d = g_.add_rule({{b('d', 'd')}, {b('D', 'D')}});
      const int32_t code = g_.add_rule(
          {{ref(not_d), ref(hex), ref(hex), ref(hex)}, {ref(d), b('0', '7'), ref(hex), ref(hex)}});
      std::vector<Sequence> escaped{join({Grammar::literal("u"), {ref(code)}})};
      for (const char c : std::string_view("\"\\/bfnrt")) escaped.push_back(Grammar::literal({&c, 1}));
      const int32_t escape = g_.add_rule(std::move(escaped));
      return g_.add_rule({{b(0x20, 0x21)},
                          {b(0x23, 0x5b)},
                          {b(0x5d, 0x7e)},
                          {b('\\', '\\'), ref(escape)},
                          {b(0xc2, 0xdf), tail},
                          {b(0xe0, 0xe0), b(0xa0, 0xbf), tail},
                          {b(0xe1, 0xec), tail, tail},
                          {b(0xed, 0xed), b(0x80, 0x9f), tail},
                          {b(0xee, 0xef), tail, tail},
                          {b(0xf0, 0xf0), b(0x90, 0xbf), tail, tail},
                          {b(0xf1, 0xf3), tail, tail, tail},
                          {b(0xf4, 0xf4), b(0x80, 0x8f), tail, tail}});
    });
  }

  int32_t string(int64_t least, int64_t most) {
    const auto make = [&] {
      const int32_t inside = repeated({ref(character())}, least, most);
      return g_.add_rule({join({Grammar::literal("\""), {ref(inside)}, Grammar::literal("\"")})});
    };
    return least == 0 && most < 0 ? once(string_, make) : make();
  }

  int32_t number(bool integer, bool negative) {
    return once(numbers_[integer ? 1 : 0][negative ? 1 : 0], [&] {
      const Sequence digit{Grammar::byte('0', '9')};
      const int32_t whole =
          g_.add_rule({Grammar::literal("0"), {Grammar::byte('1', '9'), ref(repeated(digit, 0, 15))}});
      std::vector<Sequence> sign{{}};
      if (negative) sign.push_back(Grammar::literal("-"));
      Sequence number{ref(g_.add_rule(std::move(sign))), ref(whole)};
      if (!integer) {
        number.push_back(
            ref(g_.add_rule({{}, join({Grammar::literal("."), {ref(repeated(digit, 1, 16))}})})));
        const int32_t mark = g_.add_rule({Grammar::literal("e"), Grammar::literal("E")});
        const int32_t plus = g_.add_rule({{}, Grammar::literal("+"), Grammar::literal("-")});
        number.push_back(ref(g_.add_rule({{}, {ref(mark), ref(plus), ref(repeated(digit, 1, 2))}})));
      }
      return g_.add_rule({number});
    });
  }

  int32_t members(Grammar::Symbol key, Grammar::Symbol value) {
    const Sequence member{key, Grammar::byte(':', ':'), ref(space()), value};
    const int32_t more = repeated(join({Grammar::literal(","), {ref(space())}, member}), 0, -1);
    const int32_t inside = g_.add_rule({{}, join({{ref(space())}, member, {ref(more), ref(space())}})});
    return g_.add_rule({join({Grammar::literal("{"), {ref(inside)}, Grammar::literal("}")})});
  }

  int32_t object(int depth) {
    int32_t& kept = objects_[static_cast<size_t>(depth)];
    if (kept < 0) kept = members(ref(string(0, -1)), ref(value(depth - 1)));
    return kept;
  }

  int32_t value(int depth) {
    int32_t& kept = values_[static_cast<size_t>(depth)];
    if (kept >= 0) return kept;
    std::vector<Sequence> alternatives{{ref(string(0, -1))},
                                       {ref(number(false, true))},
                                       Grammar::literal("true"),
                                       Grammar::literal("false"),
                                       Grammar::literal("null")};
    if (depth > 0) {
      const int32_t item = value(depth - 1);
      const int32_t more = repeated(join({Grammar::literal(","), {ref(space()), ref(item)}}), 0, -1);
      const int32_t inside = g_.add_rule({{}, {ref(space()), ref(item), ref(more), ref(space())}});
      alternatives.push_back({ref(object(depth))});
      alternatives.push_back(join({Grammar::literal("["), {ref(inside)}, Grammar::literal("]")}));
    }
    kept = g_.add_rule(std::move(alternatives));
    return kept;
  }

  static std::array<int32_t, free_depth + 1> unmade() {
    std::array<int32_t, free_depth + 1> rules{};
    rules.fill(-1);
    return rules;
  }

  Grammar& g_;
  const OrderedJson& root_;
  std::map<std::string, int32_t> references_;
  int32_t space_ = -1, character_ = -1, string_ = -1;
  int32_t numbers_[2][2] = {{-1, -1}, {-1, -1}};
  std::array<int32_t, free_depth + 1> objects_ = unmade(), values_ = unmade();
};

}  // namespace

// The text begins at rule 0. A tokenizer whose words begin with a space writes one in front.
Grammar json_object_grammar() {
  const OrderedJson anything = true;
  Grammar grammar;
  const int32_t start = grammar.add_rule();
  const int32_t object = SchemaGrammar(grammar, anything).object_of_anything();
  grammar.add_alternative(start, {Grammar::reference(object)});
  grammar.add_alternative(start, {Grammar::byte(' ', ' '), Grammar::reference(object)});
  return grammar;
}

Grammar json_schema_grammar(const OrderedJson& schema) {
  Grammar grammar;
  const int32_t start = grammar.add_rule();
  const int32_t instance = SchemaGrammar(grammar, schema).rule(schema);
  grammar.add_alternative(start, {Grammar::reference(instance)});
  grammar.add_alternative(start, {Grammar::byte(' ', ' '), Grammar::reference(instance)});
  return grammar;
}

Grammar wrapped_schema_grammar(const std::vector<SchemaChoice>& choices, std::string_view after) {
  Grammar grammar;
  const int32_t start = grammar.add_rule();
  for (const SchemaChoice& choice : choices) {
    Grammar::Sequence sequence = Grammar::literal(choice.head);
    sequence.push_back(Grammar::reference(SchemaGrammar(grammar, choice.schema).rule(choice.schema)));
    const Grammar::Sequence end = Grammar::literal(after);
    sequence.insert(sequence.end(), end.begin(), end.end());
    grammar.add_alternative(start, std::move(sequence));
  }
  return grammar;
}

}  // namespace fettle
