#include "serve/openchat.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace fettle::serve {
namespace {

std::vector<OpenChatType> make_types() {
  std::vector<OpenChatType> types;
  const auto add = [&](OpenChatType type) { types.push_back(std::move(type)); };
  OpenChatType t;
  t.name = "openchat";
  t.context = 2048;
  t.user_prefix = "Human: ";
  t.assistant_prefix = "Assistant: ";
  add(t);
  t.name = "openchat_8192";
  t.context = 8192;
  add(t);
  t.name = "opencoder";
  t.bos = false;
  t.user_prefix = "User:";
  t.assistant_prefix = "Assistant:";
  add(t);
  t.name = "openchat_llama2";
  t.bos = true;
  t.context = 4096;
  add(t);
  t.name = "openchat_v3.1_llama2";
  t.condition = "Assistant is GPT4";
  t.condition_first = true;
  add(t);
  t.name = "openchat_v2";
  t.context = 2048;
  t.condition_first = false;
  t.condition = "GPT4";
  t.assistant_prefix = "Assistant {}:";
  add(t);
  t.name = "openchat_v3.2";
  t.context = 4096;
  t.user_prefix = "{} User:";
  t.assistant_prefix = "{} Assistant:";
  add(t);
  t.name = "openchat_v3.2_mistral";
  t.aliases = {"openchat_3.5"};
  t.context = 8192;
  t.condition = "GPT4 Correct";
  add(t);
  t.name = "openchat_3.6";
  t.aliases = {};
  t.end_of_turn = "<|eot_id|>";
  t.user_prefix = "<|start_header_id|>{} User<|end_header_id|>\n\n";
  t.assistant_prefix = "<|start_header_id|>{} Assistant<|end_header_id|>\n\n";
  t.system_prefix = "<|start_header_id|>System<|end_header_id|>\n\n";
  add(t);
  return types;
}

std::string trimmed(std::string text) {
  constexpr const char* blank = " \t\r\n";
  text.erase(0, std::min(text.find_first_not_of(blank), text.size()));
  text.erase(text.find_last_not_of(blank) + 1);
  return text;
}

/// Appends segments, each encoded on its own.
struct Builder {
  const Tokenizer& tokenizer;
  std::vector<int32_t> ids;

  void text(std::string_view segment) { pieces({{segment, false}}); }
  void special(std::string_view segment) { pieces({{segment, true}}); }

  /// A role's prefix with its condition in place of {}, without the space that an empty one would leave. The
  /// type's own text may hold special tokens, the condition comes from a request and may not.
  void prefix(std::string_view pattern, std::string_view condition) {
    const size_t at = pattern.find("{}");
    if (at == std::string_view::npos) return special(pattern);
    std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 2);
    if (condition.empty() && after.starts_with(' ')) after.remove_prefix(1);
    if (condition.empty() && after.starts_with(':') && before.ends_with(' ')) before.remove_suffix(1);
    pieces({{before, true}, {condition, false}, {after, true}});
  }

 private:
  void pieces(std::vector<Tokenizer::Piece> parts) {
    std::erase_if(parts, [](const Tokenizer::Piece& part) { return part.text.empty(); });
    const auto add = tokenizer.encode_pieces(parts, {.begins = false}).ids;
    ids.insert(ids.end(), add.begin(), add.end());
  }
};

}  // namespace

const std::vector<OpenChatType>& openchat_types() {
  static const std::vector<OpenChatType> types = make_types();
  return types;
}

std::optional<OpenChatType> find_openchat_type(std::string_view name) {
  for (const OpenChatType& type : openchat_types()) {
    if (type.name == name || std::ranges::find(type.aliases, name) != type.aliases.end()) return type;
  }
  return std::nullopt;
}

std::optional<OpenChatType> openchat_type_of(const fs::path& folder) {
  const fs::path path = folder / "openchat.json";
  if (!fs::is_regular_file(path)) return std::nullopt;
  const Json json = read_json(path);
  const Json& args = json.contains("args") && json["args"].is_object() ? json["args"] : json;
  const auto name = json_get<std::string>(args, "model_type", path.string());
  auto type = find_openchat_type(name);
  if (!type)
    fail(path.string(), "model_type '{}' is no type that fettle knows; name one with --model-type", name);
  return type;
}

int32_t openchat_end_of_turn(const OpenChatType& type, const Tokenizer& tokenizer) {
  const auto id = tokenizer.id(type.end_of_turn);
  if (!id)
    fail(type.name, "the tokenizer has no token {}, with which this type ends a turn", type.end_of_turn);
  return *id;
}

std::vector<int32_t> openchat_tokens(const OpenChatType& type, const Tokenizer& tokenizer,
                                     const Messages& messages, const OpenChatPrompt& options) {
  const int32_t end = openchat_end_of_turn(type, tokenizer);
  const std::string condition = options.condition.empty() ? type.condition : options.condition;
  const bool llama3 =
      !type.system_prefix.empty();  // its prefixes hold special tokens, its contents are trimmed
  Builder out{tokenizer, {}};
  if (type.bos && tokenizer.bos() >= 0) out.ids.push_back(tokenizer.bos());
  if (type.condition_first) {
    out.text(condition);
    out.ids.push_back(end);
  }
  const Message* system = nullptr;
  for (const Message& message : messages) {
    if (message.role == "system") system = &message;
  }
  if (options.system && system != nullptr && !system->content.empty()) {
    if (llama3) out.special(type.system_prefix);
    out.text(llama3 ? trimmed(system->content) : system->content);
    out.ids.push_back(end);
  }
  bool open = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (message.role == "system") continue;
    const bool assistant = message.role == "assistant";
    if (!assistant && message.role != "user")
      fail("messages", "role '{}' is not known to {}; it takes user, assistant and system", message.role,
           type.name);
    out.prefix(assistant ? type.assistant_prefix : type.user_prefix, condition);
    out.text(llama3 ? trimmed(message.content) : message.content);
    open = assistant && i + 1 == messages.size();
    if (!open) out.ids.push_back(end);
  }
  if (!open) out.prefix(type.assistant_prefix, condition);
  return out.ids;
}

}  // namespace fettle::serve
