#include "serve/answer.h"

#include "serve/api_error.h"

namespace fettle::serve {

std::shared_ptr<Answer> Answer::start(Engine& engine, std::vector<GenerationRequest> requests, bool stream) {
  std::shared_ptr<Answer> answer(new Answer(engine));
  answer->shared_->results.resize(requests.size());
  answer->shared_->unfinished = requests.size();
  for (size_t i = 0; i < requests.size(); ++i) {
    GenerationRequest& request = requests[i];
    const auto first = i * static_cast<size_t>(request.n);
    if (stream) {
      request.on_delta = [shared = answer->shared_, first,
                          logprobs = request.logprobs](const GenerationDelta& delta) {
        if (delta.text.empty() && !(logprobs && delta.token != nullptr)) return;
        AnswerPiece piece{first + static_cast<size_t>(delta.sample), std::string(delta.text), {}, {}};
        if (logprobs && delta.token != nullptr) piece.token = *delta.token;
        std::lock_guard lock(shared->mutex);
        shared->pieces.push_back(std::move(piece));
        shared->changed.notify_one();
      };
    }
    request.on_done = [shared = answer->shared_, i, first, stream](GenerationResult&& result) {
      std::lock_guard lock(shared->mutex);
      if (stream) {
        for (size_t s = 0; s < result.samples.size(); ++s)
          shared->pieces.push_back({first + s, {}, {}, result.samples[s].finish});
      }
      shared->results[i] = std::move(result);
      --shared->unfinished;
      shared->changed.notify_all();
    };
    try {
      answer->ids_.push_back(engine.submit(std::move(request)));
    } catch (const QueueFull&) {
      throw ApiError(503, "queue_full", "", "the queue is full; try again later");
    }
  }
  return answer;
}

Answer::~Answer() {
  if (!done()) cancel();
}

std::vector<AnswerPiece> Answer::take(std::chrono::milliseconds timeout) {
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait_for(lock, timeout,
                            [&] { return !shared_->pieces.empty() || shared_->unfinished == 0; });
  std::vector<AnswerPiece> pieces(std::make_move_iterator(shared_->pieces.begin()),
                                  std::make_move_iterator(shared_->pieces.end()));
  shared_->pieces.clear();
  return pieces;
}

bool Answer::wait(const std::function<bool()>& gone) {
  std::unique_lock lock(shared_->mutex);
  while (!shared_->changed.wait_for(lock, std::chrono::milliseconds(100),
                                    [&] { return shared_->unfinished == 0; })) {
    lock.unlock();
    const bool give_up = gone();
    lock.lock();
    if (give_up) return false;
  }
  return true;
}

bool Answer::done() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->unfinished == 0;
}

void Answer::cancel() {
  for (const RequestId id : ids_) engine_.cancel(id);
}

std::string Answer::error() const {
  std::lock_guard lock(shared_->mutex);
  for (const GenerationResult& result : shared_->results) {
    if (!result.error.empty()) return result.error;
  }
  return {};
}

}  // namespace fettle::serve
