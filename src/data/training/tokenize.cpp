#include "data/training/tokenize.h"

#include <algorithm>
#include <utility>

#include "text/chat/prepare.h"
#include "text/chat/turns.h"

namespace fettle::data {
namespace {

constexpr const char* nothing_supervised = "nothing supervised after truncation";
constexpr const char* too_long = "longer than max_length";
constexpr const char* no_assistant = "no assistant turn";

Messages chat_of(const Content& content, const char* role) {
  if (content.is_chat) return content.messages;
  return content.text.empty() ? Messages{} : Messages{Message{role, content.text}};
}

Messages joined(Messages messages, const Content& answer) {
  const Messages more = chat_of(answer, "assistant");
  messages.insert(messages.end(), more.begin(), more.end());
  return messages;
}

/// The text to use without a template.
const std::string& plain(const Content& content, const std::string& id) {
  if (content.is_chat && content.text.empty() && !content.messages.empty()) {
    fail(id, "holds messages, but `raw` takes plain text; leave `raw` out to use the chat template");
  }
  return content.text;
}

/// One tokeniser with one template and the options of one row.
class Tokens {
 public:
  Tokens(const Example& example, const Tokenizer& tokenizer, const ChatTemplate* chat,
         const TokenizeOptions& options)
      : example_(example), tokenizer_(tokenizer), chat_(chat), options_(options) {
    render_.variables = options.variables;
    if (example.variables.is_object()) render_.variables.update(example.variables);
    if (!options.raw && chat == nullptr) {
      fail(example.id,
           "needs a chat template, and the tokenizer has none; give one, or use `raw` for plain text");
    }
  }

  TokenizedChat conversation(std::span<const Message> messages) const {
    return tokenize_chat(tokenizer_, *chat_, messages, render_, options_.parse_special_in_content);
  }
  /// The ids before the answers messages[before, …) of `first` and of `second`, which may be null, as serving has them.
  std::vector<int32_t> prompt_ids(std::span<const Message> first, std::span<const Message> second, size_t before,
                                  AnswerNotes& notes) const {
    const Message none;
    const Message* answer = before < first.size() ? &first[before] : &none;
    if (before < second.size() && has_thought(*chat_, second[before])) answer = &second[before];
    note_thinking(*answer, notes);
    return encode_chat(tokenizer_, *chat_, first.first(before), prompt_options(*chat_, *answer, render_),
                       options_.parse_special_in_content);
  }
  TokenizedAnswer answer(std::span<const Message> messages, size_t before, std::span<const int32_t> prompt) const {
    return tokenize_answer(tokenizer_, *chat_, messages, before, prompt, render_, options_.parse_special_in_content);
  }
  void note_thinking(const Message& answer, AnswerNotes& notes) const {
    const TemplateTraits& traits = chat_->traits();
    if (answer.role != "assistant" || !traits.opens_thought || has_thought(*chat_, answer)) return;
    ++(traits.thinking_switch.empty() ? notes.thoughtless : notes.thinking_off);
  }
  /// Whether `ids`, which stand together, hold a token that ends a turn, or end with the text with which the template
  /// ends one.
  bool ends(std::span<const int32_t> ids) const {
    const auto is_end = [&](int32_t id) {
      return id == tokenizer_.eos() || (chat_ != nullptr && chat_->ends_turn(tokenizer_, id));
    };
    if (std::any_of(ids.rbegin(), ids.rend(), is_end)) return true;
    if (chat_ == nullptr) return false;
    constexpr const char* blank = " \t\r\n";
    std::string mark = chat_->traits().behind_answer, text;
    mark.erase(mark.find_last_not_of(blank) + 1);
    mark.erase(0, mark.find_first_not_of(blank));
    for (const int32_t id : ids.last(std::min(ids.size(), mark.size() + 8))) text += tokenizer_.bytes(id);
    text.erase(text.find_last_not_of(blank) + 1);
    return !mark.empty() && text.ends_with(mark);
  }

  std::vector<int32_t> raw_prompt() const { return text(plain(example_.prompt, example_.id), false); }
  std::vector<int32_t> raw_answer(const Content& answer) const {
    return text(plain(example_.prompt, example_.id) + plain(answer, example_.id), true);
  }

