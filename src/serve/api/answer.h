#pragma once
// The answers to one HTTP request in the making: the engine's thread puts pieces in, the HTTP thread takes
// them out, and cancels what a client no longer waits for.
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "generate/engine.h"

namespace fettle::serve {

/// A piece of choice `prompt * n + sample`.
struct AnswerPiece {
  size_t choice = 0;
  std::string text;
  std::optional<TokenInfo> token;        ///< only when log-probabilities were asked for
  std::optional<FinishReason> finished;  ///< the last piece of the choice
};

/// Thread-safe. Destroying it cancels what still runs.
class Answer {
 public:
  /// Queues one engine request per prompt, or none: throws what Engine::submit throws (QueueFull becomes
  /// ApiError 503). `stream`: pieces are wanted.
  static std::shared_ptr<Answer> start(Engine& engine, std::vector<GenerationRequest> requests, bool stream);
  ~Answer();

  /// Pieces that are there, waiting at most `timeout` for the first; empty also when all is done.
  std::vector<AnswerPiece> take(std::chrono::milliseconds timeout);
  /// Waits for the end, asking `gone` ten times a second whether to give up. False when it gave up.
  bool wait(const std::function<bool()>& gone);
  bool done() const;
  void cancel();

  /// One per prompt; whole once done().
  const std::vector<GenerationResult>& results() const { return results_; }
  /// The error of a result that failed, empty when none did.
  std::string error() const;

 private:
  explicit Answer(Engine& engine) : group_(engine) {}
  void add(size_t choice, const GenerationDelta& delta, bool logprobs);
  void finish(size_t prompt, size_t first_choice, GenerationResult&& result, bool stream);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<AnswerPiece> pieces_;
  std::vector<GenerationResult> results_;
  size_t unfinished_ = 0;
  RequestGroup group_;  ///< last: its callbacks use the others
};

}  // namespace fettle::serve
