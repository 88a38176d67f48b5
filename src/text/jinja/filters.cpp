// Filters on strings and numbers, and the table of all filters. Sequences: jinja_filters_sequence.cpp.
#include "text/jinja/filters.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/strings.h"

namespace fettle::jinja {
namespace {

Value do_trim(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const Text* characters = bound.text(0);
  const Text text = to_text(v);
  run.charge_text(text.size() * (characters == nullptr ? 1 : std::min<size_t>(characters->size() + 1, 1024)));
  return strip(text, Side::both, characters == nullptr ? nullptr : &characters->bytes());
}

template <Text (*change)(const Text&)>
Value do_case(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("this filter", arguments, {});
  const Text text = to_text(v);
  charge_characters(run, text.size());
  return change(text);
}

// Jinja's own title: a word begins behind blanks and -({[<, an apostrophe does not begin one.
Text title_words(const Text& text) {
  Text out;
  const std::string_view bytes = text.bytes();
  const auto separates = [](uint32_t c) {
    return is_space(c) ||
           (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos);
  };
  for (size_t at = 0; at < bytes.size();) {
    const size_t begin = at;
    size_t first_end = at;
    if (separates(next_character(bytes, at))) {
      out.append(text, begin, at);
      continue;
    }
    first_end = at;
    while (at < bytes.size()) {
      size_t after = at;
      if (separates(next_character(bytes, after))) break;
      at = after;
    }
    out.append(upper(text.slice(begin, first_end)));
    out.append(lower(text.slice(first_end, at)));
  }
  return out;
}

Value do_string(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  if (v.is_string()) return v;
  run.charge(4 * weight(v));
  return to_text(v);
}

Value do_safe(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("safe", arguments, {});
  if (v.is_string()) return v;
  run.charge(4 * weight(v));
  return to_text(v);
}

Value do_escape(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("escape", arguments, {});
  const Text text = to_text(v);
  run.charge_text(text.size() * 5);
  run.charge(static_cast<int64_t>(text.size() / 4));
  Text out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text.bytes()[i];
    const std::string_view name = c == '&'    ? "&amp;"
                                  : c == '<'  ? "&lt;"
                                  : c == '>'  ? "&gt;"
                                  : c == '\'' ? "&#39;"
                                  : c == '"'  ? "&#34;"
                                              : "";
    out.append(name.empty() ? std::string_view(&c, 1) : name, text.source_at(i));
  }
  return out;
}

Value do_replace(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  run.charge(weight(v));
  const bool all = bound[2] == nullptr || bound[2]->is_none();
  return replace(run, to_text(v), to_text(bound.required(0)).bytes(), to_text(bound.required(1)),
                 all ? -1 : bound.integer(2, -1));
}

const Text& string_of(const Value& v, std::string_view filter) {
  if (!v.is_string()) {
    if (v.is_undefined() && v.hint().hint) raise("{}: {}", filter, *v.hint().hint);
    raise("{} works on a string, got {}", filter, v.type_name());
  }
  return *v.text();
}

Value do_indent(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  Text indention;
  if (bound[0] != nullptr && bound[0]->is_string()) {
    indention = *bound[0]->text();
  } else {
    indention = pad(run, Text(), bound.integer(0, 4), " ", Side::left);
  }
  Text text = string_of(v, "indent");
  charge_characters(run, text.size());
  text.append("\n", kFromTemplate);
  Text out;
  if (bound.flag(1)) out.append(indention);
  bool first = true;
  for (const Text& line : split_lines(run, text, false)) {
    if (!first) out.append("\n", kFromTemplate);
    if (!first && (bound.flag(2) || !line.empty())) out.append(indention);
    out.append(line);
    first = false;
    run.charge_text(line.size() + indention.size());
    check_size(static_cast<int64_t>(out.size()));
  }
  return out;
}

Value do_center(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  return pad(run, to_text(v), bound.integer(0, 80), " ", Side::both);
}

Value do_truncate(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const int64_t length = bound.integer(0, 255);
  const Text end = bound[2] == nullptr ? Text("...") : bound.required_text(2);
  const int64_t end_length = count_characters(end.bytes());
  const bool no_leeway = bound[3] == nullptr || bound[3]->is_none();
  const int64_t leeway = no_leeway ? 5 : bound.integer(3, 5);
  if (length < end_length || leeway < 0) raise("truncate: length {} is shorter than its end", length);
  const Text& text = string_of(v, "truncate");
  charge_characters(run, text.size());
  if (count_characters(text.bytes()) <= length + leeway) return v;
  Text out = text.slice(0, offset_of_character(text.bytes(), length - end_length));
  if (!bound.flag(1)) {
    const size_t space = out.bytes().rfind(' ');
    if (space != std::string::npos) out = out.slice(0, space);
  }
  out.append(end);
  return out;
}

Value do_wordcount(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("wordcount", arguments, {});
  const Text text = to_text(v);
  charge_characters(run, text.size());
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_character(text.bytes(), at);
    const bool word = c == '_' || is_alphabetic(c) || is_decimal(c);
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return count;
}

Value do_format(Interpreter& run, const Value& v, const Arguments& arguments) {
  if (!arguments.named.empty()) {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [name, value] : arguments.named) entries.emplace_back(Value::string(name), value);
    return percent_format(run, to_text(v), make_dict(std::move(entries)));
  }
  return percent_format(run, to_text(v), make_list(arguments.positional, ListKind::tuple));
}

