#pragma once
// Examples as token ids with loss weights. Prompt, template and completion are tokenised as TRL does
// (docs/data.md).
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/rows/example.h"
#include "text/chat/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle::data {

/// What is to be said about the answers of a row.
struct AnswerNotes {
  int32_t answers = 0;       ///< turns of the assistant that are learnt
  int32_t unserved = 0;      ///< of them in a form that serving never asks for (TokenizedChat::unserved)
  int32_t thinking_off = 0;  ///< without a thought, behind a prompt with thinking switched off
  int32_t thoughtless = 0;   ///< without a thought, behind a prompt that opens one and cannot do otherwise
  int32_t ended = 0;         ///< 1 when a token with which the template ends a turn is learnt
};

/// weights[t] is the loss weight of token t as a label, predicted from the tokens before it; 0 = not
/// supervised. weights[0] is always 0: nothing stands before it.
struct TokenSequence {
  std::string id;
  std::vector<int32_t> ids;
  std::vector<float> weights;  ///< as long as ids
  int32_t group = -1;          ///< index of the row's class in Tokenized::classes; -1 if none
  int64_t conversation = -1;   ///< the same for rows that were split from one conversation; -1 for any other
  AnswerNotes notes = {};

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
  int64_t supervised() const;
};

/// Every token of chosen_ids and rejected_ids is supervised, none of prompt_ids. None of the three is empty.
struct Pair {
  std::string id;
  std::vector<int32_t> prompt_ids, chosen_ids, rejected_ids;
  float weight = 1.0f;
  AnswerNotes notes = {};

  /// Tokens of a packed pair: the prompt once, then both answers.
  int64_t length() const {
    return static_cast<int64_t>(prompt_ids.size() + chosen_ids.size() + rejected_ids.size());
  }
  int64_t supervised() const { return static_cast<int64_t>(chosen_ids.size() + rejected_ids.size()); }
};

/// A row for KTO. Every token of completion_ids is supervised.
struct Judged {
  std::string id;
  std::vector<int32_t> prompt_ids, completion_ids;
  bool desirable = true;
  float weight = 1.0f;
  AnswerNotes notes = {};

  int64_t length() const { return static_cast<int64_t>(prompt_ids.size() + completion_ids.size()); }
  int64_t supervised() const { return static_cast<int64_t>(completion_ids.size()); }
};

enum class TrainOn {
  completions,  ///< what follows the prompt with its generation prefix; of a conversation, its last assistant
                ///< turn
  assistant,    ///< every assistant turn
  all,          ///< every token
};
enum class Truncate {
  keep_start,  ///< the first max_length tokens
  keep_end,    ///< the last; of a pair the prompt loses its start, down to half of max_length, then answers
               ///< lose their end
  drop,        ///< the row goes
};
/// As configs, flags and steps of recipes call them.
inline constexpr std::pair<std::string_view, TrainOn> train_on_names[] = {
    {"completions", TrainOn::completions}, {"assistant", TrainOn::assistant}, {"all", TrainOn::all}};
inline constexpr std::pair<std::string_view, Truncate> truncate_names[] = {
    {"keep_start", Truncate::keep_start}, {"keep_end", Truncate::keep_end}, {"drop", Truncate::drop}};

struct TokenizeOptions {
  TrainOn train_on = TrainOn::completions;
  Truncate truncate = Truncate::keep_start;
  int64_t max_length = 1024;  ///< of prompt + completion, per answer; 0 = no limit
  /// No template: prompt and completion are plain text, EOS is appended where the completion does not end
  /// with it, and the tokenizer adds what its post-processor adds (BOS).
  bool raw = false;
  /// Each turn of the assistant in a conversation is a row of its own behind the history as serving renders it.
  bool split_turns = false;
  /// Special-token strings inside messages become those tokens.
  bool parse_special_in_content = false;
  OrderedJson variables =
      OrderedJson::object();  ///< template variables of every row; a row's own come on top
  std::map<std::string, double>
      class_weights;  ///< weight of each class's tokens; a class not listed weighs 1
};

/// Counts in, kept and dropped by reason ("nothing supervised after truncation"); tokens are after
/// truncation.
struct TokenizeReport {
  int64_t rows = 0, kept = 0, truncated = 0;
  std::map<std::string, int64_t> dropped;
  std::map<std::string, int64_t> formats;  ///< what was detected → rows
  int64_t tokens = 0, supervised_tokens = 0, longest = 0;
  int64_t answers = 0, unserved = 0, thinking_off = 0, thoughtless = 0;  ///< sums of AnswerNotes
  int64_t ended = 0;  ///< rows in which the end of a turn is learnt
};
Json to_json(const TokenizeReport& report);

/// The rows that supervised training makes of one: with options.split_turns a conversation becomes one for each turn of
/// the assistant that has a weight, up to and with that turn; else itself. They are tokenised with options_of_rows.
std::vector<Example> supervised_rows(const Example& example, const TokenizeOptions& options);
TokenizeOptions options_of_rows(const TokenizeOptions& options);

/// One example each; nullopt with `reason` filled where the row gives nothing to learn. Throws Error where it
/// cannot be tokenised (the template raised, the example is of the wrong kind). Thread-safe. `chat` may be
/// null only with options.raw or for plain text.
std::optional<TokenSequence> tokenize_sequence(const Example& example, const Tokenizer& tokenizer,
                                          const ChatTemplate* chat, const TokenizeOptions& options,
                                          std::string& reason, bool& truncated);
/// For pretraining: {"text"} rows with EOS appended where it is not there, conversations as the template
/// renders them; every token is supervised.
std::optional<TokenSequence> tokenize_text(const Example& example, const Tokenizer& tokenizer,
                                      const ChatTemplate* chat, const TokenizeOptions& options,
                                      std::string& reason, bool& truncated);
std::optional<Pair> tokenize_pair(const Example& example, const Tokenizer& tokenizer,
                                  const ChatTemplate* chat, const TokenizeOptions& options,
                                  std::string& reason, bool& truncated);
std::optional<Judged> tokenize_judged(const Example& example, const Tokenizer& tokenizer,
                                      const ChatTemplate* chat, const TokenizeOptions& options,
                                      std::string& reason, bool& truncated);

}  // namespace fettle::data
