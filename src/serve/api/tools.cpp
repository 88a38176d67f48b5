#include "serve/api/tools.h"

#include <algorithm>

#include "serve/http/fields.h"

namespace fettle::serve {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<ToolCall> call_of(const OrderedJson& json, const std::vector<std::string>& names) {
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) return std::nullopt;
  ToolCall call{json["name"].get<std::string>(), "{}"};
  if (std::ranges::find(names, call.name) == names.end()) return std::nullopt;
  for (const char* key : {"arguments", "parameters"}) {
    if (!json.contains(key)) continue;
    const OrderedJson& arguments = json[key];
    call.arguments = arguments.is_string() ? arguments.get<std::string>() : dump_json(arguments);
    break;
  }
  return call;
}

/// The calls of a text that is one call or a list of them; false when it is neither.
bool add_calls(std::string_view text, const std::vector<std::string>& names, std::vector<ToolCall>& calls) {
  const std::optional<OrderedJson> parsed = parse_if_json(trimmed(text));
  if (!parsed) return false;
  const OrderedJson& json = *parsed;
  std::vector<ToolCall> found;
  const auto add = [&](const OrderedJson& one) {
    auto call = call_of(one, names);
    if (call) found.push_back(std::move(*call));
    return call.has_value();
  };
  const bool good = json.is_array() ? !json.empty() && std::ranges::all_of(json, add) : add(json);
  if (good) calls.insert(calls.end(), found.begin(), found.end());
  return good;
}

ToolAnswer read_tagged(std::string_view text, const std::vector<std::string>& names) {
  constexpr std::string_view open = "<tool_call>", close = "</tool_call>";
  ToolAnswer answer;
  for (;;) {
    const size_t begin = text.find(open);
    answer.content += text.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const std::string_view rest = text.substr(begin + open.size());
    const size_t end = rest.find(close);  // the last one's may be missing: a stop token ended the answer
    if (!add_calls(rest.substr(0, end), names, answer.calls))
      answer.content += text.substr(begin, end == std::string_view::npos ? end : open.size() + end + close.size());
    if (end == std::string_view::npos) break;
    text = rest.substr(end + close.size());
  }
  return answer;
}

}  // namespace

std::optional<ToolFormat> tool_format_of(const std::string& source) {
  const auto has = [&](const char* text) { return source.find(text) != std::string::npos; };
  if (!has("tools")) return std::nullopt;
  if (has("<tool_call>")) return ToolFormat::tagged;
  if (has("[TOOL_CALLS]")) return ToolFormat::listed;
  if (has("\"parameters\"") || has("<|python_tag|>")) return ToolFormat::bare;
  return std::nullopt;
}

std::string_view tool_marker(ToolFormat format) {
  switch (format) {
    case ToolFormat::tagged:
      return "<tool_call>";
    case ToolFormat::listed:
      return "[TOOL_CALLS]";
    case ToolFormat::bare:
      return "";
  }
  return "";
}

const std::vector<std::string>& tool_marks() {
  static const std::vector<std::string> marks{"<tool_call>", "</tool_call>", "[TOOL_CALLS]"};
  return marks;
}

ToolAnswer read_tool_calls(ToolFormat format, std::string_view text, const std::vector<std::string>& names) {
  ToolAnswer answer;
  if (format == ToolFormat::tagged) {
    answer = read_tagged(text, names);
  } else {
    const std::string_view marker = tool_marker(format);
    const size_t at = format == ToolFormat::bare ? 0 : text.find(marker);
    std::string_view calls = at == std::string_view::npos ? std::string_view() : text.substr(at + marker.size());
    constexpr std::string_view python = "<|python_tag|>";
    if (trimmed(calls).starts_with(python)) calls = trimmed(calls).substr(python.size());
    if (add_calls(calls, names, answer.calls)) {
      answer.content = text.substr(0, at);
    } else {
      answer.content = text;
    }
  }
  if (!answer.calls.empty()) answer.content = trimmed(answer.content);
  return answer;
}

}  // namespace fettle::serve
