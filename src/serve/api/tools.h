#pragma once
// Function calling: which way a model's own template writes calls, and reading them back out of an answer.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace fettle::serve {

/// How calls stand in the model's text.
enum class ToolFormat : uint8_t {
  tagged,  ///< <tool_call>{"name", "arguments"}</tool_call> (Hermes, Qwen)
  listed,  ///< [TOOL_CALLS][{"name", "arguments"}, …] (Mistral)
  bare,    ///< the whole answer is {"name", "parameters"} (Llama 3)
};

/// From the template's source; none when it does not render `tools`.
std::optional<ToolFormat> tool_format_of(const std::string& template_source);

/// Text that begins a call; empty for `bare`, where the first brace does.
std::string_view tool_marker(ToolFormat format);

/// The marks of all formats. In some vocabularies they are special tokens, which leave no text unless asked to.
const std::vector<std::string>& tool_marks();

struct ToolCall {
  std::string name;
  std::string arguments;  ///< JSON text
};
struct ToolAnswer {
  std::string content;  ///< what stands outside the calls
  std::vector<ToolCall> calls;
};
/// A text that only looks like a call (broken JSON, no name, a name that is not among `names`) stays content.
ToolAnswer read_tool_calls(ToolFormat format, std::string_view text, const std::vector<std::string>& names);

}  // namespace fettle::serve
