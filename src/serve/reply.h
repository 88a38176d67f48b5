#pragma once
// Answers in OpenAI's shapes: whole ones, and the events of a stream.
#include <string>
#include <vector>

#include "serve/answer.h"
#include "serve/completion_request.h"

namespace fettle::serve {

/// What every piece of one answer repeats.
struct ReplyHead {
  std::string id;  ///< "chatcmpl-…"
  int64_t created = 0;
  std::string model;
};
ReplyHead make_reply_head(bool chat, const std::string& model);

/// The whole answer to a call, as JSON.
Json whole_reply(const CompletionCall& call, const ReplyHead& head,
                 const std::vector<GenerationResult>& results, const Tokenizer& tokenizer);

/// Turns pieces into server-sent events. One per stream.
class ReplyStream {
 public:
  ReplyStream(const CompletionCall& call, ReplyHead head, const Tokenizer& tokenizer, int32_t period);

  /// Events that open the stream: the role of each choice, the echoed prompt.
  std::string begin(const std::vector<std::string>& prompts);
  /// Events for a piece; empty while text is gathered (tool calls, period).
  std::string add(const AnswerPiece& piece);
  /// The usage, if it was asked for, and the end.
  std::string end(const std::vector<GenerationResult>& results);
  static std::string error(const ApiError& error);

 private:
  struct Choice {
    std::string text;  ///< gathered, not sent yet
    std::vector<TokenInfo> tokens;
    int32_t pieces = 0;
    bool calls = false;  ///< from a tool's marker on everything is gathered
    int64_t offset = 0;  ///< characters sent (completions' text_offset)
  };
  std::string event(size_t index, const std::string& text, const std::vector<TokenInfo>& tokens,
                    const Json& finish);
  std::string chunk(Json choices, const char* object) const;
  std::string flush(size_t index, bool whole);
  std::string finish(size_t index, FinishReason reason);

  const CompletionCall& call_;
  ReplyHead head_;
  const Tokenizer& tokenizer_;
  int32_t period_;
  std::vector<Choice> choices_;
};

/// {"prompt_tokens", …} of all prompts together.
Json usage_of(const std::vector<GenerationResult>& results);
Json timings_of(const std::vector<GenerationResult>& results);

}  // namespace fettle::serve
