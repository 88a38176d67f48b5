#pragma once
// Answers of /v1/chat/completions and /v1/completions: whole ones, and the events of a stream.
#include <memory>
#include <string>
#include <vector>

#include "serve/api/answer_reader.h"
#include "serve/api/completion_request.h"
#include "serve/api/logprobs.h"
#include "serve/api/reply_format.h"

namespace fettle::serve {

class CompletionReply final : public ReplyFormat {
 public:
  /// `period`: pieces of text gathered into one event.
  CompletionReply(std::shared_ptr<const CompletionCall> call, ReplyHead head, const Tokenizer& tokenizer,
                  int32_t period);

  const ReplyHead& head() const override { return head_; }
  Json whole(const std::vector<GenerationResult>& results) override;
  /// The role of each choice, or the echoed prompt.
  std::string begin() override;
  std::string add(const AnswerPiece& piece) override;
  /// The usage, if it was asked for, and the end.
  std::string end(const std::vector<GenerationResult>& results) override;
  std::string error(const ApiError& error) override;

 private:
  /// One answer of a stream.
  struct Choice {
    AnswerReader reader;
    std::string gathered;  ///< text that waits for the end of its period
    std::vector<TokenInfo> tokens;
    int32_t pieces = 0;
    int64_t offset = 0;  ///< characters sent (completions' text_offset)
  };
  Json chat_choice(const GenerationSample& sample, size_t index) const;
  Json text_choice(const GenerationResult& result, const GenerationSample& sample, size_t prompt,
                   size_t index) const;
  /// Fields around the choices of an answer or an event.
  Json frame(const char* object, Json choices) const;
  std::string chat_event(size_t index, Json delta, const Json& finish);
  std::string text_event(size_t index, const std::string& text, const Json& finish);
  std::string chat_events(size_t index, const AnswerParts& parts);
  std::string finish(size_t index, FinishReason reason);

  std::shared_ptr<const CompletionCall> call_;
  ReplyHead head_;
  TokenNames names_;
  int32_t period_;
  std::vector<Choice> choices_;
};

/// {"prompt_tokens", …} of all prompts together.
Json usage_of(const std::vector<GenerationResult>& results);
Json timings_of(const std::vector<GenerationResult>& results);

}  // namespace fettle::serve
