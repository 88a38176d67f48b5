#include <algorithm>
#include <unordered_map>

#include "generate/constrain/pattern.h"
#include "generate/constrain/schema_grammar.h"

namespace fettle {
namespace {

constexpr int64_t most_counted = 1000;

}  // namespace

/// Of a key of patternProperties; each is read once.
const CharacterAutomaton& SchemaGrammar::pattern(const std::string& text, const std::string& path) {
  const auto known = patterns_.find(text);
  if (known != patterns_.end()) return known->second;
  try {
    return patterns_.emplace(text, pattern_automaton(text)).first->second;
  } catch (const Error& error) {
    fail_schema(path, "{}", error.what());
  }
}

/// Whether propertyNames lets a name through.
bool SchemaGrammar::may_be_named(const SchemaConstraints& c, const std::string& name) {
  for (const SchemaPlace& place : c.names) {
    SchemaAtoms atoms;
    if (!source_.expand(place, atoms)) return false;
    SchemaConstraints names = source_.read(atoms);
    const OrderedJson text = name;
    if (names.values && std::ranges::find(*names.values, text) == names.values->end()) return false;
    std::optional<CharacterAutomaton> numbers;
    if (!keeps(names, text, numbers)) return false;
  }
  return true;
}

/// The properties that are listed, in the schema's order, and then those that are required without being
/// listed.
std::vector<SchemaGrammar::Member> SchemaGrammar::listed_members(const SchemaConstraints& c, int depth) {
  std::vector<std::string> names;
  std::set<std::string_view> known;
  for (const auto& object : c.objects) {
    for (const auto& [name, place] : object.properties) {
      if (known.insert(name).second) names.push_back(name);
    }
  }
  const std::set<std::string_view> required(c.required.begin(), c.required.end());
  for (const std::string& name : c.required) {
    if (known.insert(name).second) names.push_back(name);
  }
  std::vector<std::unordered_map<std::string_view, const SchemaPlace*>> own;
  std::vector<std::vector<const CharacterAutomaton*>> patterns;
  for (const auto& object : c.objects) {
    auto& map = own.emplace_back();
    for (const auto& [name, place] : object.properties) map[name] = &place;
    auto& automata = patterns.emplace_back();
    for (const auto& [text, place] : object.patterns) automata.push_back(&pattern(text, place.path));
  }
  std::vector<Member> members;
  for (const std::string& name : names) {
    check_size(c.path);
    std::vector<SchemaPlace> places;
    for (size_t i = 0; i < c.objects.size(); ++i) {
      const size_t before = places.size();
      if (const auto found = own[i].find(name); found != own[i].end()) places.push_back(*found->second);
      for (size_t p = 0; p < patterns[i].size(); ++p) {
        if (patterns[i][p]->matches(name)) places.push_back(c.objects[i].patterns[p].second);
      }
      if (places.size() == before && c.objects[i].additional) places.push_back(*c.objects[i].additional);
    }
    const int32_t value = may_be_named(c, name) ? rule(places, depth + 1) : nothing();
    members.push_back({Grammar::literal(dump_json(OrderedJson(name)) + ":"), value, required.contains(name)});
  }
  return members;
}

/// Kinds of properties that are not listed: a set of keys and what their values fit.
std::vector<SchemaGrammar::Member> SchemaGrammar::free_members(const SchemaConstraints& c, int depth) {
  std::vector<std::string> listed;
  std::vector<std::pair<CharacterAutomaton, std::vector<SchemaPlace>>> kinds;
  CharacterAutomaton others = any_text();  // keys that no pattern and no name takes
  bool open = c.objects.empty() && c.required.empty(), closed = false;
  std::vector<SchemaPlace> additional;
  for (const auto& object : c.objects) {
    for (const auto& [name, place] : object.properties) listed.emplace_back(name);
    open = open || object.additional;
    closed = closed || (object.additional && *object.additional->schema == false);
    if (object.additional) additional.push_back(*object.additional);
    for (const auto& [text, place] : object.patterns)
      kinds.emplace_back(pattern(text, place.path), std::vector{place});
  }
  if (c.objects.size() > 1 && !kinds.empty())
    fail_schema(c.path,
                "patternProperties are not supported where several schemas speak of an object's properties");
  for (const std::string& name : c.required) listed.emplace_back(name);
  std::vector<Member> members;
  if ((!open || closed) && kinds.empty()) return members;
  try {
    others = complement(texts_automaton(listed));
    for (size_t i = 0; i < kinds.size(); ++i) {
      for (size_t j = 0; j < kinds.size(); ++j) {
        if (i != j)
          kinds[i].first =
              intersection(kinds[i].first, complement(pattern(c.objects[0].patterns[j].first, c.path)));
      }
      kinds[i].first = intersection(kinds[i].first, complement(texts_automaton(listed)));
      others = intersection(others, complement(pattern(c.objects[0].patterns[i].first, c.path)));
    }
    if (open && !closed) kinds.emplace_back(others, additional);
    SchemaConstraints names;
    for (const SchemaPlace& place : c.names) {
      SchemaAtoms atoms;
      if (!source_.expand(place, atoms)) return members;
      names = source_.read(atoms);
      for (auto& kind : kinds) kind.first = intersection(kind.first, characters(names));
      if (!names.values) continue;
      std::vector<std::string> values;
      for (const OrderedJson& value : *names.values) {
        if (value.is_string()) values.push_back(value.get<std::string>());
      }
      for (auto& kind : kinds) kind.first = intersection(kind.first, texts_automaton(values));
    }
    for (auto& [keys, places] : kinds) {
      const bool every = places.empty() && listed.empty() && c.names.empty();
      const int32_t key =
          every
              ? json_.string()
              : json_.quoted({std::move(keys), TextTerminal::Form::json, names.min_length, names.max_length});
      members.push_back({{ref(key), Grammar::byte(':', ':')}, rule(places, depth + 1), false});
    }
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with("schema ")) throw;
    fail_schema(c.path, "{}", error.what());
  }
  return members;
}

