// Methods of strings, dicts, lists and loops.
#include <algorithm>

#include "text/jinja/strings.h"

namespace fettle::jinja {
namespace {

using Run = Interpreter;

const Text& self_text(Run& run, const Value& self) {
  run.charge_text(self.text()->size());
  return *self.text();
}

/// For methods that look at every character.
const Text& self_characters(Run& run, const Value& self) {
  charge_characters(run, self.text()->size());
  return *self.text();
}

template <Text (*change)(const Text&)>
Value str_case(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("this method", arguments, {});
  return change(self_characters(run, self));
}

Text swap_case(const Text& text) {
  Text out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    next_character(text.bytes(), at);
    const Text one = text.slice(begin, at);
    out.append(is_upper(one.bytes()) ? lower(one) : upper(one));
  }
  return out;
}

template <Side side>
Value str_strip(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  const Text* characters = bound.text(0);
  const Text& text = self_text(run, self);
  if (characters != nullptr) run.charge_text(text.size() * std::min<size_t>(characters->size(), 1024));
  return strip(text, side, characters == nullptr ? nullptr : &characters->bytes());
}

template <bool from_right>
Value str_split(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  return make_list(split(run, self_characters(run, self), bound.text(0), bound.integer(1, -1), from_right));
}

Value str_splitlines(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  std::vector<Value> out;
  for (Text& line : split_lines(run, self_characters(run, self), bound.flag(0))) out.emplace_back(std::move(line));
  return make_list(std::move(out));
}

// The part of the text that start and end (in characters, as in a slice) leave, in bytes.
std::pair<size_t, size_t> window(std::string_view text, const Bound& bound, size_t first) {
  const int64_t length = count_characters(text);
  const auto clamp = [&](size_t which, int64_t fallback) {
    if (bound[which] == nullptr || bound[which]->is_none()) return fallback;
    const int64_t at = bound.integer(which, fallback);
    return at < 0 ? std::max<int64_t>(at + length, 0) : std::min(at, length + 1);
  };
  const int64_t begin = clamp(first, 0);
  const int64_t end = std::min(clamp(first + 1, length), length);
  if (begin > end) return {1, 0};
  return {offset_of_character(text, begin), offset_of_character(text, end)};
}

template <bool at_end>
Value str_affix(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(at_end ? "endswith" : "startswith", arguments, {"prefix", "start", "end"});
  const std::string_view text = self_characters(run, self).bytes();
  const auto [begin, end] = window(text, bound, 1);
  if (begin > end) return false;
  const std::string_view part = text.substr(begin, end - begin);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string())
      raise("startswith and endswith need a string or a tuple of strings, got {}", affix.type_name());
    return at_end ? part.ends_with(affix.text()->bytes()) : part.starts_with(affix.text()->bytes());
  };
  const Value& affix = bound.required(0);
  if (affix.list() == nullptr || affix.list()->kind != ListKind::tuple) return matches(affix);
  run.charge(weight(affix));
  return std::any_of(affix.list()->items.begin(), affix.list()->items.end(), matches);
}

enum class Miss { minus_one, error };

template <bool from_right, Miss miss>
Value str_find(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("find", arguments, {"sub", "start", "end"});
  const std::string_view text = self_characters(run, self).bytes();
  const auto [begin, end] = window(text, bound, 1);
  const std::string& sought = bound.required_text(0).bytes();
  if (begin <= end) {
    const std::string_view part = text.substr(begin, end - begin);
    const size_t found = from_right ? find_last_part(run, part, sought) : find_part(run, part, sought);
    if (found != std::string_view::npos) return count_characters(text.substr(0, begin + found));
  }
  if (miss == Miss::error) raise("substring not found");
  return int64_t{-1};
}

Value str_count(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"});
  const std::string_view text = self_characters(run, self).bytes();
  const auto [begin, end] = window(text, bound, 1);
  if (begin > end) return int64_t{0};
  const std::string_view part = text.substr(begin, end - begin);
  const std::string& sought = bound.required_text(0).bytes();
  if (sought.empty()) return count_characters(part) + 1;
  int64_t count = 0;
  for (size_t at = find_part(run, part, sought); at != std::string_view::npos;
       at = find_part(run, part, sought, at + sought.size()))
    ++count;
  return count;
}

Value str_replace(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  return replace(run, self_text(run, self), bound.required_text(0).bytes(), bound.required_text(1),
                 bound.integer(2, -1));
}

