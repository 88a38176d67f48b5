#include "generate/request_group.h"

#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include "generate/engine.h"

namespace fettle {

struct RequestGroup::State {
  /// A request that is not done; its id is known when Engine::submit has returned, which may be after the end.
  struct Ticket {
    RequestId id = 0;
  };

  void end(const std::shared_ptr<Ticket>& ticket) {
    running.erase(ticket);
    if (running.empty()) ended.notify_all();
  }

  mutable std::mutex mutex;  ///< held during callbacks: the destructor waits for the one that runs
  std::condition_variable ended;
  bool closed = false;
  std::set<std::shared_ptr<Ticket>> running;
};

RequestGroup::RequestGroup(Engine& engine) : engine_(engine), state_(std::make_shared<State>()) {}

RequestGroup::~RequestGroup() {
  std::set<std::shared_ptr<State::Ticket>> left;
  {
    std::lock_guard lock(state_->mutex);
    state_->closed = true;
    left.swap(state_->running);
  }
  for (const auto& ticket : left) {
    try {
      engine_.cancel(ticket->id);
    } catch (const std::exception&) {  // no memory for the order: it computes to its end, unheard
    }
  }
}

RequestId RequestGroup::submit(GenerationRequest request) {
  const auto ticket = std::make_shared<State::Ticket>();
  if (request.on_delta) {
    request.on_delta = [state = state_, on_delta = std::move(request.on_delta)](const GenerationDelta& delta) {
      std::lock_guard lock(state->mutex);
      if (!state->closed) on_delta(delta);
    };
  }
  request.on_done = [state = state_, ticket, on_done = std::move(request.on_done)](GenerationResult&& result) {
    std::lock_guard lock(state->mutex);
    if (state->closed) return;
    try {
      if (on_done) on_done(std::move(result));
    } catch (...) {
      state->end(ticket);
      throw;
    }
    state->end(ticket);
  };
  {
    std::lock_guard lock(state_->mutex);
    state_->running.insert(ticket);
  }
  try {
    const RequestId id = engine_.submit(std::move(request));
    std::lock_guard lock(state_->mutex);
    ticket->id = id;
    return id;
  } catch (...) {
    std::lock_guard lock(state_->mutex);
    state_->end(ticket);
    throw;
  }
}

void RequestGroup::cancel() {
  std::lock_guard lock(state_->mutex);
  for (const auto& ticket : state_->running) engine_.cancel(ticket->id);
}

size_t RequestGroup::unfinished() const {
  std::lock_guard lock(state_->mutex);
  return state_->running.size();
}

bool RequestGroup::wait(std::chrono::milliseconds timeout) const {
  std::unique_lock lock(state_->mutex);
  return state_->ended.wait_for(lock, timeout, [&] { return state_->running.empty(); });
}

}  // namespace fettle
