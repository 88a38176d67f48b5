#include "text/chat/chat_template.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "text/chat/prepare.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

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
  // Thoughts under any of their names are found under those that templates read.
  if (const OrderedJson* thoughts = thoughts_of(message)) {
    const Value reasoning = jinja::from_json(*thoughts, index);
    if (!message.extra.contains("thinking")) entries.insert(entries.begin(), {key("thinking"), reasoning});
    for (const char* name : {"reasoning_content", "reasoning"}) entries.emplace_back(key(name), reasoning);
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
  std::unique_ptr<ChatTemplate> tool_use;  ///< for conversations with tools; null: the same
  std::once_flag probed;
  TemplateTraits traits;
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

namespace {

Json special_tokens_of(const Tokenizer& tokenizer) {
  Json special = Json::object();
  const auto add = [&](const char* name, int32_t id) {
    if (id >= 0) special[name] = tokenizer.token(id);
  };
  add("bos_token", tokenizer.bos());
  add("eos_token", tokenizer.eos());
  add("pad_token", tokenizer.pad());
  add("unk_token", tokenizer.unk());
  return special;
}

std::string names_of(const std::map<std::string, std::string>& named) {
  std::string names;
  for (const auto& [name, source] : named) names += (names.empty() ? "" : ", ") + name;
  return names;
}

/// Stands where a model names templates and none "default": what needs one says so.
std::string refusal(const std::map<std::string, std::string>& named) {
  return "{{ raise_exception('the model has chat templates named " + names_of(named) +
         ", and none named default; choose one by its name') }}";
}

}  // namespace

ChatTemplate ChatTemplate::of(const Tokenizer& tokenizer, const std::string& chosen) {
  const Json special = special_tokens_of(tokenizer);
  const auto named = tokenizer.named_templates();
  if (!chosen.empty() && chosen != "default") {
    if (const auto found = named.find(chosen); found != named.end())
      return {found->second, special, "chat_template " + chosen};
    if (fs::exists(chosen)) return {read_file(chosen, 1 << 20), special, chosen};
    const std::string names = names_of(named);
    fail_usage("chat_template: '{}' is no file, and the model {}", chosen,
               names.empty() ? "has no named templates" : "has templates named " + names);
  }
  if (!tokenizer.chat_template().empty() || !named.empty()) {
    const std::string& own = tokenizer.chat_template();
    ChatTemplate chat(own.empty() ? refusal(named) : own, special, "chat_template");
    if (const auto tools = named.find("tool_use"); tools != named.end())
      chat.impl_->tool_use.reset(new ChatTemplate(tools->second, special, "chat_template tool_use"));
    return chat;
  }
  if (tokenizer.id("<|im_start|>") && tokenizer.id("<|im_end|>"))
    return {std::string(kChatMl), special, "ChatML"};
  fail("chat_template",
       "the model carries no chat template and has no <|im_start|> token for ChatML; add a "
       "chat_template.jinja to its folder, or use plain text (--raw)");
}

Rendered ChatTemplate::render(std::span<const Message> messages, const RenderOptions& options) const {
  return render_as_given(PreparedMessages(*this, messages).span(), options);
}

const TemplateTraits& ChatTemplate::traits() const {
  std::call_once(impl_->probed, [&] { impl_->traits = probe_template(*this); });
  return impl_->traits;
}

bool ChatTemplate::mentions(std::string_view variable) const {
  return impl_->program->symbol(variable) >= 0 || (impl_->tool_use && impl_->tool_use->mentions(variable));
}

bool ChatTemplate::ends_turn(const Tokenizer& tokenizer, int32_t id) const {
  return tokenizer.is_special(id) && traits().behind_answer.find(tokenizer.token(id)) != std::string::npos;
}

Rendered ChatTemplate::render_as_given(std::span<const Message> messages,
                                       const RenderOptions& options) const {
  if (impl_->tool_use && options.variables.is_object() && options.variables.contains("tools") &&
      !options.variables["tools"].empty())
    return impl_->tool_use->render_as_given(messages, options);
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
  jinja::Interpreter interpreter(*impl_->program, options.steps > 0 ? options.steps : step_limit(messages),
                                 options.now);
  constexpr size_t around = 256, around_each = 32;  // what templates write besides the messages
  const size_t size = content_size(messages) + around + around_each * messages.size();
  jinja::Text text = interpreter.run(std::move(bindings), size, impl_->where);
  const auto runs = text.runs();
  Rendered out{text.take_bytes(), {}, {}};
  if (options.parts) out.parts.reserve(runs.size());
  int64_t begin = 0;
  for (const auto& run : runs) {
    if (options.parts) out.parts.push_back({begin, run.end, run.source});
    const int32_t source = jinja::is_of_template(run.source) ? jinja::kFromTemplate : run.source;
    if (!out.runs.empty() && out.runs.back().message == source) {
      out.runs.back().end = run.end;
    } else {
      out.runs.push_back({begin, run.end, source});
    }
    begin = run.end;
  }
  return out;
}

const std::string& ChatTemplate::source() const {
  return impl_->source;
}

const std::string& ChatTemplate::tool_source() const {
  return impl_->tool_use ? impl_->tool_use->source() : impl_->source;
}

}  // namespace fettle