  /// What the post-processor adds at the start (BOS) comes with it. With `end`, EOS stands at the end once,
  /// also where the text ends with its spelling.
  std::vector<int32_t> text(std::string_view plain_text, bool end) const {
    const int32_t eos = end ? tokenizer_.eos() : -1;
    const std::string spelling = eos >= 0 ? tokenizer_.token(eos) : "";
    if (!spelling.empty() && plain_text.ends_with(spelling)) plain_text.remove_suffix(spelling.size());
    const bool parse = options_.parse_special_in_content;
    auto ids = tokenizer_.encode(plain_text, {.add_special = true, .parse_special = parse});
    if (eos >= 0 && (ids.empty() || ids.back() != eos)) ids.push_back(eos);
    return ids;
  }

 private:
  const Example& example_;
  const Tokenizer& tokenizer_;
  const ChatTemplate* chat_;
  const TokenizeOptions& options_;
  RenderOptions render_;
};

size_t common_prefix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  const size_t most = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
}

template <typename T>
void keep_first(std::vector<T>& values, int64_t count) {
  if (static_cast<int64_t>(values.size()) > count)
    values.resize(static_cast<size_t>(std::max<int64_t>(count, 0)));
}
template <typename T>
void keep_last(std::vector<T>& values, int64_t count) {
  const auto extra = static_cast<std::ptrdiff_t>(values.size()) - std::max<std::ptrdiff_t>(count, 0);
  if (extra > 0) values.erase(values.begin(), values.begin() + extra);
}

std::vector<int32_t> tail(const std::vector<int32_t>& ids, size_t from) {
  return {ids.begin() + static_cast<std::ptrdiff_t>(from), ids.end()};
}

double weight_of(const Example& example, const TokenizeOptions& options) {
  const auto found = options.class_weights.find(example.class_label);
  return example.weight * (found == options.class_weights.end() ? 1.0 : found->second);
}

/// Cuts to max_length and says whether anything is left to learn from.
bool finish(TokenSequence& sequence, const TokenizeOptions& options, std::string& reason, bool& truncated) {
  if (options.max_length > 0 && sequence.length() > options.max_length) {
    truncated = true;
    if (options.truncate == Truncate::drop) {
      reason = too_long;
      return false;
    }
    const auto cut = [&](auto& values) {
      options.truncate == Truncate::keep_end ? keep_last(values, options.max_length)
                                             : keep_first(values, options.max_length);
    };
    cut(sequence.ids);
    cut(sequence.weights);
  }
  if (!sequence.weights.empty()) sequence.weights.front() = 0;
  if (sequence.supervised() > 0) return true;
  reason = nothing_supervised;
  return false;
}

/// Fits prompt and answers (one or two) into max_length; false when nothing of some answer is left.
bool fit(std::vector<int32_t>& prompt, std::vector<int32_t>& first, std::vector<int32_t>* second,
         const TokenizeOptions& options, std::string& reason, bool& truncated) {
  const auto size = [](const std::vector<int32_t>& ids) { return static_cast<int64_t>(ids.size()); };
  const int64_t answer = std::max(size(first), second != nullptr ? size(*second) : 0);
  if (options.max_length > 0 && size(prompt) + answer > options.max_length) {
    truncated = true;
    if (options.truncate == Truncate::drop) {
      reason = too_long;
      return false;
    }
    if (options.truncate == Truncate::keep_end) {
      keep_last(prompt,
                std::max(options.max_length - answer, std::min(size(prompt), options.max_length / 2)));
    }
    const int64_t room = options.max_length - size(prompt);
    keep_first(first, room);
    if (second != nullptr) keep_first(*second, room);
  }
  if (!prompt.empty() && !first.empty() && (second == nullptr || !second->empty())) return true;
  reason = prompt.empty() ? "empty prompt" : nothing_supervised;
  return false;
}

bool learns_an_end(const TokenSequence& sequence, const Tokens& tokens) {
  for (size_t end = sequence.ids.size(); end > 0;) {
    size_t begin = end;
    while (begin > 0 && sequence.weights[begin - 1] != 0) --begin;
    if (begin < end && tokens.ends(std::span(sequence.ids).subspan(begin, end - begin))) return true;
    end = std::max<size_t>(begin, 1) - 1;
  }
  return false;
}

/// The whole conversation; `storage` holds it where the example has it in two parts.
std::span<const Message> whole_conversation(const Example& example, Messages& storage) {
  if (example.kind == Example::Kind::conversation) return example.completion.messages;
  storage = joined(chat_of(example.prompt, "user"), example.completion);
  return storage;
}

void tokenize_turns(std::span<const Message> messages, const Tokens& tokens, TrainOn train_on, float scale,
                    TokenSequence& sequence) {
  auto chat = tokens.conversation(messages);
  if (train_on == TrainOn::assistant) {
    sequence.notes.answers = static_cast<int32_t>(chat.answers);
    sequence.notes.unserved = static_cast<int32_t>(chat.unserved);
    for (const Message& message : messages) {
      if (message.weight != 0) tokens.note_thinking(message, sequence.notes);
    }
  }
  sequence.ids = std::move(chat.ids);
  sequence.weights.assign(sequence.ids.size(), 0.0f);
  for (size_t t = 0; t < sequence.ids.size(); ++t) {
    if (train_on == TrainOn::assistant) {
      if (chat.assistant[t] != 0) sequence.weights[t] = scale * chat.weight[t];
    } else {
      const double own = chat.turn[t] >= 0 ? messages[static_cast<size_t>(chat.turn[t])].weight : 1.0;
      sequence.weights[t] = scale * static_cast<float>(own);
    }
  }
}

/// An answer of several messages whose weights differ.
void tokenize_weighted(std::span<const Message> messages, size_t before, const Tokens& tokens, float scale,
                       TokenSequence& sequence) {
  auto chat = tokens.conversation(messages);
  const bool tools = std::any_of(messages.begin() + static_cast<std::ptrdiff_t>(before), messages.end(),
                                 [](const Message& m) { return m.role == "tool"; });
  sequence.ids = std::move(chat.ids);
  sequence.weights.assign(sequence.ids.size(), 0.0f);
  for (size_t t = 0; t < sequence.ids.size(); ++t) {
    const auto turn = static_cast<size_t>(std::max(chat.turn[t], 0));
    if (turn < before || (chat.assistant[t] == 0 && (turn == before || tools))) continue;
    sequence.weights[t] = scale * static_cast<float>(messages[turn].weight);
  }
}

/// What precedes the completion, which of a conversation is its last assistant turn, is not supervised.
bool tokenize_completion(const Example& example, std::span<const Message> messages, const Tokens& tokens,
                         float scale, TokenSequence& sequence, std::string& reason) {
  size_t before = chat_of(example.prompt, "user").size();
  if (example.kind == Example::Kind::conversation) {
    while (!messages.empty() && messages.back().role != "assistant")
      messages = messages.first(messages.size() - 1);
    if (messages.empty()) {
      reason = no_assistant;
      return false;
    }
    before = messages.size() - 1;
  }
  const double weight = before < messages.size() ? messages[before].weight : 1.0;
  if (std::any_of(messages.begin() + static_cast<std::ptrdiff_t>(before), messages.end(),
                  [&](const Message& m) { return m.weight != weight; })) {
    tokenize_weighted(messages, before, tokens, scale, sequence);
    return true;
  }
  sequence.ids = tokens.prompt_ids(messages, {}, before, sequence.notes);
  const TokenizedAnswer answer = tokens.answer(messages, before, sequence.ids);
  sequence.weights.assign(sequence.ids.size(), 0.0f);
  sequence.ids.insert(sequence.ids.end(), answer.ids.begin(), answer.ids.end());
  sequence.weights.resize(sequence.ids.size(), scale * static_cast<float>(weight));
  for (size_t t = 0; t < answer.assistant.size(); ++t) {
    if (answer.assistant[t] == 0) sequence.weights[sequence.ids.size() - answer.ids.size() + t] = 0;
  }
  sequence.notes.answers = 1;
  return true;
}

/// Nothing but the last message is the assistant's: the conversation is a prompt and its answer.
bool is_single_answer(std::span<const Message> messages) {
  const auto by_assistant = [](const Message& m) { return m.role == "assistant"; };
  return !messages.empty() && by_assistant(messages.back()) &&
         std::count_if(messages.begin(), messages.end(), by_assistant) == 1;
}

bool tokenize_chat_sequence(const Example& example, const Tokens& tokens, const TokenizeOptions& options,
                            float scale, TokenSequence& sequence, std::string& reason) {
  Messages storage;
  const auto messages = whole_conversation(example, storage);
  const bool one_answer = options.train_on == TrainOn::assistant && is_single_answer(messages);
  if (options.train_on == TrainOn::completions || one_answer)
    return tokenize_completion(example, messages, tokens, scale, sequence, reason);
  tokenize_turns(messages, tokens, options.train_on, scale, sequence);
  return true;
}

}  // namespace

