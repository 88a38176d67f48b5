#include "data/openchat/openchat.h"

#include <algorithm>

#include "data/rows/fields.h"
#include "data/signals/phrases.h"

namespace fettle::data {
namespace {

bool refuses(const std::string& text) {
  static const PhraseMatcher matcher(phrase_list("openchat"));
  return matcher.any(text);
}

const OrderedJson& turns_of(const OrderedJson& row, std::string_view where) {
  for (const char* key : {"items", "conversations", "messages"}) {
    if (row.contains(key) && row[key].is_array()) return row[key];
  }
  fail(where, "has no list of turns under 'items' or 'conversations'");
}

std::string text_under(const OrderedJson& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// "user" or "assistant".
std::string role_of(const OrderedJson& turn, std::string_view where) {
  const std::string name = text_under(turn, turn.contains("from") ? "from" : "role");
  if (name == "human" || name == "user") return "user";
  if (name == "gpt" || name == "assistant") return "assistant";
  fail(where, "a turn is from '{}', expected human or gpt", name);
}

const std::string& content_of(const OrderedJson& turn, std::string_view where) {
  const auto found = turn.find(turn.contains("value") ? "value" : "content");
  if (found == turn.end() || !found->is_string()) fail(where, "a turn has no text under 'value' or 'content'");
  return found->get_ref<const std::string&>();
}

}  // namespace

OpenChatRelease openchat_release_from_name(std::string_view name) {
  constexpr std::string_view names[] = {"v1", "v2", "v3.1", "v3.2", "v3.5"};
  for (size_t i = 0; i < std::size(names); ++i) {
    if (names[i] == name) return static_cast<OpenChatRelease>(i);
  }
  fail_usage("OpenChat's files come as v1, v2, v3.1, v3.2 or v3.5, not '{}'", name);
}

bool OpenChatSample::supervised() const {
  return std::any_of(weights.begin(), weights.end(), [](double weight) { return weight != 0; });
}

OpenChatRows::OpenChatRows(const OpenChatOptions& options)
    : options_(options), encoder_(*options.type, *options.tokenizer, options.files) {}

double OpenChatRows::weight_of(const OrderedJson& turn, bool is_assistant, const std::string& text,
                                   bool is_gpt4) const {
  if (options_.files == OpenChatRelease::v3_5) {
    const auto given = turn.find("weight");
    return given != turn.end() && given->is_number() ? given->get<double>() : (is_assistant ? 1.0 : 0.0);
  }
  if (!is_assistant) return 0;
  if (options_.files != OpenChatRelease::v3_2) return 1;
  return refuses(text) ? 0 : is_gpt4 ? 1 : options_.gpt3_weight;
}

OpenChatSample OpenChatRows::encode(const OrderedJson& row, std::string_view where) const {
  const auto& type = *options_.type;
  const bool by_row = options_.files == OpenChatRelease::v3_5;
  const bool is_gpt4 = text_under(row, "model") == "Model: GPT-4";
  const std::string condition = by_row ? text_under(row, "condition") : is_gpt4 ? "GPT4" : "GPT3";
  OpenChatSample sample;
  sample.group = type.has_groups && is_gpt4 ? 1 : 0;
  const auto add = [&](double weight, auto&& write) {
    write(sample.ids);
    sample.weights.resize(sample.ids.size(), weight);
  };
  add(0, [&](auto& ids) { encoder_.begin(ids, condition); });
  const std::string system = text_under(row, by_row ? "system" : "system_message");
  if (!system.empty() && (by_row || options_.files == OpenChatRelease::v3_2))
    add(0, [&](auto& ids) { encoder_.system(ids, system); });
  for (const auto& turn : turns_of(row, where)) {
    if (!turn.is_object()) fail(where, "a turn should be an object, found {}", describe(turn));
    const bool assistant = role_of(turn, where) == "assistant";
    const std::string& text = content_of(turn, where);
    add(0, [&](auto& ids) { encoder_.prefix(ids, assistant, condition); });
    const double weight = weight_of(turn, assistant, text, is_gpt4);
    const size_t from = sample.ids.size();
    add(weight, [&](auto& ids) {
      encoder_.content(ids, text);
      encoder_.end(ids);
    });
    if (!by_row || !options_.per_sequence_loss) continue;
    const double share = weight / static_cast<double>(sample.ids.size() - from);
    std::fill(sample.weights.begin() + static_cast<std::ptrdiff_t>(from), sample.weights.end(), share);
  }
  const auto limit = static_cast<size_t>(type.context);
  sample.truncated = sample.ids.size() > limit;
  if (sample.truncated) {
    sample.ids.resize(limit);
    sample.weights.resize(limit);
  }
  return sample;
}

std::string OpenChatRows::decode(const std::vector<int32_t>& ids) const {
  const auto& tokenizer = *options_.tokenizer;
  const int32_t end_of_turn = encoder_.end_of_turn();
  std::string text;
  for (size_t at = 0; at < ids.size();) {
    size_t end = at;
    while (end < ids.size() && ids[end] != end_of_turn && !tokenizer.is_special(ids[end])) ++end;
    if (end > at) text += tokenizer.decode(std::span(ids).subspan(at, end - at), false);
    for (at = end; at < ids.size() && (ids[at] == end_of_turn || tokenizer.is_special(ids[at])); ++at) {
      text += ids[at] == end_of_turn ? options_.type->end_of_turn : tokenizer.token(ids[at]);
    }
  }
  return text;
}

}  // namespace fettle::data