Value str_join(Run& run, const Value& self, const Arguments& arguments) {
  const std::vector<Value> items = iterate(Bound("join", arguments, {"iterable"}).required(0));
  for (const Value& item : items) {
    if (!item.is_string()) raise("join: expected strings, found {}", item.type_name());
  }
  return join(run, *self.text(), items);
}

Value str_format(Run& run, const Value& self, const Arguments& arguments) {
  return brace_format(run, self_text(run, self), arguments);
}

template <bool (*is)(uint32_t)>
Value str_all(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("this method", arguments, {});
  const std::string_view text = self_characters(run, self).bytes();
  for (size_t at = 0; at < text.size();) {
    if (!is(next_character(text, at))) return false;
  }
  return !text.empty();
}
bool is_alphanumeric(uint32_t c) {
  return is_alphabetic(c) || is_decimal(c);
}

Value str_isupper(Run& run, const Value& self, const Arguments&) {
  return is_upper(self_characters(run, self).bytes());
}
Value str_islower(Run& run, const Value& self, const Arguments&) {
  return is_lower(self_characters(run, self).bytes());
}

Value str_removeprefix(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("removeprefix", arguments, {"prefix"});
  const Text& text = self_text(run, self);
  const std::string& affix = bound.required_text(0).bytes();
  return text.bytes().starts_with(affix) ? Value(text.slice(affix.size(), text.size())) : self;
}

Value str_removesuffix(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("removesuffix", arguments, {"suffix"});
  const Text& text = self_text(run, self);
  const std::string& affix = bound.required_text(0).bytes();
  return text.bytes().ends_with(affix) ? Value(text.slice(0, text.size() - affix.size())) : self;
}

template <Side side>
Value str_pad(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("padding", arguments, {"width", "fillchar"});
  const std::string fill = bound[1] == nullptr ? " " : bound.required_text(1).bytes();
  if (count_characters(fill) != 1) raise("the fill must be exactly one character");
  bound.required(0);
  return pad(run, self_text(run, self), bound.integer(0, 0), fill, side);
}

Value str_zfill(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("zfill", arguments, {"width"});
  const Text& text = self_text(run, self);
  const bool sign = text.bytes().starts_with("-") || text.bytes().starts_with("+");
  Text out = text.slice(0, sign ? 1 : 0);
  bound.required(0);
  const int64_t width = std::clamp<int64_t>(bound.integer(0, 0), 0, kMaxBytes + 2);
  out.append(pad(run, text.slice(sign ? 1 : 0, text.size()), width - (sign ? 1 : 0), "0", Side::right));
  return out;
}

template <bool from_right>
Value str_partition(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("partition", arguments, {"sep"});
  const Text& text = self_text(run, self);
  const std::string& cut = bound.required_text(0).bytes();
  if (cut.empty()) raise("partition: the separator is empty");
  const size_t found = from_right ? find_last_part(run, text.bytes(), cut) : find_part(run, text.bytes(), cut);
  if (found == std::string::npos) {
    const Value empty = Text();
    return make_list(
        from_right ? std::vector<Value>{empty, empty, self} : std::vector<Value>{self, empty, empty},
        ListKind::tuple);
  }
  return make_list({text.slice(0, found), text.slice(found, found + cut.size()),
                    text.slice(found + cut.size(), text.size())},
                   ListKind::tuple);
}

Value dict_get(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"});
  run.charge(static_cast<int64_t>(self.dict()->entries.size() / 16));
  if (const Value* value = self.dict()->find(bound.required(0))) return *value;
  return bound[1] == nullptr ? Value(None{}) : *bound[1];
}

template <ListKind kind>
Value dict_view(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("this method", arguments, {});
  run.charge(static_cast<int64_t>(self.dict()->entries.size()));
  std::vector<Value> out;
  for (const auto& [key, value] : self.dict()->entries) {
    if (kind == ListKind::items) {
      out.push_back(make_list({key, value}, ListKind::tuple));
    } else {
      out.push_back(kind == ListKind::keys ? key : value);
    }
  }
  return make_list(std::move(out), kind);
}

Value copy(Run&, const Value& self, const Arguments& arguments) {
  const Bound bound("copy", arguments, {});
  return self;  // nothing can change it
}