int64_t TokenSequence::supervised() const {
  return std::count_if(weights.begin(), weights.end(), [](float weight) { return weight != 0.0f; });
}

Json to_json(const TokenizeReport& report) {
  return {{"in", report.rows},
          {"out", report.kept},
          {"reasons", report.dropped},
          {"truncated", report.truncated},
          {"formats", report.formats},
          {"tokens", report.tokens},
          {"supervised_tokens", report.supervised_tokens},
          {"longest", report.longest},
          {"answers", report.answers},
          {"answers_never_served_so", report.unserved},
          {"answers_with_thinking_off", report.thinking_off},
          {"answers_without_the_opened_thought", report.thoughtless},
          {"rows_that_end_a_turn", report.ended}};
}

namespace {
bool splits(const TokenizeOptions& options) {
  return options.split_turns && !options.raw && options.train_on != TrainOn::all;
}
}  // namespace

TokenizeOptions options_of_rows(const TokenizeOptions& options) {
  TokenizeOptions rows = options;
  if (splits(options)) rows.train_on = TrainOn::completions;
  return rows;
}

std::vector<Example> supervised_rows(const Example& example, const TokenizeOptions& options) {
  if (!splits(options) || example.kind != Example::Kind::conversation) return {example};
  std::vector<Example> rows;
  const Messages& messages = example.completion.messages;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant" || messages[i].weight == 0) continue;
    Example row = example;
    row.completion.messages.resize(i + 1);
    rows.push_back(std::move(row));
  }
  if (rows.size() > 1) {
    for (size_t i = 0; i < rows.size(); ++i) rows[i].id += fmt::format("-turn{}", i + 1);
  }
  return rows.empty() ? std::vector<Example>{example} : rows;
}

