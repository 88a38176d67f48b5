#pragma once
// Messages in the form that a chat template reads, for training and serving alike:
// - content in parts stays in parts where the template walks through them and is one text where it takes
// text, and text
//   is one part where the template writes nothing else;
// - thoughts that stand in the content of an assistant's message, between the template's markers or <think>
// and
//   </think>, become `reasoning_content`, without the line ends around them, where the template reads that
//   field;
// - arguments of tool calls are a mapping, or JSON text for a template that puts texts together.
#include <span>

#include "text/chat/message.h"

namespace fettle {

class ChatTemplate;

/// Copies only when something has to change. `chat` and `messages` must outlive it. Throws Error when a
/// message has tool calls and the template writes none.
class PreparedMessages {
 public:
  PreparedMessages(const ChatTemplate& chat, std::span<const Message> messages);
  std::span<const Message> span() const { return messages_; }

 private:
  Message& changed(size_t index);
  void content(const ChatTemplate& chat, size_t index);
  void thoughts(const ChatTemplate& chat, size_t index);
  void calls(const ChatTemplate& chat, size_t index);

  std::span<const Message> messages_;
  Messages storage_;
};

/// The thoughts before the answer, under whichever of their names they stand (reasoning_content, reasoning,
/// thinking, thoughts); null if there are none.
const OrderedJson* thoughts_of(const Message& message);
/// Whether the answer comes with a thought, in a field of its own or in its content.
bool has_thought(const ChatTemplate& chat, const Message& message);

}  // namespace fettle
