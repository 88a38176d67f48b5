#include "cli/key_options.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace fettle::cli {
namespace {

using Kind = KeyInfo::Kind;

bool is_list(const KeyInfo& key) { return key.kind == Kind::texts || key.kind == Kind::numbers || key.kind == Kind::mapping; }

/// "--where,--fields", "ID".
std::string option_names(const KeyInfo& key) {
  if (key.is_positional) {
    std::string name = key.name;
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c == '_' ? '-' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
    return name;
  }
  std::string names = key.flag();
  for (const auto& alias : key.aliases) names += "," + KeyStyle{true, ""}.shown(alias);
  return names;
}

/// What stands for the value in --help.
std::string type_name(const KeyInfo& key) {
  if (!key.choices.empty()) return fmt::format("{{{}}}", fmt::join(key.choices, ","));
  const char* name = key.kind == Kind::whole ? "INT" : key.kind == Kind::number || key.kind == Kind::numbers ? "FLOAT"
                     : key.kind == Kind::size ? "SIZE" : key.kind == Kind::mapping ? "KEY=VALUE" : "TEXT";
  const bool from = key.least > -std::numeric_limits<double>::infinity(), to = key.most < std::numeric_limits<double>::infinity();
  if (from && to) return fmt::format("{} in [{:g} - {:g}]", name, key.least, key.most);
  return from && (key.above_least || key.least != 0) ? fmt::format("{}{}{:g}", name, key.above_least ? ">" : ">=", key.least) : name;
}

/// The number that a text is; the text itself where it is none, which the reader of the key then refuses.
template <typename T>
bool number_in(const std::string& text, OrderedJson& value) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  value = number;
  return true;
}
OrderedJson scalar(Kind kind, const std::string& text) {
  OrderedJson value;
  const bool whole = kind == Kind::whole && (number_in<int64_t>(text, value) || number_in<uint64_t>(text, value));
  const bool real = (kind == Kind::number || kind == Kind::numbers || kind == Kind::size) && number_in<double>(text, value);
  return whole || real ? value : OrderedJson(text);
}

OrderedJson value_of(const KeyInfo& key, const std::vector<std::string>& words) {
  if (!is_list(key)) return scalar(key.kind, words.front());
  if (key.kind == Kind::mapping) {
    OrderedJson pairs = OrderedJson::object();
    for (const auto& word : words) {
      const size_t equal = word.find('=');
      if (equal == std::string::npos) fail_usage("{}: '{}' should be KEY=VALUE", key.flag(), word);
      pairs[word.substr(0, equal)] = word.substr(equal + 1);
    }
    return pairs;
  }
  OrderedJson list = OrderedJson::array();
  for (const auto& word : words) list.push_back(scalar(key.kind, word));
  return list;
}

void add_key_option(CLI::App& command, const KeyInfo& key, const std::function<void(const KeyInfo&, OrderedJson)>& set) {
  if (key.kind == Kind::flag) {
    command.add_flag_function(option_names(key), [key, set](int64_t count) { set(key, (count > 0) != key.is_negative()); }, key.help);
    return;
  }
  CLI::Option* option = command.add_option(
      option_names(key),
      [key, set](const CLI::results_t& words) {
        set(key, value_of(key, words));
        return true;
      },
      key.help);
  option->type_name(type_name(key))->required(key.is_required);
  if (is_list(key)) option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(!key.one_by_one);
  if (key.by_comma) option->delimiter(',');
  if (const std::string fallback = key.default_text(); !fallback.empty()) option->default_str(fallback);
}

}  // namespace

void add_key_options(CLI::App& command, const std::vector<KeyInfo>& keys, const std::function<void(const KeyInfo&, OrderedJson)>& set) {
  for (const auto& key : keys) add_key_option(command, key, set);
}

}  // namespace fettle::cli
