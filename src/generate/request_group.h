#pragma once
// Who asks the engine also owns how its requests end.
#include <chrono>
#include <cstddef>
#include <memory>

#include "generate/request.h"

namespace fettle {

class Engine;

/// Requests whose callbacks refer to what their caller owns. The destructor cancels what still runs, and once it has
/// returned no callback of these requests is called any more, whichever thread steps the engine and whichever of the two
/// ends first. So declare the group behind everything that the callbacks refer to.
///
/// Callbacks of one group come one at a time. submit(), cancel(), unfinished() and wait() are safe from any thread, but a
/// callback must not use its own group.
class RequestGroup {
 public:
  explicit RequestGroup(Engine& engine);
  ~RequestGroup();
  RequestGroup(const RequestGroup&) = delete;
  RequestGroup& operator=(const RequestGroup&) = delete;

  /// Queues a request. Throws Error(input) at once when it can never be served (an empty prompt, a token outside the
  /// vocabulary, prompt + max_tokens beyond the context or the whole KV budget, an adapter that is not there, a sampling
  /// field out of range), QueueFull when too many wait; its callbacks then never come.
  RequestId submit(GenerationRequest request);
  /// Ends what still runs at the engine's next step; on_done comes for each.
  void cancel();
  /// Requests whose on_done has not returned.
  size_t unfinished() const;
  /// Waits while another thread steps the engine, at most `timeout`. True when none is unfinished.
  bool wait(std::chrono::milliseconds timeout) const;

 private:
  struct State;
  Engine& engine_;
  std::shared_ptr<State> state_;  ///< the engine may still hold callbacks when the group is gone
};

}  // namespace fettle
