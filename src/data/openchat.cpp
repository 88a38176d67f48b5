#include "data/openchat.h"

#include <algorithm>

#include "data/fields.h"
#include "data/phrases.h"

namespace fettle::data {
namespace {

const std::vector<OpenChatType>& types() {
  using F = OpenChatFiles;
  const std::string header = "<|start_header_id|>", header_end = "<|end_header_id|>\n\n";
  static const std::vector<OpenChatType> list{
      {"openchat", 2048, true, "Human: ", "Assistant: ", "", false, F::v1},
      {"openchat_8192", 8192, true, "Human: ", "Assistant: ", "", false, F::v1},
      {"opencoder", 8192, false, "User:", "Assistant:", "", false, F::v1},
      {"openchat_v2", 2048, true, "User:", "Assistant {}:", "", true, F::v2},
      {"openchat_llama2", 4096, true, "User:", "Assistant:", "", false, F::v3_2},
      {"openchat_v3.1_llama2", 4096, true, "User:", "Assistant:", "Assistant is {}", true, F::v3_1},
      {"openchat_v3.2", 4096, true, "{} User:", "{} Assistant:", "", true, F::v3_2},
      {"openchat_v3.2_mistral", 8192, true, "{} User:", "{} Assistant:", "", false, F::v3_5},
      {"openchat_3.6", 8192, true, header + "{} User" + header_end, header + "{} Assistant" + header_end, "", false,
       F::v3_5, "<|eot_id|>", true}};
  return list;
}

/// {} by the condition; without one, the space beside it goes too.
std::string filled(const std::string& pattern, const std::string& condition) {
  const size_t at = pattern.find("{}");
  if (at == std::string::npos) return pattern;
  const size_t end = at + 2 + (condition.empty() && pattern.substr(at + 2, 1) == " " ? 1 : 0);
  return pattern.substr(0, at) + condition + pattern.substr(end);
}

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

OpenChatFiles openchat_files_from_name(std::string_view name) {
  constexpr std::string_view names[] = {"v1", "v2", "v3.1", "v3.2", "v3.5"};
  for (size_t i = 0; i < std::size(names); ++i) {
    if (names[i] == name) return static_cast<OpenChatFiles>(i);
  }
  fail_usage("OpenChat's files come as v1, v2, v3.1, v3.2 or v3.5, not '{}'", name);
}

std::vector<std::string> openchat_type_names() {
  std::vector<std::string> names;
  for (const auto& type : types()) names.push_back(type.name);
  return names;
}

const OpenChatType& openchat_type(std::string_view name) {
  if (name == "openchat_3.5") name = "openchat_v3.2_mistral";
  for (const auto& type : types()) {
    if (type.name == name) return type;
  }
  const std::string near = nearest_name(name, openchat_type_names());
  fail_usage("there is no OpenChat model type '{}'{}", name,
             near.empty() ? fmt::format("; known are {}", fmt::join(openchat_type_names(), ", "))
                          : fmt::format("; did you mean '{}'?", near));
}

bool OpenChatSample::supervised() const {
  return std::any_of(weights.begin(), weights.end(), [](double weight) { return weight != 0; });
}

OpenChatTemplate::OpenChatTemplate(const OpenChatOptions& options) : options_(options) {
  FETTLE_CHECK(options.type != nullptr && options.tokenizer != nullptr);
  const auto& tokenizer = *options.tokenizer;
  const auto end = tokenizer.id(options.type->end_of_turn);
  end_ = end ? *end : tokenizer.size();
  if (!options.type->bos || options.files == OpenChatFiles::v3_5) return;
  const auto bos = tokenizer.id("<s>");
  bos_ = bos ? *bos : tokenizer.bos();
  if (bos_ < 0) fail_usage("{} begins with <s>, which the tokenizer does not have", options.type->name);
}

void OpenChatTemplate::append(OpenChatSample& sample, std::string_view text, double weight, bool parse_special) const {
  EncodeOptions how;
  how.parse_special = parse_special;
  const auto ids = options_.tokenizer->encode(text, how);
  sample.ids.insert(sample.ids.end(), ids.begin(), ids.end());
  sample.weights.resize(sample.ids.size(), weight);
}

void OpenChatTemplate::append_end(OpenChatSample& sample, double weight) const {
  sample.ids.push_back(end_);
  sample.weights.push_back(weight);
}

std::string OpenChatTemplate::prefix(const std::string& role, const std::string& condition) const {
  return filled(role == "user" ? options_.type->user : options_.type->assistant, condition);
}

double OpenChatTemplate::weight_of(const OrderedJson& turn, bool is_assistant, const std::string& text,
                                   bool is_gpt4) const {
  if (options_.files == OpenChatFiles::v3_5) {
    const auto given = turn.find("weight");
    return given != turn.end() && given->is_number() ? given->get<double>() : (is_assistant ? 1.0 : 0.0);
  }
  if (!is_assistant) return 0;
  if (options_.files != OpenChatFiles::v3_2) return 1;
  return refuses(text) ? 0 : is_gpt4 ? 1 : options_.gpt3_weight;
}

OpenChatSample OpenChatTemplate::encode(const OrderedJson& row, std::string_view where) const {
  const auto& type = *options_.type;
  const bool by_row = options_.files == OpenChatFiles::v3_5;
  const bool is_gpt4 = text_under(row, "model") == "Model: GPT-4";
  const std::string condition = by_row ? text_under(row, "condition") : is_gpt4 ? "GPT4" : "GPT3";
  OpenChatSample sample;
  sample.group = type.has_groups && is_gpt4 ? 1 : 0;
  if (by_row && type.bos) {
    EncodeOptions how;
    how.add_special = true;
    sample.ids = options_.tokenizer->encode("", how);
    sample.weights.resize(sample.ids.size(), 0.0);
  } else if (bos_ >= 0) {
    sample.ids.push_back(bos_);
    sample.weights.push_back(0);
  }
  if (!type.condition.empty()) {
    append(sample, filled(type.condition, condition), 0);
    append_end(sample, 0);
  }
  const std::string system = text_under(row, by_row ? "system" : "system_message");
  if (!system.empty() && (by_row || options_.files == OpenChatFiles::v3_2)) {
    if (type.system_has_role) append(sample, "<|start_header_id|>System<|end_header_id|>\n\n", 0, true);
    append(sample, system, 0);
    append_end(sample, 0);
  }
  for (const auto& turn : turns_of(row, where)) {
    if (!turn.is_object()) fail(where, "a turn should be an object, found {}", describe(turn));
    const std::string role = role_of(turn, where);
    const std::string& text = content_of(turn, where);
    append(sample, prefix(role, condition), 0, by_row);
    const double weight = weight_of(turn, role == "assistant", text, is_gpt4);
    const size_t from = sample.ids.size();
    append(sample, text, weight);
    append_end(sample, weight);
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

std::string OpenChatTemplate::decode(const std::vector<int32_t>& ids) const {
  const auto& tokenizer = *options_.tokenizer;
  std::string text;
  for (size_t at = 0; at < ids.size();) {
    size_t end = at;
    while (end < ids.size() && ids[end] != end_ && !tokenizer.is_special(ids[end])) ++end;
    if (end > at) text += tokenizer.decode(std::span(ids).subspan(at, end - at), false);
    for (at = end; at < ids.size() && (ids[at] == end_ || tokenizer.is_special(ids[at])); ++at) {
      text += ids[at] == end_ ? options_.type->end_of_turn : tokenizer.token(ids[at]);
    }
  }
  return text;
}

}  // namespace fettle::data
