#include "generate/constrain/schema_grammar.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "generate/constrain/grammar_work.h"
#include "generate/constrain/pattern.h"
#include "generate/constrain/string_formats.h"

namespace fettle {
namespace {

constexpr size_t most_rules = 60000;
constexpr int deepest_schema = 64;
constexpr int64_t most_items = 10000;
constexpr size_t most_distinct = 10;

uint8_t type_of(const OrderedJson& value) {
  if (value.is_null()) return kNull;
  if (value.is_boolean()) return kBoolean;
  if (value.is_object()) return kObject;
  if (value.is_array()) return kArray;
  if (value.is_string()) return kString;
  return std::floor(value.get<double>()) == value.get<double>() ? kInteger : kFraction;
}

}  // namespace

void SchemaGrammar::check_size(const std::string& path) const {
  if (g_.rules().size() > most_rules) fail_schema(path, "is too large: more than {} rules", most_rules);
}

int32_t SchemaGrammar::whole() {
  const int32_t made = rule(std::vector<SchemaPlace>{{&root_, ""}}, 0);
  const std::vector<bool> ending = g_.ending_rules();
  if (ending[static_cast<size_t>(made)]) return made;
  // The innermost place that nothing fits is the reason.
  std::string path;
  for (const auto& [one, where] : places_) {
    if (!ending[static_cast<size_t>(one)] && std::ranges::count(where, '/') >= std::ranges::count(path, '/'))
      path = where;
  }
  fail_schema(path, "no value that ends fits this");
}

int32_t SchemaGrammar::rule(const std::vector<SchemaPlace>& places, int depth) {
  SchemaAtoms atoms;
  for (const SchemaPlace& place : places) {
    if (depth > deepest_schema) fail_schema(place.path, "is nested deeper than {} levels", deepest_schema);
    if (source_.expand(place, atoms)) continue;
    places_.emplace_back(nothing(), place.path);
    return places_.back().first;
  }
  return rule(atoms, depth);
}

int32_t SchemaGrammar::rule(const SchemaAtoms& atoms, int depth) {
  if (atoms.empty()) return json_.value();
  const auto [at, fresh] = made_.try_emplace(atoms, -1);
  if (!fresh) return at->second;
  const std::string& path = atoms.front().place.path;
  check_size(path);
  const int32_t made = at->second = g_.add_rule();
  places_.emplace_back(made, path);
  const auto open =
      std::ranges::find_if(atoms, [](const SchemaAtom& atom) { return atom.part != SchemaAtom::Part::own; });
  const int32_t inner = open == atoms.end() ? typed(source_.read(atoms), depth) : choice(atoms, *open, depth);
  g_.add_alternative(made, {ref(inner)});
  return made;
}

/// One of the alternatives of `chosen`, with everything else.
int32_t SchemaGrammar::choice(const SchemaAtoms& atoms, const SchemaAtom& chosen, int depth) {
  if (depth > deepest_schema)
    fail_schema(chosen.place.path, "is nested deeper than {} levels", deepest_schema);
  const bool one = chosen.part == SchemaAtom::Part::one;
  const char* key = one ? "oneOf" : "anyOf";
  if (one) check_exclusive(chosen);
  const OrderedJson& parts = (*chosen.place.schema)[key];
  std::vector<Sequence> alternatives;
  for (size_t i = 0; i < parts.size(); ++i) {
    SchemaAtoms all;
    for (const SchemaAtom& atom : atoms) {
      if (atom < chosen || chosen < atom) all.push_back(atom);
    }
    if (source_.expand({&parts[i], fmt::format("{}/{}/{}", chosen.place.path, key, i)}, all, chosen.within))
      alternatives.push_back({ref(rule(all, depth + 1))});
  }
  return g_.add_rule(std::move(alternatives));
}

/// oneOf wants exactly one alternative to fit: a value that is written for one must fit no other.
void SchemaGrammar::check_exclusive(const SchemaAtom& chosen) {
  const OrderedJson& parts = (*chosen.place.schema)["oneOf"];
  const auto place = [&](size_t i) {
    return SchemaPlace{&parts[i], fmt::format("{}/oneOf/{}", chosen.place.path, i)};
  };
  if (parts.size() > 200) fail_schema(chosen.place.path + "/oneOf", "has more than 200 alternatives");
  for (size_t i = 0; i < parts.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!exclusive(place(j), place(i), 0))
        fail_schema(chosen.place.path + "/oneOf",
                    "a value may fit alternatives {} and {} at once; write anyOf if it may", j, i);
    }
  }
}

