#pragma once
// One answer in the making, and the request it belongs to. For the engine alone.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "generate/request.h"
#include "generate/stop_matcher.h"
#include "generate/window_pages.h"
#include "model/decoder.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

/// A request that was accepted and is not done.
struct ActiveRequest {
  RequestId id = 0;
  GenerationRequest request;
  int64_t limit = 0;  ///< most tokens of an answer
  uint64_t salt = 0;  ///< separates prefix caches and batches of different adapters
  std::vector<std::shared_ptr<Adapter>> adapters;  ///< in the order of request.adapters
  GenerationResult result;
  std::vector<bool> finished;  ///< per sample
  int32_t unfinished = 0;
  std::chrono::steady_clock::time_point submitted;

  ActiveRequest(RequestId id, GenerationRequest request, int64_t limit);
  double seconds() const;  ///< since it was submitted
  bool wants_prompt_logprobs() const {
    return request.prompt_logprobs && result.prompt.size() < request.prompt.size();
  }
};

/// Its tokens, what the cache holds of them, and everything that turns a drawn token into text.
class Sequence {
 public:
  Sequence(std::shared_ptr<ActiveRequest> request, int32_t sample,
           const std::shared_ptr<const Tokenizer>& tokenizer);

  /// Takes a token that was drawn: text goes out through on_delta. The reason when it was the last one.
  /// Throws what on_delta and the constraint throw.
  std::optional<FinishReason> accept(TokenInfo info, bool ends_sequence);
  /// Lets out what was held back and stores the answer in the request's result.
  void finish(FinishReason reason);

  ActiveRequest& request() { return *request_; }
  const std::shared_ptr<ActiveRequest>& shared_request() const { return request_; }
  int32_t sample() const { return sample_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  int64_t pending() const { return static_cast<int64_t>(tokens_.size()) - table.length; }
  int64_t drawn() const { return static_cast<int64_t>(tokens_.size() - request_->request.prompt.size()); }
  const TokenHistory& history() const { return history_; }
  TokenConstraint* constraint() { return constraint_.get(); }

  PageTable table;
  std::vector<WindowTable> windows;  ///< one for each of the engine's WindowPages
  bool done = false;

 private:
  void emit(const std::string& text, const TokenInfo* token);

  std::shared_ptr<ActiveRequest> request_;
  int32_t sample_;
  std::vector<int32_t> tokens_;  ///< prompt, then what was drawn
  TokenHistory history_;
  std::optional<StreamDecoder> stream_;
  StopMatcher stops_;
  std::unique_ptr<TokenConstraint> constraint_;
  GenerationSample out_;
};

}  // namespace fettle
