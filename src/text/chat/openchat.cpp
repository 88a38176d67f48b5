#include "text/chat/openchat.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace fettle {
namespace {

std::vector<OpenChatType> make_types() {
  using R = OpenChatRelease;
  const std::string header = "<|start_header_id|>", header_end = "<|end_header_id|>\n\n";
  return {
      {"openchat", 2048, R::v1, true, "Human: ", "Assistant: ", ""},
      {"openchat_8192", 8192, R::v1, true, "Human: ", "Assistant: ", ""},
      {"opencoder", 8192, R::v1, false, "User:", "Assistant:", ""},
      {"openchat_v2", 2048, R::v2, true, "User:", "Assistant {}:", "GPT4", "", true},
      {"openchat_llama2", 4096, R::v3_2, true, "User:", "Assistant:", ""},
      {"openchat_v3.1_llama2", 4096, R::v3_1, true, "User:", "Assistant:", "GPT4", "Assistant is {}", true},
      {"openchat_v3.2", 4096, R::v3_2, true, "{} User:", "{} Assistant:", "GPT4", "", true},
      {"openchat_v3.2_mistral", 8192, R::v3_5, true, "{} User:", "{} Assistant:", "GPT4 Correct", "", false,
       {"openchat_3.5"}},
      {"openchat_3.6", 8192, R::v3_5, true, header + "{} User" + header_end, header + "{} Assistant" + header_end,
       "GPT4 Correct", "", false, {}, "<|eot_id|>", header + "System" + header_end, true},
  };
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const size_t begin = text.find_first_not_of(blank);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(blank) + 1 - begin);
}

/// What the type begins a conversation with.
std::vector<int32_t> beginning(const OpenChatType& type, const Tokenizer& tokenizer, OpenChatRelease release) {
  if (!type.bos) return {};
  if (release == OpenChatRelease::v3_5) return tokenizer.encode("", {.add_special = true, .parse_special = false});
  const auto bos = tokenizer.id("<s>");
  const int32_t id = bos ? *bos : tokenizer.bos();
  if (id < 0) fail_usage("{} begins with <s>, which the tokenizer does not have", type.name);
  return {id};
}

}  // namespace

const std::vector<OpenChatType>& openchat_types() {
  static const std::vector<OpenChatType> types = make_types();
  return types;
}

std::vector<std::string> openchat_type_names() {
  std::vector<std::string> names;
  for (const OpenChatType& type : openchat_types()) names.push_back(type.name);
  return names;
}

const OpenChatType* find_openchat_type(std::string_view name) {
  for (const OpenChatType& type : openchat_types()) {
    if (type.name == name || std::ranges::find(type.aliases, name) != type.aliases.end()) return &type;
  }
  return nullptr;
}

const OpenChatType& openchat_type(std::string_view name) {
  if (const OpenChatType* found = find_openchat_type(name)) return *found;
  const std::string near = nearest_name(name, openchat_type_names());
  fail_usage("there is no OpenChat model type '{}'{}", name,
             near.empty() ? fmt::format("; known are {}", fmt::join(openchat_type_names(), ", "))
                          : fmt::format("; did you mean '{}'?", near));
}

const OpenChatType* openchat_type_of(const fs::path& folder) {
  const fs::path path = folder / "openchat.json";
  if (!fs::is_regular_file(path)) return nullptr;
  const Json json = read_json(path);
  const Json& args = json.contains("args") && json["args"].is_object() ? json["args"] : json;
  const auto name = json_get<std::string>(args, "model_type", path.string());
  const OpenChatType* type = find_openchat_type(name);
  if (type == nullptr)
    fail(path.string(), "model_type '{}' is no type that fettle knows; name one with --model-type", name);
  return type;
}

OpenChatEncoder::OpenChatEncoder(const OpenChatType& type, const Tokenizer& tokenizer, OpenChatRelease release)
    : type_(type), tokenizer_(tokenizer), begin_(beginning(type, tokenizer, release)) {
  const auto end = tokenizer.id(type.end_of_turn);
  end_ = end ? *end : tokenizer.size();
}

void OpenChatEncoder::begin(std::vector<int32_t>& ids, std::string_view condition) const {
  ids.insert(ids.end(), begin_.begin(), begin_.end());
  if (type_.opening.empty()) return;
  pattern(ids, type_.opening, condition);
  end(ids);
}

void OpenChatEncoder::system(std::vector<int32_t>& ids, std::string_view text) const {
  pattern(ids, type_.system, "");
  content(ids, text);
  end(ids);
}

void OpenChatEncoder::prefix(std::vector<int32_t>& ids, bool assistant, std::string_view condition) const {
  pattern(ids, assistant ? type_.assistant : type_.user, condition);
}

void OpenChatEncoder::content(std::vector<int32_t>& ids, std::string_view text) const {
  pieces(ids, {{type_.trims_content ? trimmed(text) : text, false}});
}

// The type's own text may hold special tokens; a condition comes from a row or a request and may not.
void OpenChatEncoder::pattern(std::vector<int32_t>& ids, std::string_view pattern, std::string_view condition) const {
  const size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return pieces(ids, {{pattern, true}});
  std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 2);
  if (condition.empty() && after.starts_with(' ')) after.remove_prefix(1);
  if (condition.empty() && after.starts_with(':') && before.ends_with(' ')) before.remove_suffix(1);
  pieces(ids, {{before, true}, {condition, false}, {after, true}});
}

void OpenChatEncoder::pieces(std::vector<int32_t>& ids, std::vector<Tokenizer::Piece> parts) const {
  std::erase_if(parts, [](const Tokenizer::Piece& part) { return part.text.empty(); });
  const auto add = tokenizer_.encode_pieces(parts, {.begins = false}).ids;
  ids.insert(ids.end(), add.begin(), add.end());
}

int32_t openchat_end_of_turn(const OpenChatType& type, const Tokenizer& tokenizer) {
  const auto id = tokenizer.id(type.end_of_turn);
  if (!id)
    fail(type.name, "the tokenizer has no token {}, with which this type ends a turn", type.end_of_turn);
  return *id;
}

std::vector<int32_t> openchat_tokens(const OpenChatType& type, const Tokenizer& tokenizer,
                                     const Messages& messages, const OpenChatPrompt& options) {
  openchat_end_of_turn(type, tokenizer);
  const OpenChatEncoder encoder(type, tokenizer);
  const std::string& condition = options.condition.empty() ? type.condition : options.condition;
  std::vector<int32_t> ids;
  encoder.begin(ids, condition);
  const Message* system = nullptr;
  for (const Message& message : messages) {
    if (message.role == "system") system = &message;
  }
  if (options.system && system != nullptr && !system->content.empty()) encoder.system(ids, system->content);
  bool open = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (message.role == "system") continue;
    const bool assistant = message.role == "assistant";
    if (!assistant && message.role != "user")
      fail("messages", "role '{}' is not known to {}; it takes user, assistant and system", message.role,
           type.name);
    encoder.prefix(ids, assistant, condition);
    encoder.content(ids, message.content);
    open = assistant && i + 1 == messages.size();
    if (!open) encoder.end(ids);
  }
  if (!open) encoder.prefix(ids, true, condition);
  return ids;
}

}  // namespace fettle
