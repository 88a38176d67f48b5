#include <algorithm>
#include <array>
#include <utility>

#include "data/fields.h"
#include "data/utf8.h"

namespace fettle::data {
namespace {

constexpr std::array<std::pair<Format, std::string_view>, 9> names{{{Format::automatic, "auto"},
                                                                    {Format::messages, "messages"},
                                                                    {Format::sharegpt, "sharegpt"},
                                                                    {Format::alpaca, "alpaca"},
                                                                    {Format::completion, "completion"},
                                                                    {Format::pair, "pair"},
                                                                    {Format::judged, "judged"},
                                                                    {Format::ultrafeedback, "ultrafeedback"},
                                                                    {Format::text, "text"}}};

/// What a format cannot do without: each entry is a list of keys of which one must be there. In the order in
/// which formats are tried: a row of preference pairs often carries "messages" too.
struct Signature {
  Format format;
  std::vector<std::vector<const char*>> needs;
};
const std::vector<Signature>& signatures() {
  static const std::vector<Signature> all{
      {Format::pair, {{"chosen"}, {"rejected"}}},
      {Format::ultrafeedback, {{"instruction"}, {"completions"}}},
      {Format::judged, {{"completion", "messages", "conversations"}, {"label", "kto_tag"}}},
      {Format::messages, {{"messages"}}},
      {Format::sharegpt, {{"conversations", "items", "conversation"}}},
      {Format::completion, {{"prompt"}, {"completion"}}},
      {Format::alpaca, {{"instruction"}, {"output"}}},
      {Format::text, {{"text"}}},
  };
  return all;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "'" : ", '") + word + "'";
  return text;
}

/// "'prompt'", or "'messages' or 'items'".
std::string either(const std::vector<const char*>& keys) {
  std::string text;
  for (const auto* key : keys) text += (text.empty() ? "'" : " or '") + std::string(key) + "'";
  return text;
}

}  // namespace

std::string_view format_name(Format format) {
  return std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == format; })
      ->second;
}

Format format_from_name(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [format, spelling] : names) {
    if (spelling == name) return format;
    known.emplace_back(spelling);
  }
  if (name == "kto") return Format::judged;
  if (name == "dpo" || name == "preference") return Format::pair;
  const std::string near = nearest_name(name, known);
  fail_usage("unknown data format '{}'{}; formats are {}", name,
             near.empty() ? "" : fmt::format(", did you mean '{}'?", near), join(known));
}

std::string Fields::name(std::string_view role) const {
  const auto renamed = columns_.find(std::string(role));
  return renamed == columns_.end() ? std::string(role) : renamed->second;
}

const OrderedJson* Fields::find(std::string_view role) const {
  const auto found = columns_.empty() ? row_.find(role) : row_.find(name(role));
  return found == row_.end() || found->is_null() ? nullptr : &*found;
}

const OrderedJson* Fields::first_of(std::initializer_list<const char*> roles, std::string* found) const {
  for (const auto* role : roles) {
    if (const auto* value = find(role)) {
      if (found != nullptr) *found = name(role);
      return value;
    }
  }
  return nullptr;
}

std::vector<std::string> Fields::keys() const {
  std::vector<std::string> all;
  for (const auto& [key, value] : row_.items()) all.push_back(key);
  return all;
}

const OrderedJson& Fields::need(std::string_view role) const {
  const auto* value = find(role);
  if (value != nullptr) return *value;
  const std::string key = name(role);
  if (row_.contains(key)) fail(where_, "key '{}' is null, a value was expected", key);
  const std::string near = nearest_name(key, keys());
  fail(where_, "key '{}' is missing{}; the row has {}", key,
       near.empty() ? "" : fmt::format(", did you mean '{}'?", near), join(keys()));
}

std::string describe(const OrderedJson& value) {
  std::string shown = dump_json(value);
  if (shown.size() > 40) shown = shown.substr(0, character_boundary(shown, 40)) + "…";
  return fmt::format("{} {}",
                     value.is_array()    ? "a list"
                     : value.is_object() ? "an object"
                     : value.is_string() ? "the text"
                                         : "",
                     shown);
}

std::string Fields::text(std::string_view role) const {
  const auto& value = need(role);
  if (!value.is_string()) fail(where_, "key '{}' should be text, found {}", name(role), describe(value));
  return value.get<std::string>();
}

std::string Fields::text_or_empty(std::string_view role) const {
  return has(role) ? text(role) : std::string();
}

Format detect_format(const OrderedJson& row, const Columns& columns, std::string_view where) {
  const Fields fields(row, columns, where);
  const auto present = [&](const std::vector<const char*>& keys) {
    return std::any_of(keys.begin(), keys.end(), [&](const char* key) { return fields.has(key); });
  };
  for (const auto& signature : signatures()) {
    if (std::all_of(signature.needs.begin(), signature.needs.end(), present)) return signature.format;
  }
  const Signature* nearest = nullptr;
  std::string missing, wanted;
  for (const auto& signature : signatures()) {
    const auto lacks = std::find_if_not(signature.needs.begin(), signature.needs.end(), present);
    const auto held = std::count_if(signature.needs.begin(), signature.needs.end(), present);
    const std::string near = nearest_name(lacks->front(), fields.keys());
    if (held == 0 && near.empty()) continue;
    if (nearest == nullptr || (!near.empty() && wanted.empty())) {
      nearest = &signature;
      missing = either(*lacks);
      wanted = near.empty() ? "" : fmt::format(", did you mean it by '{}'?", near);
    }
  }
  if (nearest == nullptr) {
    fail(where, "no known data format has the keys {}; map them with `columns:` (see docs/data.md)",
         join(fields.keys()));
  }
  fail(where, "the keys {} are nearest to the format '{}', which also needs {}{}", join(fields.keys()),
       format_name(nearest->format), missing, wanted);
}

}  // namespace fettle::data
