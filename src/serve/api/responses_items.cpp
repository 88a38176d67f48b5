// The items of a Responses request: messages, calls, results and thoughts.
#include "serve/api/chat_turns.h"
#include "serve/api/responses_request.h"
#include "serve/http/fields.h"

namespace fettle::serve {
namespace {

/// Text, or text parts as a chat request has them.
OrderedJson read_parts(const OrderedJson& content, const std::string& path) {
  if (content.is_string()) return content;
  if (!content.is_array()) fail_field(path, "must be text or a list of parts");
  OrderedJson parts = OrderedJson::array();
  for (size_t i = 0; i < content.size(); ++i) {
    BodyFields part(content[i], fmt::format("{}[{}].", path, i));
    const std::string type = part.required_text("type");
    const bool text = type == "input_text" || type == "output_text" || type == "text";
    if (!text && type != "refusal") {
      fail_unsupported(fmt::format("{}[{}]", path, i),
                       "a part of type '{}' cannot be read; this server takes text alone",
                       type.substr(0, 40));
    }
    parts.push_back({{"type", "text"}, {"text", part.required_text(text ? "text" : "refusal")}});
    part.ignore({"annotations", "logprobs", "prompt_cache_breakpoint"});
    part.finish();
  }
  // An answer of one part comes back as it was written.
  if (parts.size() == 1) return parts[0]["text"];
  return parts;
}

void add_message(BodyFields& item, const std::string& path, ChatTurns& turns) {
  const std::string role = item.required_text("role");
  const OrderedJson* content = item.find("content");
  item.ignore({"id", "status", "phase"});
  item.finish();
  OrderedJson parts = content == nullptr ? OrderedJson("") : read_parts(*content, path + ".content");
  if (role == "assistant") return turns.say(std::move(parts));
  if (role != "user" && role != "system" && role != "developer")
    fail_field(path + ".role", "'{}' is none of user, assistant, system, developer", role.substr(0, 40));
  turns.add(role, std::move(parts));
}

void add_reasoning(BodyFields& item, const std::string& path, ChatTurns& turns) {
  const OrderedJson* content = item.find("content");
  item.ignore({"id", "status", "summary"});
  if (content == nullptr && item.find("encrypted_content") != nullptr) {
    fail_unsupported(path + ".encrypted_content",
                     "only the server that wrote it can read it; leave the item out");
  }
  item.ignore({"encrypted_content"});
  item.finish();
  if (content == nullptr) return;
  if (!content->is_array()) fail_field(path + ".content", "must be a list of reasoning_text parts");
  for (size_t i = 0; i < content->size(); ++i) {
    BodyFields part((*content)[i], fmt::format("{}.content[{}].", path, i));
    part.choice("type", "reasoning_text", {"text"});
    turns.think(part.required_text("text"));
    part.finish();
  }
}

void add_item(const OrderedJson& json, const std::string& path, ChatTurns& turns) {
  BodyFields item(json, path + ".");
  const std::string type = item.text("type", "message");
  if (type == "message") return add_message(item, path, turns);
  if (type == "reasoning") return add_reasoning(item, path, turns);
  if (type == "function_call") {
    const std::string name = item.required_text("name"), id = item.required_text("call_id");
    const std::string arguments = item.required_text("arguments");
    item.ignore({"id", "status", "caller"});
    item.finish();
    return turns.call(id, name, arguments);
  }
  if (type == "function_call_output") {
    const std::string id = item.required_text("call_id");
    const OrderedJson* output = item.find("output");
    if (output == nullptr) fail_field(path + ".output", "is missing");
    item.ignore({"id", "status", "caller", "name"});
    item.finish();
    return turns.add_result(id, read_parts(*output, path + ".output"));
  }
  fail_unsupported(path,
                   "an item of type '{}' is not taken; there are message, function_call, "
                   "function_call_output, reasoning and item_reference",
                   type.substr(0, 40));
}

}  // namespace

OrderedJson messages_from_items(const OrderedJson& items, const std::string& path) {
  ChatTurns turns;
  for (size_t i = 0; i < items.size(); ++i) add_item(items[i], fmt::format("{}[{}]", path, i), turns);
  return turns.take();
}

}  // namespace fettle::serve
