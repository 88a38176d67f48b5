// Anthropic's messages: contents as text or as blocks.
#include "serve/api/chat_turns.h"
#include "serve/api/messages_request.h"

namespace fettle::serve {
namespace {

[[noreturn]] void refuse_block(const std::string& path, const std::string& type) {
  fail_unsupported(path, "a block of type '{}' cannot be read here; this server takes text and tools alone",
                   type.substr(0, 40));
}

/// The text of a text block.
std::string read_text(BodyFields& block) {
  std::string text = block.required_text("text");
  block.ignore({"cache_control", "citations"});
  block.finish();
  return text;
}

/// Text, or blocks of text, as a chat request has them.
OrderedJson read_texts(const OrderedJson& content, const std::string& path) {
  if (content.is_string()) return content;
  if (!content.is_array()) fail_field(path, "must be text or a list of blocks");
  OrderedJson parts = OrderedJson::array();
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    BodyFields block(content[i], place + ".");
    const std::string type = block.required_text("type");
    if (type != "text") refuse_block(place, type);
    parts.push_back({{"type", "text"}, {"text", read_text(block)}});
  }
  if (parts.size() == 1) return parts[0]["text"];
  return parts;
}

void add_result(BodyFields& block, const std::string& path, ChatTurns& turns) {
  const std::string id = block.required_text("tool_use_id");
  const OrderedJson* content = block.find("content");
  const bool failed = block.boolean("is_error", false);
  block.ignore({"cache_control"});
  block.finish();
  OrderedJson text = content == nullptr ? OrderedJson("") : read_texts(*content, path + ".content");
  if (failed) {
    // Templates know no failed call; a model tells one by its text.
    if (text.is_string()) {
      text = "Error: " + text.get<std::string>();
    } else {
      text.insert(text.begin(), OrderedJson{{"type", "text"}, {"text", "Error: "}});
    }
  }
  turns.add_result(id, std::move(text));
}

/// What a user or a system message says: runs of text, and results of tools between them.
void add_user(const std::string& role, const OrderedJson& content, const std::string& path,
              ChatTurns& turns) {
  if (!content.is_array()) return turns.add(role, read_texts(content, path));
  OrderedJson texts = OrderedJson::array();
  const auto flush = [&] {
    if (!texts.empty()) turns.add(role, texts.size() == 1 ? texts[0]["text"] : texts);
    texts = OrderedJson::array();
  };
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    BodyFields block(content[i], place + ".");
    const std::string type = block.required_text("type");
    if (type == "text") {
      texts.push_back({{"type", "text"}, {"text", read_text(block)}});
    } else if (type == "tool_result" && role == "user") {
      flush();
      add_result(block, place, turns);
    } else {
      refuse_block(place, type);
    }
  }
  flush();
}

void add_assistant(const OrderedJson& content, const std::string& path, ChatTurns& turns) {
  turns.close();
  if (!content.is_array()) return turns.say(read_texts(content, path));
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    BodyFields block(content[i], place + ".");
    const std::string type = block.required_text("type");
    if (type == "text") {
      turns.say(read_text(block));
    } else if (type == "thinking") {
      turns.think(block.required_text("thinking"));
      block.ignore({"signature"});
      block.finish();
    } else if (type == "tool_use") {
      const std::string id = block.required_text("id"), name = block.required_text("name");
      const OrderedJson* input = block.find("input");
      if (input == nullptr || !input->is_object()) fail_field(place + ".input", "must be an object");
      turns.call(id, name, dump_json(*input));
      block.ignore({"cache_control", "caller"});
      block.finish();
    } else if (type == "redacted_thinking") {
      block.ignore({"data"});  // only who wrote it can read it
      block.finish();
    } else {
      refuse_block(place, type);
    }
  }
  turns.close();
}

}  // namespace

OrderedJson messages_from_blocks(BodyFields& fields) {
  ChatTurns turns;
  if (const OrderedJson* system = fields.find("system")) turns.add("system", read_texts(*system, "system"));
  const OrderedJson* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty())
    fail_field("messages", "must be a list of at least one message");
  for (size_t i = 0; i < messages->size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    BodyFields message((*messages)[i], path + ".");
    const std::string role = message.required_text("role");
    const OrderedJson* content = message.find("content");
    message.finish();
    if (content == nullptr) fail_field(path + ".content", "is missing");
    if (role == "assistant") {
      add_assistant(*content, path + ".content", turns);
    } else if (role == "user" || role == "system") {
      add_user(role, *content, path + ".content", turns);
    } else {
      fail_field(path + ".role", "'{}' is none of user, assistant, system", role.substr(0, 40));
    }
  }
  return turns.take();
}

}  // namespace fettle::serve
