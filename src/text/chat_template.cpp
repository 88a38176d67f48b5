#include "text/chat_template.h"

#include <algorithm>

#include "text/jinja_interpreter.h"
#include "text/jinja_parser.h"

namespace fettle {
namespace {

using jinja::Value;

constexpr std::string_view kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Templates build headers from roles ('<|' + role + '|>'), so a plain role counts as the template's own text.
// A role that could hold a special token does not.
int32_t role_source(const std::string& role, int32_t message) {
  const bool plain = std::all_of(role.begin(), role.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return plain ? jinja::kFromTemplate : message;
}

/// What the template sees of the messages; it stands while the template runs.
struct SeenMessages {
  explicit SeenMessages(size_t count) {
    contents.reserve(count);
    dicts.reserve(count);
  }
  std::vector<jinja::Text> contents;
  std::vector<jinja::Dict> dicts;
};

Value message_value(const Message& message, int32_t index, SeenMessages& seen) {
  static const jinja::Text role("role"), content("content"), user("user"), assistant("assistant");
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(2 + message.extra.size());
  const auto key = [](std::string_view name) { return Value::string(std::string(name)); };
  entries.emplace_back(Value::borrowed(role), message.role == "user"        ? Value::borrowed(user)
                                              : message.role == "assistant" ? Value::borrowed(assistant)
                                                                            : Value::string(message.role, role_source(message.role, index)));
  entries.emplace_back(Value::borrowed(content), Value::borrowed(seen.contents.emplace_back(message.content, index)));
  if (message.extra.is_object()) {
    for (const auto& [name, field] : message.extra.items())
      entries.emplace_back(key(name), jinja::from_json(field, index));
  }
  // As transformers: reasoning under any of its names is found under the two that templates read.
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    if (!message.extra.is_object() || !message.extra.contains(name) || message.extra[name].is_null())
      continue;
    const Value reasoning = jinja::from_json(message.extra[name], index);
    if (!message.extra.contains("thinking")) entries.insert(entries.begin(), {key("thinking"), reasoning});
    entries.emplace_back(key("reasoning_content"), reasoning);
    break;
  }
  return Value::borrowed(seen.dicts.emplace_back(jinja::dict_of(std::move(entries))));
}

size_t content_size(std::span<const Message> messages) {
  size_t size = 0;
  for (const Message& message : messages) size += message.content.size();
  return size;
}

// A loop over every byte of every message a few hundred times is the most a sound template does.
int64_t step_limit(std::span<const Message> messages) {
  return 10'000'000 + 5000 * static_cast<int64_t>(messages.size()) +
         8 * static_cast<int64_t>(content_size(messages));
}

}  // namespace

struct ChatTemplate::Impl {
  std::string source, where;
  std::shared_ptr<const jinja::Program> program;
  std::vector<Value> special_tokens;
  std::optional<jinja::Bindings> constants;  ///< functions and special tokens
  int32_t messages = -1, tools = -1, documents = -1, add_generation_prompt = -1;
};

ChatTemplate::ChatTemplate(std::string source, Json special_tokens, std::string_view where)
    : impl_(new Impl) {
  impl_->program = jinja::parse(source, where);
  impl_->source = std::move(source);
  impl_->where = where;
  impl_->constants.emplace(*impl_->program);
  for (const auto& [name, token] : special_tokens.items()) {
    if (token.is_null()) continue;
    const Value& value = impl_->special_tokens.emplace_back(jinja::from_json(token, jinja::kFromTemplate));
    impl_->constants->set(name, value.is_string() ? Value::borrowed(*value.text()) : value);
  }
  impl_->messages = impl_->program->symbol("messages");
  impl_->tools = impl_->program->symbol("tools");
  impl_->documents = impl_->program->symbol("documents");
  impl_->add_generation_prompt = impl_->program->symbol("add_generation_prompt");
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;

ChatTemplate ChatTemplate::of(const Tokenizer& tokenizer) {
  Json special = Json::object();
  const auto add = [&](const char* name, int32_t id) {
    if (id >= 0) special[name] = tokenizer.token(id);
  };
  add("bos_token", tokenizer.bos());
  add("eos_token", tokenizer.eos());
  add("pad_token", tokenizer.pad());
  add("unk_token", tokenizer.unk());
  if (!tokenizer.chat_template().empty())
    return {tokenizer.chat_template(), std::move(special), "chat_template"};
  if (tokenizer.id("<|im_start|>") && tokenizer.id("<|im_end|>"))
    return {std::string(kChatMl), std::move(special), "ChatML"};
  fail("chat_template",
       "the model carries no chat template and has no <|im_start|> token for ChatML; add a "
       "chat_template.jinja to its folder, or use plain text (--raw)");
}

Rendered ChatTemplate::render(std::span<const Message> messages, const RenderOptions& options) const {
  SeenMessages seen(messages.size());
  std::vector<Value> list;
  list.reserve(messages.size());
  jinja::Bindings bindings = *impl_->constants;
  try {
    for (size_t i = 0; i < messages.size(); ++i)
      list.push_back(message_value(messages[i], static_cast<int32_t>(i), seen));
    bindings.set(impl_->messages, jinja::make_list(std::move(list)));
    bindings.set(impl_->tools, jinja::None{});
    bindings.set(impl_->documents, jinja::None{});
    bindings.set(impl_->add_generation_prompt, options.add_generation_prompt);
    if (options.variables.is_object()) {
      for (const auto& [name, value] : options.variables.items()) {
        bindings.set(name, jinja::from_json(value, jinja::kFromVariable));
      }
    }
  } catch (const jinja::Failure& failure) {
    fail(impl_->where, "a message or variable is not fit for a template: {}", failure.what());
  }
  jinja::Interpreter interpreter(*impl_->program, step_limit(messages), options.now);
  constexpr size_t around = 256, around_each = 32;  // what templates write besides the messages
  const size_t size = content_size(messages) + around + around_each * messages.size();
  jinja::Text text = interpreter.run(std::move(bindings), size, impl_->where);
  const auto runs = text.runs();
  Rendered out{text.take_bytes(), {}};
  out.runs.reserve(runs.size());
  int64_t begin = 0;
  for (const auto& run : runs) {
    out.runs.push_back({begin, run.end, run.source});
    begin = run.end;
  }
  return out;
}

const std::string& ChatTemplate::source() const {
  return impl_->source;
}

}  // namespace fettle