int32_t SchemaGrammar::object(const SchemaConstraints& c, int depth) {
  const auto listed = listed_members(c, depth);
  const bool counted = c.min_properties > 0 || c.max_properties >= 0;
  if (listed.empty() && c.objects.empty() && c.names.empty() && !counted) return json_.object();
  return members(c, listed, free_members(c, depth));
}

/// Rules for what may stand behind `count` members when the listed ones from the i-th on are left.
int32_t SchemaGrammar::members(const SchemaConstraints& c, const std::vector<Member>& listed,
                               const std::vector<Member>& free) {
  const int64_t last = std::max({int64_t{1}, c.min_properties, c.max_properties});
  if (last > most_counted) fail_schema(c.path, "more than {} properties cannot be counted", most_counted);
  const auto counts = static_cast<size_t>(last) + 1;
  const auto after = [&](size_t count) { return std::min(count + 1, counts - 1); };
  const auto may_add = [&](size_t count) {
    return c.max_properties < 0 || static_cast<int64_t>(count) < c.max_properties;
  };
  const auto written = [&](const Member& member, size_t count, int32_t rest) {
    const Grammar::Sequence own =
        JsonRules::join({member.key, {ref(json_.space()), ref(member.value), ref(rest)}});
    return count == 0 ? own : JsonRules::join({Grammar::literal(","), {ref(json_.space())}, own});
  };
  std::vector<int32_t> rest(counts);
  for (int32_t& rule : rest) rule = g_.add_rule();
  for (size_t count = 0; count < counts; ++count) {
    if (static_cast<int64_t>(count) >= c.min_properties)
      g_.add_alternative(rest[count],
                         count == 0 ? Grammar::Sequence{} : Grammar::Sequence{ref(json_.space())});
    if (!may_add(count)) continue;
    for (const Member& member : free)
      g_.add_alternative(rest[count], written(member, count, rest[after(count)]));
  }
  for (size_t i = listed.size(); i-- > 0;) {
    check_size(c.path);
    std::vector<int32_t> own;
    for (size_t count = 0; count < counts; ++count) {
      std::vector<Grammar::Sequence> alternatives;
      if (may_add(count)) alternatives.push_back(written(listed[i], count, rest[after(count)]));
      if (!listed[i].required) alternatives.push_back({ref(rest[count])});
      own.push_back(g_.add_rule(std::move(alternatives)));
    }
    rest = std::move(own);
  }
  return json_.enclosed('{', rest[0], '}');
}

}  // namespace fettle
