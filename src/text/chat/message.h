#pragma once
// One turn of a conversation, as every module passes it around.
#include <string>
#include <vector>

#include "base/json.h"

namespace fettle {

/// role: "system", "user", "assistant", "tool" (or what a template asks for). content: UTF-8 text.
struct Message {
  std::string role;
  std::string content;
  double weight = 1.0;  ///< weight of this turn in the loss; 0 leaves it out
  /// Further fields a template may read (name, tool_calls, …), an object in the order as written, or null. A
  /// key that is also a member here (content: null beside tool_calls) wins over the member when a template
  /// reads the message.
  OrderedJson extra = nullptr;

  bool operator==(const Message&) const = default;
};

using Messages = std::vector<Message>;

/// {"role", "content", "weight"?, …extra}; `where` names the place in errors. Content given as a list of
/// {"type": "text", "text"} parts is joined, and kept in `extra` too. The ordered form keeps the order of
/// keys, which `tojson` in a template shows; the other has them sorted.
Message message_from_json(const Json& value, std::string_view where);
Message message_from_json(const OrderedJson& value, std::string_view where);
Json message_to_json(const Message& message);

}  // namespace fettle