Value do_int(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  const Value fallback = bound[0] == nullptr ? Value(int64_t{0}) : *bound[0];
  if (v.is_integer()) return v.integer();
  if (v.is_real()) return std::isfinite(v.real()) ? Value(truncated(v.real())) : fallback;
  if (!v.is_string()) return fallback;
  charge_characters(run, v.text()->size());
  if (const auto value = parse_integer(v.text()->bytes(),
                                       static_cast<int>(std::clamp<int64_t>(bound.integer(1, 10), -1, 99))))
    return *value;
  const auto real = parse_real(v.text()->bytes());
  return real && std::isfinite(*real) ? Value(truncated(*real)) : fallback;
}

Value do_float(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  if (v.is_number()) return v.real();
  if (v.is_string()) {
    charge_characters(run, v.text()->size());
    if (const auto value = parse_real(v.text()->bytes())) return *value;
  }
  return bound[0] == nullptr ? Value(0.0) : *bound[0];
}

double number_of(const Value& v, std::string_view filter) {
  if (v.is_number()) return v.real();
  if (v.is_undefined() && v.hint().hint) raise("{}: {}", filter, *v.hint().hint);
  raise("{} works on a number, got {}", filter, v.type_name());
}

Value do_round(Interpreter&, const Value& v, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t precision = bound.integer(0, 0);
  const std::string method = bound[1] == nullptr ? "common" : bound.required_text(1).bytes();
  const double number = number_of(v, "round");
  if (method == "common") {
    if (v.is_integer() && precision >= 0) return v.integer();
    if (!std::isfinite(number) || precision > 300) return number;
    if (precision >= 0) return *parse_real(fmt::format("{:.{}f}", number, precision));
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    const double rounded = std::nearbyint(number / scale) * scale;
    return v.is_integer() ? Value(truncated(rounded)) : Value(rounded);
  }
  if (method != "ceil" && method != "floor")
    raise("round: the method must be common, ceil or floor, got '{}'", method);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  return (method == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale;
}

Value do_abs(Interpreter&, const Value& v, const Arguments& arguments) {
  const Bound bound("abs", arguments, {});
  const double number = number_of(v, "abs");
  if (v.is_integer()) return v.integer() < 0 ? negate(v) : Value(v.integer());
  return std::abs(number);
}

Value do_default(Interpreter&, const Value& v, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool missing = v.is_undefined() || (bound.flag(1) && !v.truth());
  if (!missing) return v;
  return bound[0] == nullptr ? Value(Text()) : *bound[0];
}

Value do_attr(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"});
  // Jinja's attr looks at attributes alone; a dict's keys are not among them.
  if (v.dict() != nullptr && find_method(v, bound.required_text(0).bytes()) == nullptr) {
    return Value::undefined(
        fmt::format("'dict object' has no attribute '{}'", bound.required_text(0).bytes()));
  }
  return run.get_attribute(v, bound.required_text(0).bytes());
}

Value do_tojson(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.flag(0);
  style.sort_keys = bound.flag(3);
  if (bound[1] != nullptr && !bound[1]->is_none()) {
    style.indent =
        bound[1]->is_string()
            ? bound[1]->text()->bytes()
            : std::string(static_cast<size_t>(std::clamp<int64_t>(bound.integer(1, 0), 0, 1000)), ' ');
    style.item_separator = ",";
  }
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    const std::vector<Value> pair = iterate(*bound[2]);
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      raise("tojson: separators must be two strings");
    style.item_separator = pair[0].text()->bytes();
    style.key_separator = pair[1].text()->bytes();
  }
  return to_json(run, v, style);
}

constexpr FilterEntry kFilters[] = {
    {"trim", do_trim},
    {"upper", do_case<upper>},
    {"lower", do_case<lower>},
    {"capitalize", do_case<capitalize>},
    {"title", do_case<title_words>},
    {"string", do_string},
    {"safe", do_safe},
    {"escape", do_escape},
    {"e", do_escape},
    {"forceescape", do_escape},
    {"replace", do_replace},
    {"indent", do_indent},
    {"center", do_center},
    {"truncate", do_truncate},
    {"wordcount", do_wordcount},
    {"format", do_format},
    {"int", do_int},
    {"float", do_float},
    {"round", do_round},
    {"abs", do_abs},
    {"default", do_default},
    {"d", do_default},
    {"attr", do_attr},
    {"tojson", do_tojson},
};

}  // namespace

FilterFunction find_filter(std::string_view name) {
  for (const std::span<const FilterEntry> table :
       {std::span<const FilterEntry>(kFilters), sequence_filters()}) {
    for (const FilterEntry& entry : table) {
      if (entry.name == name) return entry.function;
    }
  }
  return nullptr;
}

std::vector<std::string> filter_names() {
  std::vector<std::string> names;
  for (const FilterEntry& entry : kFilters) names.emplace_back(entry.name);
  for (const FilterEntry& entry : sequence_filters()) names.emplace_back(entry.name);
  return names;
}

}  // namespace fettle::jinja
