#pragma once
// Options stated once: a table of keys, each with name, type, range, default and help. The flags of the command line, the keys of
// a recipe's step, --help and the page of options are made from it.
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/config_value.h"

namespace fettle {

/// One key as everybody may know it. Built by KeyTable::add and the calls that follow it.
struct KeyInfo {
  enum class Kind : uint8_t { flag, whole, number, size, text, texts, numbers, mapping, any };
  enum class Use : uint8_t {
    option,
    input,     ///< files that must be there before a recipe starts; what they hold decides the result
    named,     ///< a file, or a name that the program knows
    output,    ///< a file or folder that is written: a recipe gives it its place
    speed,     ///< changes how the work is done, and not what comes out
    terminal,  ///< of the command line alone
  };

  std::string name;  ///< "min_turns": the flag is --min-turns
  std::string help;
  Kind kind = Kind::text;
  Use use = Use::option;
  std::string file;                   ///< of an output: its name in the folder of a recipe's step
  std::vector<std::string> aliases;   ///< other names that are understood
  std::vector<std::string> choices;   ///< of texts; empty: any
  std::vector<std::string> needs;     ///< it has no effect unless one of these is given
  std::vector<std::string> excludes;  ///< it has no effect beside any of these
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool above_least = false;  ///< `least` itself is not allowed
  bool is_required = false;
  bool is_positional = false;  ///< on the command line
  bool one_by_one = false;     ///< of texts: a flag takes one of them and is given often
  bool by_comma = false;       ///< of texts: a flag's value is split at commas
  OrderedJson fallback;        ///< what holds where it is not given; null: nothing
  std::string fallback_text;   ///< the same in words, where the value does not say it

  KeyInfo& required();
  KeyInfo& positional();
  KeyInfo& alias(std::string other);
  KeyInfo& only_with(std::vector<std::string> keys);
  KeyInfo& not_with(std::vector<std::string> keys);
  KeyInfo& at_least(double number);
  KeyInfo& above(double number);
  KeyInfo& between(double from, double to);
  KeyInfo& one_of(std::vector<std::string> names);
  KeyInfo& repeated();
  KeyInfo& listed();
  KeyInfo& by_default(std::string words);
  KeyInfo& input();
  KeyInfo& is_file_or_name();
  KeyInfo& output(std::string file_name);
  KeyInfo& for_speed();
  KeyInfo& on_terminal();

  /// A flag that is on unless told otherwise: the command line has --no-NAME.
  bool is_negative() const { return kind == Kind::flag && fallback == true; }
  std::string flag() const;  ///< "--min-turns", "--no-check"
  /// "whole number from 0", "first | longest | best", "list of texts": for people.
  std::string type_text() const;
  std::string default_text() const;
  /// Throws Error(usage) unless the value is in range and among the choices; its type is left to the reader.
  void check(const ConfigValue& value) const;
};

/// How the keys of one call are written, for its errors.
struct KeyStyle {
  bool flags = false;  ///< --min-turns; otherwise min_turns
  std::string where;   ///< "filter: "
  std::string shown(std::string_view key) const;
};

/// What was given, under the keys' own names.
class KeyValues {
 public:
  /// Throws Error(usage) for a key that is none of `keys` (with the nearest one), one that stands under two names, is missing
  /// where it is required, has no effect beside the others, or is out of range.
  KeyValues(const std::vector<KeyInfo>& keys, const OrderedJson& given, const KeyStyle& style);

  bool has(std::string_view key) const { return values_.contains(key); }
  const OrderedJson& values() const { return values_; }
  const KeyStyle& style() const { return style_; }
  /// The key as the caller wrote it.
  std::string shown(std::string_view key) const;
  ConfigValue at(const std::string& key) const { return {values_.at(key), key, style_.where + shown(key)}; }

 private:
  void check_needs(const KeyInfo& key) const;