std::optional<TokenSequence> tokenize_text(const Example& example, const Tokenizer& tokenizer,
                                      const ChatTemplate* chat, const TokenizeOptions& options,
                                      std::string& reason, bool& truncated) {
  TokenSequence sequence;
  sequence.id = example.id;
  TokenizeOptions whole = options;
  whole.train_on = TrainOn::all;
  const bool is_chat = example.prompt.is_chat || example.completion.is_chat;
  if (is_chat && !options.raw) return tokenize_sequence(example, tokenizer, chat, whole, reason, truncated);
  whole.raw = true;
  const Tokens tokens(example, tokenizer, nullptr, whole);
  sequence.ids = tokens.text(plain(example.prompt, example.id) + plain(example.completion, example.id), true);
  sequence.weights.assign(sequence.ids.size(), static_cast<float>(weight_of(example, options)));
  if (!finish(sequence, options, reason, truncated)) return std::nullopt;
  return sequence;
}

std::optional<TokenSequence> tokenize_sequence(const Example& example, const Tokenizer& tokenizer,
                                          const ChatTemplate* chat, const TokenizeOptions& options,
                                          std::string& reason, bool& truncated) {
  if (example.kind == Example::Kind::judged && !example.desirable) {
    reason = "undesirable answer";
    return std::nullopt;
  }
  if (example.kind == Example::Kind::text)
    return tokenize_text(example, tokenizer, chat, options, reason, truncated);
  TokenSequence sequence;
  sequence.id = example.id;
  const auto scale = static_cast<float>(weight_of(example, options));
  const Tokens tokens(example, tokenizer, chat, options);
  if (options.raw) {
    sequence.ids = tokens.raw_answer(example.completion);
    sequence.weights.assign(sequence.ids.size(), scale);
    if (options.train_on != TrainOn::all) {
      std::fill_n(sequence.weights.begin(), common_prefix(tokens.raw_prompt(), sequence.ids), 0.0f);
    }
  } else if (!tokenize_chat_sequence(example, tokens, options, scale, sequence, reason)) {
    return std::nullopt;
  }
  if (!finish(sequence, options, reason, truncated)) return std::nullopt;
  sequence.notes.ended = learns_an_end(sequence, tokens);
  return sequence;
}

