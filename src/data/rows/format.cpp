#include "data/rows/format.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "data/rows/key_set.h"

namespace fettle::data {
namespace {

constexpr std::array<std::pair<Format, std::string_view>, 14> names{{{Format::automatic, "auto"},
                                                                     {Format::messages, "messages"},
                                                                     {Format::sharegpt, "sharegpt"},
                                                                     {Format::alpaca, "alpaca"},
                                                                     {Format::completion, "completion"},
                                                                     {Format::pair, "pair"},
                                                                     {Format::judged, "judged"},
                                                                     {Format::ultrafeedback, "ultrafeedback"},
                                                                     {Format::votes, "votes"},
                                                                     {Format::ranked, "ranked"},
                                                                     {Format::summaries, "summaries"},
                                                                     {Format::instances, "instances"},
                                                                     {Format::transcript, "transcript"},
                                                                     {Format::text, "text"}}};

/// Data sets that people know by name, and the format that their rows have.
constexpr std::array<std::pair<std::string_view, Format>, 35> data_sets{
    {{"kto", Format::judged},
     {"dpo", Format::pair},
     {"preference", Format::pair},
     {"chatml", Format::messages},
     {"openai", Format::messages},
     {"openorca", Format::completion},
     {"dolly", Format::completion},
     {"gsm8k", Format::completion},
     {"metamath", Format::completion},
     {"webglm", Format::completion},
     {"codealpaca", Format::alpaca},
     {"slimorca", Format::sharegpt},
     {"wizardlm", Format::sharegpt},
     {"capybara", Format::sharegpt},
     {"lima", Format::sharegpt},
     {"ultrachat", Format::sharegpt},
     {"no_robots", Format::messages},
     {"orca_dpo", Format::pair},
     {"hh", Format::pair},
     {"hh_rlhf", Format::pair},
     {"openai_preference", Format::pair},
     {"ultrafeedback_binarized", Format::pair},
     {"stack_exchange_paired", Format::pair},
     {"nectar", Format::ranked},
     {"stack_exchange_preferences", Format::ranked},
     {"safe_rlhf", Format::votes},
     {"helpsteer3", Format::votes},
     {"shp", Format::votes},
     {"arena", Format::votes},
     {"arena55k", Format::votes},
     {"webgpt", Format::votes},
     {"summarize_from_feedback", Format::summaries},
     {"self_instruct", Format::instances},
     {"glaive", Format::transcript},
     {"guanaco", Format::transcript}}};

KeyBits keys_of(KeyNames names) {
  return KeySet(names).bits();
}
KeyBits keys_of(std::initializer_list<const char*> names) {
  return KeySet(names).bits();
}

/// One key of a list must hold a value of the right type.
struct Need {
  enum class Type { any, text, list, object };
  KeyBits keys;
  const char* name;  ///< as errors call it
  Type type = Type::any;

  bool met(const RowKeys& row, bool null_counts) const {
    KeyBits has;
    if (type == Type::any) has = values_of(row);
    if (type == Type::text) has = row.text;
    if (type == Type::list) has = row.list;
    if (type == Type::object) has = row.object;
    if (null_counts) has |= row.null;
    return (has & keys).any();
  }
};
struct Signature {
  Format format;
  std::vector<Need> needs;
};

/// What a format cannot do without, in the order in which formats are tried: rows of preference pairs often
/// carry "messages" too, and rows of prompt and completion a list of other answers.
const std::vector<Signature>& signatures() {
  using T = Need::Type;
  const auto keys = [](KeyNames names, T type = T::any) { return Need{keys_of(names), names.front(), type}; };
  const auto key = [](const char* name, T type = T::any) { return Need{keys_of({name}), name, type}; };
  static const std::vector<Signature> all{
      {Format::pair, {keys(chosen_keys()), keys(rejected_keys())}},
      {Format::pair, {keys(turn_keys(), T::list), keys(rejected_keys())}},
      {Format::ultrafeedback, {key("instruction"), key("completions", T::list)}},
      {Format::judged, {keys(turn_keys(), T::list), keys(label_keys())}},
      {Format::judged, {keys(prompt_keys()), keys(completion_keys()), keys(label_keys())}},
      {Format::messages, {key("messages")}},
      {Format::sharegpt,
       {Need{keys_of(turn_keys()) & ~keys_of({"messages", "data"}), "conversations", T::list}}},
      {Format::alpaca, {key("instruction"), key("output")}},
      {Format::completion, {keys(prompt_keys()), keys(completion_keys())}},
      {Format::ranked, {keys(prompt_keys()), keys(answer_list_keys(), T::list)}},
      {Format::instances, {key("instruction"), key("instances", T::list)}},
      {Format::sharegpt, {key("data", T::list)}},
      {Format::summaries, {key("info", T::object), key("summaries", T::list), key("choice")}},
      {Format::transcript, {key("chat", T::text)}},
      {Format::text, {key("text", T::text)}},
  };
  return all;
}

/// Two answers and a verdict. Without the verdict nothing tells which is wanted.
bool is_votes(const RowKeys& row) {
  static const KeyBits verdicts = keys_of(verdict_keys());
  static const auto pairs = [] {
    std::vector<std::pair<int, int>> numbers;
    for (const auto& [first, second] : compared_keys())
      numbers.emplace_back(row_key_index(first), row_key_index(second));
    return numbers;
  }();
  if ((values_of(row) & verdicts).none()) return false;
  return std::any_of(pairs.begin(), pairs.end(),
                     [&](const auto& pair) { return row.present(pair.first) && row.present(pair.second); });
}

std::optional<Format> matching(const RowKeys& row, bool null_counts) {
  const auto fits = [&](const Signature& signature) {
    return std::all_of(signature.needs.begin(), signature.needs.end(),
                       [&](const Need& need) { return need.met(row, null_counts); });
  };
  const auto& all = signatures();
  const auto pairs = all.begin() + 2;
  auto found = std::find_if(all.begin(), pairs, fits);
  if (found != pairs) return found->format;
  if (is_votes(row)) return Format::votes;
  found = std::find_if(pairs, all.end(), fits);
  return found == all.end() ? std::nullopt : std::optional(found->format);
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "'" : ", '") + word + "'";
  return text;
}

}  // namespace

