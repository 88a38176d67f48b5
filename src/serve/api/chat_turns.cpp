#include "serve/api/chat_turns.h"

namespace fettle::serve {

void ChatTurns::add(const std::string& role, OrderedJson content) {
  messages_.push_back({{"role", role}, {"content", std::move(content)}});
  open_ = false;
}

void ChatTurns::add_result(const std::string& call_id, OrderedJson content) {
  messages_.push_back({{"role", "tool"}, {"tool_call_id", call_id}, {"content", std::move(content)}});
  open_ = false;
}

OrderedJson& ChatTurns::turn() {
  if (!open_) messages_.push_back({{"role", "assistant"}, {"content", ""}});
  open_ = true;
  return messages_.back();
}

void ChatTurns::think(const std::string& thoughts) {
  if (open_ && (messages_.back()["content"] != "" || messages_.back().contains("tool_calls"))) close();
  OrderedJson& message = turn();
  const std::string before = message.value("reasoning_content", "");
  message["reasoning_content"] = before.empty() ? thoughts : before + "\n" + thoughts;
}

void ChatTurns::say(OrderedJson content) {
  if (open_ && (messages_.back()["content"] != "" || messages_.back().contains("tool_calls"))) close();
  turn()["content"] = std::move(content);
}

void ChatTurns::call(const std::string& id, const std::string& name, const std::string& arguments) {
  OrderedJson& calls = turn()["tool_calls"];
  if (calls.is_null()) calls = OrderedJson::array();
  calls.push_back(
      {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", arguments}}}});
}

void ChatTurns::close() {
  open_ = false;
}

bool ChatTurns::ends_with_assistant() const {
  return !messages_.empty() && messages_.back()["role"] == "assistant";
}

OrderedJson ChatTurns::take() {
  open_ = false;
  return std::move(messages_);
}

}  // namespace fettle::serve
