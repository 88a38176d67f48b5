// Preference rows: chosen and rejected under all their names.
#include <algorithm>
#include <utility>

#include "data/rows/row_parts.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

bool starts_with(const Messages& whole, const Messages& start) {
  return whole.size() > start.size() && std::equal(start.begin(), start.end(), whole.begin());
}

bool has_whole_conversation(const Content& answer) {
  return answer.messages.size() > 1 && answer.messages.front().role != "assistant";
}

/// The answer of a list with one, or the answer itself.
Content one_answer(const OrderedJson& value, const std::string& key, const Fields& fields,
                   const TurnRules& rules) {
  if (value.is_array() && !value.empty() && value[0].is_string()) {
    if (value.size() > 1 && rules.use != nullptr)
      rules.use->remarks.emplace_back("several rejected answers, of which the first is taken");
    return content_from(value[0], key, fields.where(), rules);
  }
  return content_from(value, key, fields.where(), rules);
}

/// {"messages": [...], "rejected_response": "…"} (ms-swift): the conversation's last answer is the chosen
/// one.
bool chosen_from_turns(const Fields& fields, const TurnRules& rules, Example& example) {
  if (fields.first_of(chosen_keys()) != nullptr) return false;
  std::string key;
  const auto* turns = find_turns(fields, &key);
  if (turns == nullptr) return false;
  Messages messages = turns_from(*turns, key, fields.where(), rules);
  if (messages.empty() || messages.back().role != "assistant")
    throw RowError(fmt::format("no assistant turn ('{}')", key), fields.where(),
                   fmt::format("the conversation under '{}' does not end with an answer", key));
  example.completion = {"", {std::move(messages.back())}, true};
  messages.pop_back();
  example.prompt = {"", std::move(messages), true};
  return true;
}

/// {"input": {"messages": […], "tools": […]}} (OpenAI's preference rows).
Content prompt_of_request(const OrderedJson& request, const std::string& key, const Fields& fields,
                          const TurnRules& rules, Example& example) {
  const auto messages = request.find("messages");
  if (messages == request.end()) return content_from(request, key, fields.where(), rules);
  if (const auto tools = request.find("tools");
      tools != request.end() && tools->is_array() && !tools->empty())
    example.variables["tools"] = *tools;
  return {"", turns_from(*messages, key + ".messages", fields.where(), rules), true};
}

/// What stands before the answers; false where the row has none.
bool read_prompt(const Fields& fields, const TurnRules& rules, Example& example) {
  std::string key;
  const auto* prompt = fields.first_of({"prompt"}, &key);
  if (prompt == nullptr && fields.first_of(prompt_keys()) == nullptr) prompt = find_turns(fields, &key);
  if (prompt == nullptr) prompt = fields.first_of(prompt_keys(), &key);
  if (prompt == nullptr) return false;
  example.prompt = prompt->is_object()   ? prompt_of_request(*prompt, key, fields, rules, example)
                   : prompt->is_string() ? prompt_of(fields, rules)
                                         : content_from(*prompt, key, fields.where(), rules);
  return true;
}

/// An answer that repeats the conversation before it is cut to what follows.
void cut_repeated_prompt(Example& example) {
  auto &chosen = example.completion.messages, &rejected = example.rejected.messages;
  const bool whole = has_whole_conversation(example.completion) && has_whole_conversation(example.rejected);
  if (!example.prompt.is_chat && whole) {
    extract_prompt(example);  // the text in "prompt" only repeats the conversation's question
  } else if (example.prompt.is_chat && starts_with(chosen, example.prompt.messages) &&
             starts_with(rejected, example.prompt.messages)) {
    const auto count = static_cast<std::ptrdiff_t>(example.prompt.messages.size());
    chosen.erase(chosen.begin(), chosen.begin() + count);
    rejected.erase(rejected.begin(), rejected.begin() + count);
  }
}

}  // namespace

void make_alike(Example& example) {
  const bool pair = example.kind == Example::Kind::pair;
  if (!example.prompt.is_chat && !example.completion.is_chat && !(pair && example.rejected.is_chat)) return;
  const bool from_text = example.prompt.is_chat && !example.prompt.text.empty();
  const auto as_answer = [&](Content& answer) {
    if (answer.is_chat) return;
    const std::string text = answer.text;
    // The space that parts an answer from a mark ("Assistant: Hello") is none of the answer's.
    if (from_text) answer.text.erase(0, std::min(answer.text.find_first_not_of(" \n"), answer.text.size()));
    make_chat(answer, "assistant");
    if (from_text) answer.text = text;
  };
  as_answer(example.completion);
  if (pair) as_answer(example.rejected);
  make_chat(example.prompt, "user");
}

void extract_prompt(Example& example) {
  Content &chosen = example.completion, &rejected = example.rejected;
  if (chosen.is_chat) {
    chosen.text.clear();
    rejected.text.clear();
    auto &a = chosen.messages, &b = rejected.messages;
    const size_t most = std::min(a.size(), b.size());
    size_t shared = 0;
    while (shared + 1 < most && a[shared] == b[shared]) ++shared;
    example.prompt = {"", Messages(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shared)), true};
    a.erase(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shared));
    b.erase(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(shared));
    return;
  }
  auto &a = chosen.text, &b = rejected.text;
  const size_t most = std::min(a.size(), b.size());
  size_t shared = static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
  if (shared == most && most > 0) --shared;
  shared = unicode::character_boundary(a, shared);
  if (shared > 0 && a[shared - 1] == ' ') --shared;
  example.prompt = {a.substr(0, shared), {}, false};
  a.erase(0, shared);
  b.erase(0, shared);
}

void read_pair(const Fields& fields, const TurnRules& rules, Example& example) {
  example.kind = Example::Kind::pair;
  std::string chosen_key = "chosen", rejected_key;
  const bool from_turns = chosen_from_turns(fields, rules, example);
  if (!from_turns) {
    const auto& chosen = fields.need_one_of(chosen_keys(), &chosen_key);
    example.completion = content_from(chosen, chosen_key, fields.where(), rules);
  }
  const auto& rejected = fields.need_one_of(rejected_keys(), &rejected_key);
  example.rejected = one_answer(rejected, rejected_key, fields, rules);
  check_answer(example.completion, chosen_key, fields.where());
  check_answer(example.rejected, rejected_key, fields.where());
  if (example.completion.is_chat || example.rejected.is_chat) {
    make_chat(example.completion, "assistant");
    make_chat(example.rejected, "assistant");
  }
  if (!from_turns && !read_prompt(fields, rules, example)) {
    extract_prompt(example);
    if (fields.use() != nullptr) fields.use()->remarks.emplace_back(implicit_prompt);
  }
  if (example.completion.is_chat) cut_repeated_prompt(example);
  make_alike(example);
}

}  // namespace fettle::data
