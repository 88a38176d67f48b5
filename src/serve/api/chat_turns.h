#pragma once
// Builds the "messages" of a chat request from APIs that hand over an assistant's turn in parts.
#include <string>

#include "base/json.h"

namespace fettle::serve {

/// One per request. Contents are text, or lists of {"type": "text", "text"} parts.
class ChatTurns {
 public:
  void add(const std::string& role, OrderedJson content);
  void add_result(const std::string& call_id, OrderedJson content);

  // Parts of the assistant's turn. A part that belongs before what the turn already has begins another turn.
  void think(const std::string& thoughts);
  void say(OrderedJson content);
  void call(const std::string& id, const std::string& name, const std::string& arguments);
  /// Whatever comes next is another turn.
  void close();

  /// Whether the last turn is the assistant's.
  bool ends_with_assistant() const;
  OrderedJson take();

 private:
  OrderedJson& turn();

  OrderedJson messages_ = OrderedJson::array();
  bool open_ = false;  ///< the last message is an assistant's that still grows
};

}  // namespace fettle::serve