Value list_index(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"value"});
  run.charge(weight(self));
  const std::vector<Value>& items = self.list()->items;
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, bound.required(0)); });
  if (found == items.end()) raise("index: the value is not in the list");
  return static_cast<int64_t>(found - items.begin());
}

Value list_count(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"});
  run.charge(weight(self));
  const std::vector<Value>& items = self.list()->items;
  return static_cast<int64_t>(
      std::count_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, bound.required(0)); }));
}

Value loop_cycle(Run&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) raise("loop.cycle needs values to cycle through");
  const auto at = static_cast<size_t>(std::max<int64_t>(self.loop()->index0, 0));
  return arguments.positional[at % arguments.positional.size()];
}

Value loop_changed(Run& run, const Value& self, const Arguments& arguments) {
  Loop& loop = *self.loop();
  for (const Value& value : arguments.positional) run.charge(weight(value));
  const bool same =
      loop.changed_called && std::equal(loop.last_changed.begin(), loop.last_changed.end(),
                                        arguments.positional.begin(), arguments.positional.end(), equal);
  loop.changed_called = true;
  loop.last_changed = arguments.positional;
  run.remember(self);
  return !same;
}

struct Entry {
  std::string_view name;
  Method method;
};

constexpr Entry kStringMethods[] = {
    {"upper", str_case<upper>},
    {"lower", str_case<lower>},
    {"title", str_case<title>},
    {"capitalize", str_case<capitalize>},
    {"casefold", str_case<lower>},
    {"swapcase", str_case<swap_case>},
    {"strip", str_strip<Side::both>},
    {"lstrip", str_strip<Side::left>},
    {"rstrip", str_strip<Side::right>},
    {"split", str_split<false>},
    {"rsplit", str_split<true>},
    {"splitlines", str_splitlines},
    {"startswith", str_affix<false>},
    {"endswith", str_affix<true>},
    {"find", str_find<false, Miss::minus_one>},
    {"rfind", str_find<true, Miss::minus_one>},
    {"index", str_find<false, Miss::error>},
    {"rindex", str_find<true, Miss::error>},
    {"count", str_count},
    {"replace", str_replace},
    {"join", str_join},
    {"format", str_format},
    {"isdigit", str_all<is_decimal>},
    {"isdecimal", str_all<is_decimal>},
    {"isnumeric", str_all<is_decimal>},
    {"isalpha", str_all<is_alphabetic>},
    {"isalnum", str_all<is_alphanumeric>},
    {"isspace", str_all<is_space>},
    {"isupper", str_isupper},
    {"islower", str_islower},
    {"removeprefix", str_removeprefix},
    {"removesuffix", str_removesuffix},
    {"ljust", str_pad<Side::left>},
    {"rjust", str_pad<Side::right>},
    {"center", str_pad<Side::both>},
    {"zfill", str_zfill},
    {"partition", str_partition<false>},
    {"rpartition", str_partition<true>},
};
constexpr Entry kDictMethods[] = {
    {"get", dict_get},
    {"items", dict_view<ListKind::items>},
    {"keys", dict_view<ListKind::keys>},
    {"values", dict_view<ListKind::values>},
    {"copy", copy},
};
constexpr Entry kListMethods[] = {{"index", list_index}, {"count", list_count}, {"copy", copy}};
constexpr Entry kLoopMethods[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};

template <size_t size>
Method find_in(const Entry (&table)[size], std::string_view name) {
  for (const Entry& entry : table) {
    if (entry.name == name) return entry.method;
  }
  return nullptr;
}

}  // namespace

Method find_method(const Value& self, std::string_view name) {
  if (self.is_string()) return find_in(kStringMethods, name);
  if (self.dict() != nullptr) return find_in(kDictMethods, name);
  if (self.loop() != nullptr) return find_in(kLoopMethods, name);
  if (self.list() == nullptr || self.list()->kind > ListKind::range) return nullptr;
  return name == "copy" && self.list()->kind != ListKind::list ? nullptr : find_in(kListMethods, name);
}

bool is_refused_method(const Value& self, std::string_view name) {
  static constexpr std::string_view dict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr std::string_view list[] = {"append", "clear", "pop",    "reverse",
                                              "insert", "sort",  "extend", "remove"};
  const auto among = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (self.dict() != nullptr) return among(dict);
  return self.list() != nullptr && self.list()->kind == ListKind::list && among(list);
}

}  // namespace fettle::jinja
