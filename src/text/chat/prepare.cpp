#include "text/chat/prepare.h"

#include <optional>

#include "base/ordered_json.h"
#include "text/chat/chat_template.h"

namespace fettle {
namespace {

struct Inline {
  std::string thought, answer;
};

std::string_view without_line_ends(std::string_view text) {
  while (text.starts_with('\n')) text.remove_prefix(1);
  while (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

std::optional<Inline> split_thought(std::string_view content, std::string_view begin, std::string_view end) {
  if (begin.empty() || end.empty()) return std::nullopt;
  const size_t start = content.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || !content.substr(start).starts_with(begin)) return std::nullopt;
  const std::string_view inside = content.substr(start + begin.size());
  const size_t stop = inside.find(end);
  if (stop == std::string_view::npos) return std::nullopt;
  std::string_view answer = inside.substr(stop + end.size());
  while (answer.starts_with('\n')) answer.remove_prefix(1);
  return Inline{std::string(without_line_ends(inside.substr(0, stop))), std::string(answer)};
}

std::optional<Inline> inline_thought(const TemplateTraits& traits, const Message& message) {
  if (message.role != "assistant" || thoughts_of(message) != nullptr) return std::nullopt;
  auto found = split_thought(message.content, traits.thought_begin, traits.thought_end);
  return found ? found : split_thought(message.content, "<think>", "</think>");
}

bool has_parts(const Message& message) {
  return message.extra.is_object() && message.extra.contains("content") &&
         message.extra["content"].is_array();
}

bool has_calls(const Message& message) {
  if (!message.extra.is_object()) return false;
  const auto calls = message.extra.find("tool_calls");
  return calls != message.extra.end() && calls->is_array() && !calls->empty();
}

/// Null where a call has no arguments to bring into the other form.
OrderedJson* arguments_of(OrderedJson& call) {
  OrderedJson& function = call.is_object() && call.contains("function") ? call["function"] : call;
  return function.is_object() && function.contains("arguments") ? &function["arguments"] : nullptr;
}

/// As Python's json.dumps writes it, which templates' own `tojson` does too.
std::string python_json(const OrderedJson& value) {
  if (value.is_object() || value.is_array()) {
    std::string text;
    for (const auto& [key, item] : value.items()) {
      if (!text.empty()) text += ", ";
      text += (value.is_object() ? dump_json(OrderedJson(key)) + ": " : "") + python_json(item);
    }
    return value.is_object() ? "{" + text + "}" : "[" + text + "]";
  }
  return dump_json(value);
}

bool change_arguments(OrderedJson& arguments, TemplateTraits::Calls form) {
  if (form == TemplateTraits::Calls::mapping && arguments.is_string()) {
    auto parsed = ordered_json_or_none(arguments.get_ref<const std::string&>());
    if (!parsed || !parsed->is_object()) return false;
    arguments = std::move(*parsed);
    return true;
  }
  if (form != TemplateTraits::Calls::text) return false;
  OrderedJson value = arguments;
  if (value.is_string()) value = ordered_json_or_none(value.get_ref<const std::string&>()).value_or(nullptr);
  if (!value.is_object()) return false;
  arguments = python_json(value);
  return true;
}

}  // namespace

PreparedMessages::PreparedMessages(const ChatTemplate& chat, std::span<const Message> messages)
    : messages_(messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    content(chat, i);
    thoughts(chat, i);
    if (has_calls(messages[i])) calls(chat, i);
  }
}

Message& PreparedMessages::changed(size_t index) {
  if (storage_.empty()) {
    storage_.assign(messages_.begin(), messages_.end());
    messages_ = storage_;
  }
  return storage_[index];
}

void PreparedMessages::content(const ChatTemplate& chat, size_t index) {
  const Message& message = messages_[index];
  const TemplateTraits::Content& form = chat.traits().content_of(message.role);
  if (has_parts(message)) {
    if (!form.parts) changed(index).extra.erase("content");
  } else if (!form.text && !message.content.empty()) {
    Message& mine = changed(index);
    if (mine.extra.is_null()) mine.extra = OrderedJson::object();
    mine.extra["content"] = {{{"type", "text"}, {"text", mine.content}}};
  }
}

void PreparedMessages::thoughts(const ChatTemplate& chat, size_t index) {
  const TemplateTraits& traits = chat.traits();
  if (!traits.reads_thoughts) return;
  auto found = inline_thought(traits, messages_[index]);
  if (!found) return;
  Message& mine = changed(index);
  if (mine.extra.is_null()) mine.extra = OrderedJson::object();
  mine.content = std::move(found->answer);
  if (has_parts(mine)) mine.extra["content"] = {{{"type", "text"}, {"text", mine.content}}};
  mine.extra["reasoning_content"] = std::move(found->thought);
}

void PreparedMessages::calls(const ChatTemplate& chat, size_t index) {
  const TemplateTraits::Calls form = chat.traits().calls;
  if (form == TemplateTraits::Calls::none) {
    fail(fmt::format("messages[{}]", index),
         "has tool calls, which this model's chat template does not write: they would be lost in silence; "
         "use a model "
         "or a chat template with tools, or leave the row out");
  }
  OrderedJson list = messages_[index].extra["tool_calls"];
  bool any = false;
  for (OrderedJson& call : list) {
    if (OrderedJson* arguments = arguments_of(call)) any |= change_arguments(*arguments, form);
  }
  if (any) changed(index).extra["tool_calls"] = std::move(list);
}

const OrderedJson* thoughts_of(const Message& message) {
  if (!message.extra.is_object()) return nullptr;
  for (const char* name : {"reasoning_content", "reasoning", "thinking", "thoughts"}) {
    const auto found = message.extra.find(name);
    if (found != message.extra.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

bool has_thought(const ChatTemplate& chat, const Message& message) {
  if (const OrderedJson* thoughts = thoughts_of(message))
    return !thoughts->is_string() ||
           thoughts->get_ref<const std::string&>().find_first_not_of(" \t\r\n") != std::string::npos;
  const auto found = inline_thought(chat.traits(), message);
  return found && found->thought.find_first_not_of(" \t\r\n") != std::string::npos;
}

}  // namespace fettle
