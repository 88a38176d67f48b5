#include "text/chat/template_traits.h"

#include "text/chat/chat_template.h"

namespace fettle {
namespace {

constexpr std::string_view kWord = "Quozix", kOther = "Vrimlap", kCall = "fettle_probe_call",
                           kKey = "fettle_probe_key";

bool has(const std::string& text, std::string_view word) {
  return text.find(word) != std::string::npos;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const size_t begin = text.find_first_not_of(blank);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(blank) + 1 - begin);
}

OrderedJson tool_calls(const OrderedJson& arguments) {
  // Nine characters, as Mistral's templates ask of an id.
  return {
      {{"id", "fettle001"}, {"type", "function"}, {"function", {{"name", kCall}, {"arguments", arguments}}}}};
}

class Prober {
 public:
  explicit Prober(const ChatTemplate& chat) : chat_(chat) {}

  TemplateTraits run() {
    TemplateTraits traits;
    traits.calls = calls();
    traits.user = content("user");
    traits.system = content("system");
    traits.assistant = content("assistant");
    traits.tool = content("tool");
    thoughts(traits);
    return traits;
  }

 private:
  std::optional<Rendered> render(const Messages& messages, bool generation = false,
                                 OrderedJson variables = OrderedJson::object()) const {
    RenderOptions options;
    options.add_generation_prompt = generation;
    options.variables = std::move(variables);
    options.now = 0;
    options.steps = 300'000;
    options.parts = true;
    try {
      return chat_.render_as_given(messages, options);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  /// A conversation whose last message has this role.
  static Messages ending_with(const std::string& role, std::string text, OrderedJson parts) {
    Message last{role, std::move(text)};
    if (!parts.is_null()) last.extra = {{"content", std::move(parts)}};
    if (role == "user") return {last};
    if (role == "system") return {last, {"user", "q"}};
    if (role == "assistant") return {{"user", "q"}, last};
    Message call{"assistant", ""};
    call.extra = {{"tool_calls", tool_calls(OrderedJson::object())}};
    if (last.extra.is_null()) last.extra = OrderedJson::object();
    last.extra["tool_call_id"] = "fettle001";
    last.extra["name"] = kCall;
    return {{"user", "q"}, call, last};
  }

  TemplateTraits::Content content(const std::string& role) const {
    TemplateTraits::Content found;
    const OrderedJson parts = {{{"type", "text"}, {"text", kWord}}, {{"type", "text"}, {"text", kOther}}};
    const auto listed = render(ending_with(role, "", parts));
    // A template that takes text and is handed a list may write the list itself, as Python shows it.
    found.parts = listed && has(listed->text, kWord) && has(listed->text, kOther) &&
                  !has(listed->text, "'type'") && !has(listed->text, "\"type\"");
    if (found.parts) {
      const auto plain = render(ending_with(role, std::string(kWord), nullptr));
      found.text = plain && has(plain->text, kWord);
    }
    return found;
  }

  TemplateTraits::Calls calls() const {
    using Calls = TemplateTraits::Calls;
    const std::string quoted = fmt::format("\"{}\"", kKey);
    const auto rendered = [&](const OrderedJson& arguments) {
      Message call{"assistant", ""};
      call.extra = {{"tool_calls", tool_calls(arguments)}};
      const OrderedJson tool = {
          {"type", "function"},
          {"function",
           {{"name", "fettle_tool"},
            {"description", "d"},
            {"parameters", {{"type", "object"}, {"properties", OrderedJson::object()}}}}}};
      return render({{"user", "q"}, call}, false, {{"tools", OrderedJson::array({tool})}});
    };
    const auto mapping = rendered({{kKey, "v"}});
    if (mapping && has(mapping->text, kCall) && has(mapping->text, kKey) &&
        !has(mapping->text, fmt::format("'{}'", kKey)))
      return Calls::mapping;
    const auto text = rendered(fmt::format("{{{}: \"v\"}}", quoted));
    if (text && has(text->text, kCall) && has(text->text, quoted)) return Calls::text;
    const bool silent = (mapping && !has(mapping->text, kCall)) || (text && !has(text->text, kCall));
    return silent ? Calls::none : Calls::mapping;
  }

  void thoughts(TemplateTraits& traits) const {
    const auto prompt = render({{"user", "q"}}, true);
    Message answer{"assistant", std::string(kOther)};
    answer.extra = {{"reasoning_content", kWord}};
    const auto whole = render({{"user", "q"}, answer});
    if (whole) find_markers(*whole, traits);
    if (whole && has(whole->text, kOther))
      traits.behind_answer = whole->text.substr(whole->text.rfind(kOther) + kOther.size());
    if (!prompt) return;
    const std::string_view end = trimmed(prompt->text);
    const auto opened = [&](std::string_view marker) { return !marker.empty() && end.ends_with(marker); };
    traits.opens_thought = opened(traits.thought_begin) || opened("<think>") || opened("[THINK]") ||
                           opened("<seed:think>") || opened("\u25C1think\u25B7");
    for (const char* name : {"enable_thinking", "thinking"}) {
      if (!chat_.mentions(name)) continue;
      const auto off = render({{"user", "q"}}, true, {{name, false}});
      if (off && off->text != prompt->text) traits.thinking_switch = name;
    }
  }

  static void find_markers(const Rendered& whole, TemplateTraits& traits) {
    const size_t thought = whole.text.find(kWord), answer = whole.text.find(kOther);
    traits.reads_thoughts = thought != std::string::npos;
    if (!traits.reads_thoughts || answer == std::string::npos || answer < thought) return;
    const size_t behind = thought + kWord.size();
    traits.thought_end = trimmed(std::string_view(whole.text).substr(behind, answer - behind));
    size_t begin = 0;
    for (const auto& part : whole.parts) {
      if (part.end <= static_cast<int64_t>(thought)) begin = static_cast<size_t>(part.begin);
    }
    std::string_view marker = trimmed(std::string_view(whole.text).substr(begin, thought - begin));
    // A literal may hold the turn's header too; the marker is its last tag.
    for (const auto& [open, close] : {std::pair('<', '>'), std::pair('[', ']')}) {
      if (!marker.ends_with(close)) continue;
      const size_t at = marker.rfind(open);
      if (at != std::string_view::npos) marker.remove_prefix(at);
    }
    traits.thought_begin = marker;
  }

  const ChatTemplate& chat_;
};

}  // namespace

const TemplateTraits::Content& TemplateTraits::content_of(std::string_view role) const {
  if (role == "system" || role == "developer") return system;
  if (role == "assistant") return assistant;
  if (role == "tool") return tool;
  return user;
}

TemplateTraits probe_template(const ChatTemplate& chat) {
  return Prober(chat).run();
}

}  // namespace fettle
