#pragma once
// Answers of /v1/responses: the response object, and the events by which it grows.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/api/answer_reader.h"
#include "serve/api/logprobs.h"
#include "serve/api/reply_format.h"
#include "serve/api/responses_request.h"

namespace fettle::serve {

class ResponsesReply final : public ReplyFormat {
 public:
  /// `period`: pieces of text gathered into one event. `keep` gets every answer that came to its end.
  ResponsesReply(std::shared_ptr<const ResponsesCall> call, ReplyHead head, const Tokenizer& tokenizer,
                 int32_t period, std::function<void(const Json& response)> keep);

  const ReplyHead& head() const override { return head_; }
  /// The object that the last event of a stream would carry.
  Json whole(const std::vector<GenerationResult>& results) override;
  std::string begin() override;
  std::string add(const AnswerPiece& piece) override;
  std::string end(const std::vector<GenerationResult>& results) override;
  std::string error(const ApiError& error) override;

 private:
  /// The item that grows: thoughts, or the message.
  enum class Open : uint8_t { none, thoughts, message };

  std::string event(const char* type, Json fields);
  Json response(const char* status) const;
  std::string open(Open kind);
  std::string close(const char* status);
  std::string grow(Open kind, const std::string& text);
  std::string add_call(const ToolCall& call, const char* status);
  std::string emit(const AnswerParts& parts);
  Json take_logprobs();
  /// What is left, the status and the usage; `response_` is final then.
  std::string conclude(const std::vector<GenerationResult>& results);
  Json usage(const GenerationResult& result) const;

  std::shared_ptr<const ResponsesCall> call_;
  ReplyHead head_;
  TokenNames names_;
  int32_t period_;
  std::function<void(const Json&)> keep_;
  AnswerReader reader_;

  Json response_;                  ///< set by conclude()
  Json output_ = Json::array();    ///< items, the last one growing
  Json logprobs_ = Json::array();  ///< of the message so far
  Open open_ = Open::none;
  std::string gathered_;
  std::vector<TokenInfo> tokens_;  ///< that no event has shown yet
  size_t thought_bytes_ = 0;       ///< of the answer's text
  int32_t pieces_ = 0;
  int64_t sequence_ = 0;
};

}  // namespace fettle::serve