const SchemaGrammar::Described& SchemaGrammar::described(const SchemaPlace& place) {
  const auto [at, fresh] = described_.try_emplace(place.schema);
  if (!fresh) return at->second;
  Described& made = at->second;
  made.fits = source_.expand(place, made.atoms);
  if (made.fits) made.constraints = source_.read(made.atoms);
  return made;
}

bool SchemaGrammar::exclusive(const SchemaPlace& a, const SchemaPlace& b, int depth) {
  if (depth > 4) return false;
  GrammarWork::spend(32);
  const Described &first = described(a), &second = described(b);
  if (!first.fits || !second.fits) return true;
  const SchemaAtoms &atoms_a = first.atoms, &atoms_b = second.atoms;
  // Where one is a choice, each of its alternatives must exclude the other.
  for (const auto& side : {std::pair(&atoms_a, &b), std::pair(&atoms_b, &a)}) {
    for (const SchemaAtom& atom : *side.first) {
      if (atom.part == SchemaAtom::Part::own) continue;
      const OrderedJson& parts = (*atom.place.schema)[atom.part == SchemaAtom::Part::any ? "anyOf" : "oneOf"];
      const bool all = std::ranges::all_of(parts, [&](const OrderedJson& part) {
        return exclusive({&part, atom.place.path}, *side.second, depth + 1);
      });
      if (all) return true;
    }
  }
  const SchemaConstraints &x = first.constraints, &y = second.constraints;
  const auto types = [](const SchemaConstraints& c) {
    uint8_t bits = 0;
    if (!c.values) return c.types;
    for (const OrderedJson& value : *c.values) bits |= type_of(value);
    return static_cast<uint8_t>(bits & c.types);
  };
  const uint8_t common = types(x) & types(y);
  if (common == 0) return true;
  if (x.values && y.values) {
    GrammarWork::spend(x.values->size() * y.values->size());
    return std::ranges::none_of(*x.values, [&](const OrderedJson& value) {
      return std::ranges::find(*y.values, value) != y.values->end();
    });
  }
  if (common != kObject) return false;
  return cannot_fit(x, y, depth) && cannot_fit(y, x, depth);
}

/// Whether no object that is written for `written` fits `wanted`.
bool SchemaGrammar::cannot_fit(const SchemaConstraints& written, const SchemaConstraints& wanted, int depth) {
  const auto find = [](const SchemaConstraints& c, const std::string& name) -> const SchemaPlace* {
    for (const auto& object : c.objects) {
      GrammarWork::spend(object.properties.size());
      for (const auto& [key, place] : object.properties) {
        if (key == name) return &place;
      }
    }
    return nullptr;
  };
  const auto closed = [](const SchemaConstraints& c, bool by_default) {
    return std::ranges::any_of(c.objects, [&](const auto& object) {
      return object.patterns.empty() && (object.additional ? *object.additional->schema == false
                                                           : by_default && !object.properties.empty());
    });
  };
  const auto missing = [&](const std::vector<std::string>& names, const SchemaConstraints& c) {
    GrammarWork::spend(names.size() * c.required.size());
    return std::ranges::any_of(names, [&](const std::string& name) {
      return find(c, name) == nullptr && std::ranges::find(c.required, name) == c.required.end();
    });
  };
  if (closed(written, true) && missing(wanted.required, written)) return true;
  if (closed(wanted, false) && missing(written.required, wanted)) return true;
  for (const auto* names : {&written.required, &wanted.required}) {
    for (const std::string& name : *names) {
      const SchemaPlace *a = find(written, name), *b = find(wanted, name);
      if (a != nullptr && b != nullptr && exclusive(*a, *b, depth + 1)) return true;
    }
  }
  return false;
}

int32_t SchemaGrammar::typed(const SchemaConstraints& c, int depth) {
  if (c.values) return values(c);
  if (!c.typed) return json_.value();
  std::vector<Sequence> alternatives;
  if ((c.types & kObject) != 0) alternatives.push_back({ref(object(c, depth))});
  if ((c.types & kArray) != 0) alternatives.push_back({ref(array(c, depth))});
  if ((c.types & kString) != 0) alternatives.push_back({ref(string(c))});
  if ((c.types & kInteger) != 0) alternatives.push_back({ref(number(c))});
  if ((c.types & kBoolean) != 0)
    alternatives.insert(alternatives.end(), {{ref(json_.word("true"))}, {ref(json_.word("false"))}});
  if ((c.types & kNull) != 0) alternatives.push_back({ref(json_.word("null"))});
  return g_.add_rule(std::move(alternatives));
}

