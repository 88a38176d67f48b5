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
  Json extra = nullptr;  ///< further fields a template may read (name, tool_calls, …), an object or null

  bool operator==(const Message&) const = default;
};

using Messages = std::vector<Message>;

/// {"role", "content", …extra}; `where` names the place in errors. Content given as a list of {"type": "text", "text"} parts
/// is joined.
Message message_from_json(const Json& value, std::string_view where);
Json message_to_json(const Message& message);

}  // namespace fettle