std::string_view format_name(Format format) {
  return std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == format; })
      ->second;
}

Format format_from_name(std::string_view name) {
  std::vector<std::string> formats, known;
  for (const auto& [format, spelling] : names) {
    if (spelling == name) return format;
    formats.emplace_back(spelling);
  }
  known = formats;
  for (const auto& [spelling, format] : data_sets) {
    if (spelling == name) return format;
    known.emplace_back(spelling);
  }
  const std::string near = nearest_name(name, known);
  fail_usage("unknown data format '{}'{}; formats are {}, and data sets by their names (docs/data.md)", name,
             near.empty() ? "" : fmt::format(", did you mean '{}'?", near), join(formats));
}

namespace {

bool same_keys(const RowKeys& a, const RowKeys& b) {
  return a.null == b.null && a.text == b.text && a.list == b.list && a.object == b.object &&
         a.other == b.other;
}

std::optional<Format> told_by(const RowKeys& row) {
  static const KeyBits labels = keys_of(label_keys());
  if ((row.null & labels).any()) {
    RowKeys labelled = row;
    labelled.other |= row.null & labels;
    if (const auto format = matching(labelled, false); format == Format::judged) return format;
  }
  const auto format = matching(row, false);
  return format ? format : matching(row, true);
}

}  // namespace

std::optional<Format> format_of(const RowKeys& row) {
  // Most rows have the keys of the row before.
  thread_local RowKeys before;
  thread_local std::optional<Format> told;
  if (!same_keys(row, before)) {
    told = told_by(row);
    before = row;
  }
  return told;
}

std::string_view refusal_of(const RowKeys& row) {
  static const KeyBits turns = keys_of(turn_keys()), id = keys_of({"message_id"}),
                       parent = keys_of({"parent_id"}), tree = keys_of({"message_tree_id"}),
                       scores = keys_of({"helpfulness", "correctness"}), labels = keys_of(label_keys()),
                       pairs = keys_of(chosen_keys()) | keys_of(rejected_keys());
  const KeyBits values = values_of(row), all = values | row.null;
  if ((values & turns).none() && (((all & id).any() && (all & parent).any()) || (all & tree).any())) {
    return "is one message of a tree of conversations, which alone is nothing to learn from; join the "
           "messages from the root to each "
           "leaf into rows of `messages` first (or name `format: text` to learn it as plain text)";
  }
  if ((row.other & scores) == scores && (values & (labels | pairs)).none() &&
      matching(row, false) == Format::completion) {
    return "is an answer with scores, good or bad; say from which score on it is wanted, for example "
           "`columns: {label: helpfulness >= 3}`, or name `format: completion` to learn all answers alike";
  }
  return "";
}

std::string nearest_format(const RowKeys& row, const std::vector<std::string>& present) {
  double best = 0;
  std::string text;
  for (const auto& signature : signatures()) {
    double share = 0;
    std::string lacks, wanted;
    for (const auto& need : signature.needs) {
      if (need.met(row, false)) {
        share += 1;
        continue;
      }
      const std::string near = nearest_name(need.name, present);
      share += near.empty() ? 0 : 0.75;
      if (!lacks.empty() && near.empty()) continue;
      lacks = need.name;
      wanted = near.empty() ? "" : fmt::format(", did you mean it by '{}'?", near);
    }
    share /= static_cast<double>(signature.needs.size());
    if (share <= best) continue;
    best = share;
    text = fmt::format("the keys {} are nearest to the format '{}', which also needs '{}'{}", join(present),
                       format_name(signature.format), lacks, wanted);
  }
  if (text.empty())
    text = fmt::format("no known data format has the keys {}; map them with `columns:` (see docs/data.md)",
                       join(present));
  return text;
}

}  // namespace fettle::data
