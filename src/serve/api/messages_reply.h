#pragma once
// Answers of Anthropic's /v1/messages: the message, and the events by which it grows.
#include <memory>
#include <string>
#include <vector>

#include "serve/api/answer_reader.h"
#include "serve/api/completion_request.h"
#include "serve/api/reply_format.h"

namespace fettle::serve {

class MessagesReply final : public ReplyFormat {
 public:
  /// `room`: the tokens that the context has for the answer. `period`: pieces of text gathered into one
  /// event.
  MessagesReply(std::shared_ptr<const CompletionCall> call, ReplyHead head, int64_t room, int32_t period);

  const ReplyHead& head() const override { return head_; }
  Json whole(const std::vector<GenerationResult>& results) override;
  std::string begin() override;
  std::string add(const AnswerPiece& piece) override;
  std::string end(const std::vector<GenerationResult>& results) override;
  std::string error(const ApiError& error) override;

 private:
  /// The block that grows.
  enum class Open : uint8_t { none, thinking, text };

  /// stop_reason and stop_sequence.
  Json stop_of(const GenerationResult& result, bool called) const;
  Json message(Json content, const Json& usage) const;
  std::string open(Open kind);
  std::string close();
  std::string grow(Open kind, const std::string& text);
  std::string add_call(const ToolCall& call);
  std::string emit(const AnswerParts& parts);

  std::shared_ptr<const CompletionCall> call_;
  ReplyHead head_;
  int64_t room_;
  int32_t period_;
  AnswerReader reader_;
  Open open_ = Open::none;
  std::string gathered_;
  int32_t pieces_ = 0;
  int64_t index_ = 0;  ///< of the block that grows, or of the next one
};

}  // namespace fettle::serve