int32_t SchemaGrammar::values(const SchemaConstraints& c) {
  std::vector<std::string> texts;
  std::optional<CharacterAutomaton> numbers;
  for (const OrderedJson& value : *c.values) {
    if (keeps(c, value, numbers)) texts.push_back(dump_json(value));
  }
  try {
    return g_.add_rule({{g_.add_terminal({texts_automaton(texts), TextTerminal::Form::plain})}});
  } catch (const Error& error) {
    fail_schema(c.values_path, "{}", error.what());
  }
}

/// Whether one of the listed values fits the other keywords too.
bool SchemaGrammar::keeps(const SchemaConstraints& c, const OrderedJson& value,
                          std::optional<CharacterAutomaton>& numbers) {
  const uint8_t type = type_of(value);
  if ((c.types & type) == 0) return false;
  if (type == kString) {
    const auto& text = value.get_ref<const std::string&>();
    const auto length =
        std::ranges::count_if(text, [](char b) { return (static_cast<unsigned char>(b) & 0xc0) != 0x80; });
    return length >= c.min_length && (c.max_length < 0 || length <= c.max_length) &&
           characters(c).matches(text);
  }
  if (type == kInteger || type == kFraction) {
    const NumberRange range = range_of(c);
    if (!range.bounded()) return true;
    const Decimal number = decimal_of(value);
    if (!numbers) numbers = number_automaton(range);
    return numbers->matches((number.negative ? "-" : "") + number.whole +
                                           (number.fraction.empty() ? "" : "." + number.fraction));
  }
  const bool further =
      type == kObject ? !c.objects.empty() || !c.required.empty() : type == kArray && !c.arrays.empty();
  if (further)
    fail_schema(c.values_path,
                "lists objects or arrays beside keywords about their parts, which is not supported");
  return true;
}

const CharacterAutomaton& SchemaGrammar::characters(const SchemaConstraints& c) {
  std::vector<std::string> key;
  for (const auto* list : {&c.patterns, &c.formats}) {
    for (const auto& [text, path] : *list) key.push_back(text);
    key.emplace_back(1, '\0');
  }
  const auto known = characters_.find(key);
  if (known != characters_.end()) return known->second;
  CharacterAutomaton out = any_text();
  const auto cut = [&](const std::string& path, const auto& make) {
    try {
      out = intersection(out, make());
    } catch (const Error& error) {
      fail_schema(path, "{}", error.what());
    }
  };
  for (const auto& pattern : c.patterns)
    cut(pattern.second, [&] { return pattern_automaton(pattern.first); });
  for (const auto& format : c.formats) {
    // A name that nobody knows is a remark where a pattern says what is meant.
    if (c.patterns.empty() || is_string_format(format.first))
      cut(format.second, [&]() -> const CharacterAutomaton& { return string_format(format.first); });
  }
  return characters_.emplace(std::move(key), std::move(out)).first->second;
}

int32_t SchemaGrammar::string(const SchemaConstraints& c) {
  const bool plain = c.patterns.empty() && c.formats.empty();
  if (plain && c.min_length == 0 && c.max_length < 0) return json_.string();
  try {
    const CharacterAutomaton& own = characters(c);
    const auto [at, fresh] = strings_.try_emplace(std::tuple(&own, c.min_length, c.max_length), -1);
    if (fresh) at->second = json_.quoted({own, TextTerminal::Form::json, c.min_length, c.max_length});
    return at->second;
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with("schema ")) throw;
    fail_schema(c.path, "{}", error.what());
  }
}

NumberRange SchemaGrammar::range_of(const SchemaConstraints& c) const {
  NumberRange range = c.numbers;
  range.integer = (c.types & kFraction) == 0;
  if ((c.types & kString) != 0) return range;  // the format speaks of the string
  for (const auto& [format, path] : c.formats) {
    const bool is_unsigned = format.starts_with("uint");
    const std::string bits = format.starts_with("int") ? format.substr(3)
                             : is_unsigned             ? format.substr(4)
                                                       : "";
    if (bits == "8" || bits == "16" || bits == "32" || bits == "64") {
      const int size = std::stoi(bits) - (is_unsigned ? 0 : 1);
      const uint64_t most = size == 64 ? ~uint64_t{0} : (uint64_t{1} << size) - 1;
      range.lower_high({decimal_of(OrderedJson(most)), false});
      range.raise_low(
          {is_unsigned ? Decimal{} : decimal_of(OrderedJson(-static_cast<int64_t>(most) - 1)), false});
    } else if (format != "float" && format != "double" && format != "decimal") {
      fail_schema(path,
                  "the format '{}' of a number is not supported; there are int8 to int64, uint8 to uint64, "
                  "float, double, decimal",
                  format.substr(0, 60));
    }
  }
  return range;
}

