#pragma once
// What a chat template does with content in parts, with thoughts and with tool calls.
#include <array>
#include <string>
#include <string_view>

namespace fettle {

class ChatTemplate;

struct TemplateTraits {
  /// How content has to come for the template to write it.
  struct Content {
    bool text = true;    ///< as one text
    bool parts = false;  ///< as a list of {"type": "text", "text"}
  };
  Content system, user, assistant, tool;

  enum class Calls {
    none,     ///< the template writes no tool calls
    mapping,  ///< their arguments come as a mapping
    text,     ///< as JSON text
  };
  Calls calls = Calls::mapping;

  bool reads_thoughts = false;  ///< `reasoning_content` of the last turn is written
  std::string thought_begin, thought_end;  ///< what it writes around them, without white space: "<think>", "</think>"
  bool opens_thought = false;   ///< the generation prompt ends inside a thought
  std::string thinking_switch;  ///< the variable that, when false, changes the generation prompt; empty if none

  std::string behind_answer;  ///< what it writes behind the text of an answer, the last message

  const Content& content_of(std::string_view role) const;
};

/// Renders small conversations of words that stand in no template and looks for the words. A probe that the template
/// refuses tells nothing, and the trait keeps its first value.
TemplateTraits probe_template(const ChatTemplate& chat);

}  // namespace fettle
