#include "data/passes/show.h"

#include "text/chat/prepare.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

constexpr const char* bold = "\x1b[1m";
constexpr const char* plain = "\x1b[0m";

const char* colour_of(const std::string& role) {
  if (role == "user") return "\x1b[36m";
  if (role == "assistant") return "\x1b[32m";
  if (role == "system") return "\x1b[35m";
  return "\x1b[33m";
}

/// Data may hold escape sequences; a terminal must not obey them.
std::string harmless(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += c;
    }
  }
  return shown;
}

std::string shown_turn(const std::string& role, const std::string& content, const std::string& note, bool colour) {
  const std::string head = role + (note.empty() ? "" : " " + note);
  if (!colour) return fmt::format("[{}]\n{}\n", head, harmless(content));
  return fmt::format("{}{}{}{}\n{}\n", bold, colour_of(role), head, plain, harmless(content));
}

/// A message's text with its thoughts before and its calls behind it.
std::string text_of(const Message& message) {
  std::string text;
  if (const OrderedJson* thoughts = thoughts_of(message); thoughts != nullptr && *thoughts != "")
    text = "(thinks) " + (thoughts->is_string() ? thoughts->get<std::string>() : dump_json(*thoughts));
  if (!message.content.empty()) text += (text.empty() ? "" : "\n") + message.content;
  if (!message.extra.is_object() || !message.extra.contains("tool_calls")) return text;
  for (const OrderedJson& call : message.extra["tool_calls"]) {
    const OrderedJson& function = call.is_object() && call.contains("function") ? call["function"] : call;
    std::string line = "(calls) ";
    if (function.is_object() && function.contains("name") && function["name"].is_string()) {
      line += function["name"].get<std::string>();
      if (const auto arguments = function.find("arguments"); arguments != function.end())
        line += " " + (arguments->is_string() ? arguments->get<std::string>() : dump_json(*arguments));
    } else {
      line += dump_json(call);
    }
    text += (text.empty() ? "" : "\n") + line;
  }
  return text;
}

std::string show_content(const Content& content, const char* role, const std::string& note, bool colour) {
  if (!content.is_chat) return content.text.empty() ? "" : shown_turn(role, content.text, note, colour);
  std::string text;
  for (const auto& message : content.messages) {
    std::string more = note;
    if (message.weight != 1.0) more += fmt::format("{}weight {}", more.empty() ? "" : ", ", message.weight);
    text += shown_turn(message.role, text_of(message), more, colour);
  }
  return text;
}

const char* kind_name(Example::Kind kind) {
  switch (kind) {
    case Example::Kind::text:
      return "text";
    case Example::Kind::conversation:
      return "conversation";
    case Example::Kind::completion:
      return "prompt and completion";
    case Example::Kind::pair:
      return "preference pair";
    case Example::Kind::judged:
      return "judged answer";
  }
  return "";
}

}  // namespace

std::string show_example(const Example& example, bool colour) {
  std::string head = fmt::format("id {} · {}", harmless(example.id), kind_name(example.kind));
  if (example.weight != 1.0) head += fmt::format(" · weight {}", example.weight);
  if (!example.class_label.empty()) head += " · class " + harmless(example.class_label);
  std::string text = (colour ? bold + head + plain : head) + "\n";
  text += show_content(example.prompt, "user", "", colour);
  const bool pair = example.kind == Example::Kind::pair, judged = example.kind == Example::Kind::judged;
  const std::string note = pair     ? "(chosen)"
                           : judged ? (example.desirable ? "(desirable)" : "(undesirable)")
                                    : "";
  text += show_content(example.completion, example.kind == Example::Kind::text ? "text" : "assistant", note,
                       colour);
  if (pair) text += show_content(example.rejected, "assistant", "(rejected)", colour);
  return text;
}

std::string show_rejection(OrderedJson& value, bool colour) {
  if (!value.is_object() || !value.contains("file") || !value.contains("reason") ||
      !(value.contains("row") || value.contains("text"))) return "";
  const auto text_of = [&](const char* key) {
    return value.contains(key) && value[key].is_string() ? harmless(value[key].get<std::string>()) : std::string();
  };
  std::string head = "removed: " + text_of("reason");
  if (const std::string detail = text_of("detail"); !detail.empty()) head += " · " + detail;
  head += " · " + text_of("file");
  if (value.contains("line")) head += ":" + value["line"].dump();
  std::string text = (colour ? bold + head + plain : head) + "\n";
  OrderedJson row;
  if (value.contains("row")) {
    row = value["row"];
    if (row.is_object() && value.contains("id")) row["id"] = value["id"];
  } else {
    text += text_of("text") + "\n";
  }
  value = std::move(row);
  return text;
}

namespace {

/// The tokens alone, without the line that counts them.
std::string marked_tokens(const TokenSequence& sequence, const Tokenizer& tokenizer, bool colour) {
  std::string text, run;
  float weight = 0;
  // Tokens may cut a character, so neighbours with one weight are decoded together.
  const auto flush = [&] {
    if (run.empty()) return;
    std::string shown = harmless(unicode::lossy(run));
    for (size_t at = 0; (at = shown.find('\n', at)) != std::string::npos; at += 4)
      shown.insert(at, "\xE2\x8F\x8E");
    const std::string note = weight == 0 || weight == 1 ? "" : fmt::format("{{{}}}", weight);
    if (weight == 0) {
      text += colour ? "\x1b[2m" + shown + plain : shown;
    } else {
      text += colour ? "\x1b[4;32m" + shown + plain + note : "«" + shown + "»" + note;
    }
    run.clear();
  };
  for (size_t t = 0; t < sequence.ids.size(); ++t) {
    if (sequence.weights[t] != weight) flush();
    weight = sequence.weights[t];
    run += tokenizer.is_special(sequence.ids[t]) ? tokenizer.token(sequence.ids[t])
                                                 : tokenizer.bytes(sequence.ids[t]);
  }
  flush();
  return text;
}

std::string count_line(int64_t tokens, int64_t learnt) {
  return fmt::format("\n{} tokens, {} learnt from\n", tokens, learnt);
}

}  // namespace

std::string show_tokens(const TokenSequence& sequence, const Tokenizer& tokenizer, bool colour) {
  return marked_tokens(sequence, tokenizer, colour) + count_line(sequence.length(), sequence.supervised());
}

std::string show_tokens(const Pair& pair, const Tokenizer& tokenizer, bool colour) {
  const auto part = [&](const std::vector<int32_t>& ids, float weight) {
    TokenSequence sequence;
    sequence.ids = ids;
    sequence.weights.assign(ids.size(), weight);
    return marked_tokens(sequence, tokenizer, colour);
  };
  return part(pair.prompt_ids, 0) + "\n(chosen)   " + part(pair.chosen_ids, 1) + "\n(rejected) " + part(pair.rejected_ids, 1) +
         count_line(pair.length(), pair.supervised());
}

}  // namespace fettle::data