int32_t SchemaGrammar::number(const SchemaConstraints& c) {
  const NumberRange range = range_of(c);
  if (!range.bounded()) return json_.number(range.integer);
  try {
    return g_.add_rule({{g_.add_terminal({number_automaton(range), TextTerminal::Form::plain})}});
  } catch (const Error& error) {
    fail_schema(c.path, "{}", error.what());
  }
}

int32_t SchemaGrammar::array(const SchemaConstraints& c, int depth) {
  if (!c.unique_path.empty() && (c.max_items < 0 || c.max_items > 1)) return distinct_items(c, depth);
  int64_t most = c.max_items;
  size_t places = 0;
  for (const auto& array : c.arrays) {
    places = std::max(places, array.prefix.size());
    if (array.items || array.prefix.empty()) continue;
    // Behind a prefix nothing more is written unless it is asked for.
    const int64_t own = std::max(static_cast<int64_t>(array.prefix.size()), c.min_items);
    most = most < 0 ? own : std::min(most, own);
  }
  const int64_t last = std::max({int64_t{1}, static_cast<int64_t>(places), c.min_items, most});
  if (last > most_items) fail_schema(c.path, "more than {} items cannot be counted", most_items);
  const auto item = [&](size_t i) {
    std::vector<SchemaPlace> all;
    for (const auto& array : c.arrays) {
      if (i < array.prefix.size())
        all.push_back(array.prefix[i]);
      else if (array.items)
        all.push_back(*array.items);
    }
    return rule(all, depth + 1);
  };
  // rest: what may stand behind `count` items.
  int32_t rest = g_.add_rule();
  for (int64_t count = last; count >= 0; --count) {
    check_size(c.path);
    const int32_t own = count == last ? rest : g_.add_rule();
    if (count >= c.min_items) g_.add_alternative(own, count == 0 ? Sequence{} : Sequence{ref(json_.space())});
    if (most < 0 || count < most) {
      const Sequence next{ref(item(static_cast<size_t>(count))), ref(rest)};
      g_.add_alternative(
          own, count == 0 ? next : JsonRules::join({Grammar::literal(","), {ref(json_.space())}, next}));
    }
    rest = own;
  }
  return json_.enclosed('[', rest, ']');
}

/// Items of a few known values, each at most once: a rule for each set of values that were written.
int32_t SchemaGrammar::distinct_items(const SchemaConstraints& c, int depth) {
  std::vector<SchemaPlace> places;
  for (const auto& array : c.arrays) {
    if (array.items && array.prefix.empty()) places.push_back(*array.items);
  }
  SchemaAtoms atoms;
  for (const SchemaPlace& place : places) source_.expand(place, atoms);
  SchemaConstraints items = source_.read(atoms);
  if (!items.values && items.types == kBoolean) items.values = {true, false};
  const bool listed = items.values && std::ranges::all_of(atoms, [](const SchemaAtom& atom) {
                        return atom.part == SchemaAtom::Part::own;
                      });
  if (!listed) fail_schema(c.unique_path, "is supported for items of an enum alone");
  std::vector<Sequence> values;
  std::optional<CharacterAutomaton> numbers;
  for (const OrderedJson& value : *items.values) {
    if (keeps(items, value, numbers)) values.push_back(Grammar::literal(dump_json(value)));
  }
  if (values.size() > most_distinct)
    fail_schema(c.unique_path, "is supported for at most {} values", most_distinct);
  std::vector<int32_t> rules;
  for (size_t set = 0; set < size_t{1} << values.size(); ++set) rules.push_back(g_.add_rule());
  for (size_t set = 0; set < rules.size(); ++set) {
    const auto count = static_cast<int64_t>(std::popcount(set));
    if (count >= c.min_items)
      g_.add_alternative(rules[set], count == 0 ? Sequence{} : Sequence{ref(json_.space())});
    if (c.max_items >= 0 && count >= c.max_items) continue;
    for (size_t i = 0; i < values.size(); ++i) {
      if ((set >> i & 1) != 0) continue;
      const Sequence next = JsonRules::join({values[i], {ref(rules[set | size_t{1} << i])}});
      g_.add_alternative(
          rules[set],
          count == 0 ? next : JsonRules::join({Grammar::literal(","), {ref(json_.space())}, next}));
    }
  }
  return json_.enclosed('[', rules[0], ']');
}

}  // namespace fettle