std::optional<Pair> tokenize_pair(const Example& example, const Tokenizer& tokenizer,
                                  const ChatTemplate* chat, const TokenizeOptions& options,
                                  std::string& reason, bool& truncated) {
  if (example.kind != Example::Kind::pair)
    fail(example.id, "is no preference pair: keys 'chosen' and 'rejected' are needed");
  const Tokens tokens(example, tokenizer, chat, options);
  Pair pair;
  pair.id = example.id;
  pair.weight = static_cast<float>(weight_of(example, options));
  if (options.raw) {
    pair.prompt_ids = tokens.raw_prompt();
    const auto chosen = tokens.raw_answer(example.completion), rejected = tokens.raw_answer(example.rejected);
    const size_t shared =
        std::min(common_prefix(pair.prompt_ids, chosen), common_prefix(pair.prompt_ids, rejected));
    pair.prompt_ids.resize(shared);
    pair.chosen_ids = tail(chosen, shared);
    pair.rejected_ids = tail(rejected, shared);
  } else {
    const Messages prompt = chat_of(example.prompt, "user");
    const Messages chosen = joined(prompt, example.completion), rejected = joined(prompt, example.rejected);
    pair.prompt_ids = tokens.prompt_ids(chosen, rejected, prompt.size(), pair.notes);
    pair.chosen_ids = tokens.answer(chosen, prompt.size(), pair.prompt_ids).ids;
    pair.rejected_ids = tokens.answer(rejected, prompt.size(), pair.prompt_ids).ids;
    pair.notes.answers = 2;
  }
  if (!fit(pair.prompt_ids, pair.chosen_ids, &pair.rejected_ids, options, reason, truncated))
    return std::nullopt;
  pair.notes.ended = tokens.ends(pair.chosen_ids) || tokens.ends(pair.rejected_ids);
  return pair;
}

std::optional<Judged> tokenize_judged(const Example& example, const Tokenizer& tokenizer,
                                      const ChatTemplate* chat, const TokenizeOptions& options,
                                      std::string& reason, bool& truncated) {
  if (example.kind != Example::Kind::judged)
    fail(example.id, "is no judged row: keys 'completion' and 'label' are needed");
  const Tokens tokens(example, tokenizer, chat, options);
  Judged judged;
  judged.id = example.id;
  judged.desirable = example.desirable;
  judged.weight = static_cast<float>(weight_of(example, options));
  if (options.raw) {
    judged.prompt_ids = tokens.raw_prompt();
    const auto whole = tokens.raw_answer(example.completion);
    judged.prompt_ids.resize(common_prefix(judged.prompt_ids, whole));
    judged.completion_ids = tail(whole, judged.prompt_ids.size());
  } else {
    const Messages prompt = chat_of(example.prompt, "user"), whole = joined(prompt, example.completion);
    judged.prompt_ids = tokens.prompt_ids(whole, {}, prompt.size(), judged.notes);
    judged.completion_ids = tokens.answer(whole, prompt.size(), judged.prompt_ids).ids;
    judged.notes.answers = 1;
  }
  if (!fit(judged.prompt_ids, judged.completion_ids, nullptr, options, reason, truncated))
    return std::nullopt;
  judged.notes.ended = tokens.ends(judged.completion_ids);
  return judged;
}

}  // namespace fettle::data
