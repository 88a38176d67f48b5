#include "feedback/judged_row.h"

#include "base/error.h"
#include "base/hash.h"

namespace fettle::feedback {
namespace {

std::string text_under(const OrderedJson& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Conversations of several turns as one text, since templates have one place for the question.
std::string as_text(const Messages& turns) {
  if (turns.size() == 1) return turns.front().content;
  std::string text;
  for (const Message& turn : turns) {
    std::string speaker = turn.role;
    if (!speaker.empty()) speaker[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(speaker[0])));
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n\n", speaker, turn.content);
  }
  return text;
}

Messages messages_of(const data::Content& content, const char* role) {
  return content.is_chat ? content.messages : Messages{{role, content.text, 1.0, nullptr}};
}

/// The texts of one answer: of a conversation, those of the assistant.
std::vector<std::string> answer_turns(const Messages& before, const Messages& answer) {
  std::vector<std::string> turns;
  for (const Messages* part : {&before, &answer}) {
    for (const Message& turn : *part)
      if (turn.role == "assistant") turns.push_back(turn.content);
  }
  return turns;
}

void read_example(const data::Example& example, const std::string& where, JudgedRow& to) {
  using Kind = data::Example::Kind;
  Messages prompt, answer;
  if (example.kind == Kind::text) fail(where, "is plain text; a judge looks at a prompt with its answer, or at a conversation");
  if (example.kind == Kind::conversation) {
    prompt = example.completion.messages;
    while (!prompt.empty() && prompt.back().role != "assistant") prompt.pop_back();
    if (prompt.empty()) fail(where, "has no answer to judge");
    answer = {prompt.back()};
    prompt.pop_back();
  } else {
    prompt = messages_of(example.prompt, "user");
    answer = messages_of(example.completion, "assistant");
  }
  for (const Message& turn : prompt)
    if (turn.role == "user") to.questions.push_back(turn.content);
  to.prompt = as_text(prompt);
  to.answers.push_back({example.kind == Kind::pair ? "chosen" : "1", answer_turns(prompt, answer)});
  if (example.kind == Kind::pair) to.answers.push_back({"rejected", answer_turns(prompt, messages_of(example.rejected, "assistant"))});
  to.id = example.id;
}

/// {"instruction", "completions": [{"model", "response", "custom_system_prompt"}]} or {"prompt", "completions": [text]}.
bool read_completions(const OrderedJson& row, const std::string& where, JudgedRow& to) {
  const auto completions = row.find("completions");
  if (completions == row.end() || !completions->is_array()) return false;
  to.prompt = text_under(row, row.contains("instruction") ? "instruction" : "prompt");
  if (to.prompt.empty()) fail(where, "has completions, but no text under 'instruction' or 'prompt'");
  to.questions = {to.prompt};
  for (const auto& completion : *completions) {
    const bool is_text = completion.is_string();
    std::string text = is_text ? completion.get<std::string>() : text_under(completion, completion.contains("response") ? "response" : "text");
    if (!is_text && !completion.is_object()) fail(where, "completions: every entry is a text, or an object with 'response'");
    std::string name = is_text ? "" : text_under(completion, "model");
    if (name.empty()) name = std::to_string(to.answers.size() + 1);
    to.answers.push_back({std::move(name), {std::move(text)}});
  }
  to.id = text_under(row, "id");
  if (to.id.empty()) to.id = hash_hex(dump_json(row)).substr(0, 16);
  return true;
}

/// What UltraFeedback's annotators were given, by the source of the row.
std::string published_knowledge(const OrderedJson& row) {
  const std::string source = text_under(row, "source");
  const auto list = [&](const char* key) {
    const auto found = row.find(key);
    return found != row.end() && found->is_array() && !found->empty() ? dump_json(*found) : "";
  };
  const std::string right = list("correct_answers"), wrong = list("incorrect_answers");
  if (source == "false_qa") return "The question is based on a false premise.";
  if (right.empty()) return "";
  return wrong.empty() ? "correct answers: " + right : fmt::format("some correct answers: {}\nsome incorrect answers: {}", right, wrong);
}

}  // namespace

JudgedRow judged_row(const OrderedJson& row, const std::string& where) {
  JudgedRow judged;
  if (!read_completions(row, where, judged)) read_example(data::example_from_row(row, data::Format::automatic, {}, where), where, judged);
  if (judged.answers.empty()) fail(where, "has no answer to judge");
  for (const JudgedAnswer& answer : judged.answers)
    if (answer.turns.empty()) fail(where, "'{}' is no answer of an assistant", answer.name);
  judged.principle = text_under(row, "principle");
  judged.knowledge = text_under(row, "knowledge");
  if (judged.knowledge.empty()) judged.knowledge = published_knowledge(row);
  if (const auto reference = row.find("reference"); reference != row.end()) {
    if (reference->is_string()) judged.references.push_back(reference->get<std::string>());
    if (reference->is_array()) {
      for (const auto& one : *reference)
        if (one.is_string()) judged.references.push_back(one.get<std::string>());
    }
  }
  return judged;
}

}  // namespace fettle::feedback