  OrderedJson values_ = OrderedJson::object();
  std::map<std::string, std::string, std::less<>> written_;
  KeyStyle style_;
};

template <typename T>
constexpr KeyInfo::Kind key_kind() {
  using Kind = KeyInfo::Kind;
  if constexpr (std::is_same_v<T, bool>) return Kind::flag;
  else if constexpr (std::is_integral_v<T>) return Kind::whole;
  else if constexpr (std::is_floating_point_v<T>) return Kind::number;
  else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, fs::path>) return Kind::text;
  else if constexpr (std::is_same_v<T, std::vector<std::string>>) return Kind::texts;
  else if constexpr (std::is_same_v<T, std::vector<double>>) return Kind::numbers;
  else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) return Kind::mapping;
  else if constexpr (std::is_same_v<T, std::vector<std::pair<std::string, std::string>>>) return Kind::mapping;
  else if constexpr (std::is_same_v<T, OrderedJson>) return Kind::any;
  else return key_kind<typename T::value_type>();  // std::optional
}

/// The keys of an options struct, each bound to a member: `[](auto& o) -> auto& { return o.member; }`.
template <typename Options>
class KeyTable {
 public:
  template <typename Member>
  KeyInfo& add(std::string name, std::string help, Member member) {
    using T = std::remove_cvref_t<decltype(member(std::declval<Options&>()))>;
    return put({std::move(name), std::move(help), key_kind<T>()}, write_value(member(defaults_)),
               [member](Options& options, const ConfigValue& value) { read_value(value, member(options)); });
  }
  /// A text that stands for a value.
  template <typename T, typename Member>
  KeyInfo& choice(std::string name, std::string help, std::vector<std::pair<std::string, T>> known, Member member) {
    KeyInfo info{std::move(name), std::move(help), KeyInfo::Kind::text};
    for (const auto& [text, value] : known) info.choices.push_back(text);
    return put(std::move(info), write_choice(member(defaults_), known),
               [known, member](Options& options, const ConfigValue& value) { read_choice(value, known, member(options)); });
  }
  /// A number of bytes, which may have a unit.
  template <typename Member>
  KeyInfo& size(std::string name, std::string help, Member member) {
    return put({std::move(name), std::move(help), KeyInfo::Kind::size}, write_value(member(defaults_)),
               [member](Options& options, const ConfigValue& value) {
                 member(options) = static_cast<std::remove_cvref_t<decltype(member(options))>>(read_bytes(value));
               });
  }
  /// The keys of a part of Options.
  template <typename Part, typename Member>
  void include(const KeyTable<Part>& part, Member member) {
    for (size_t i = 0; i < part.infos().size(); ++i) {
      infos_.push_back(part.infos()[i]);
      setters_.push_back([set = part.setter(i), member](Options& options, const ConfigValue& value) { set(member(options), value); });
    }
  }

  /// Changes what is said of every key.
  template <typename Change>
  KeyTable& each(Change change) {
    for (auto& info : infos_) change(info);
    return *this;
  }

  using Setter = std::function<void(Options&, const ConfigValue&)>;
  const std::vector<KeyInfo>& infos() const { return infos_; }
  const Setter& setter(size_t index) const { return setters_[index]; }
  /// What was given, put into `options`. Throws Error(usage) for values of another type.
  void read(const KeyValues& given, Options& options) const {
    for (size_t i = 0; i < infos_.size(); ++i)
      if (given.has(infos_[i].name)) setters_[i](options, given.at(infos_[i].name));
  }

 private:
  KeyInfo& put(KeyInfo info, OrderedJson fallback, Setter set) {
    const bool nothing = fallback.is_null() || (fallback.is_string() && fallback.get_ref<const std::string&>().empty()) ||
                         (fallback.is_structured() && fallback.empty());
    if (!nothing) info.fallback = std::move(fallback);
    infos_.push_back(std::move(info));
    setters_.push_back(std::move(set));
    return infos_.back();
  }

  Options defaults_{};
  std::vector<KeyInfo> infos_;
  std::vector<Setter> setters_;
};

}  // namespace fettle
