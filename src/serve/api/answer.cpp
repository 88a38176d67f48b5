#include "serve/api/answer.h"

#include "serve/http/api_error.h"

namespace fettle::serve {

std::shared_ptr<Answer> Answer::start(Engine& engine, std::vector<GenerationRequest> requests, bool stream) {
  std::shared_ptr<Answer> answer(new Answer(engine));
  answer->results_.resize(requests.size());
  answer->unfinished_ = requests.size();
  for (size_t i = 0; i < requests.size(); ++i) {
    GenerationRequest& request = requests[i];
    const auto first = i * static_cast<size_t>(request.n);
    if (stream) {
      request.on_delta = [a = answer.get(), first, logprobs = request.logprobs](const GenerationDelta& delta) {
        a->add(first + static_cast<size_t>(delta.sample), delta, logprobs);
      };
    }
    request.on_done = [a = answer.get(), i, first, stream](GenerationResult&& result) {
      a->finish(i, first, std::move(result), stream);
    };
    try {
      answer->group_.submit(std::move(request));
    } catch (const QueueFull&) {
      throw ApiError(503, "queue_full", "", "the queue is full; try again later");
    }
  }
  return answer;
}

Answer::~Answer() = default;

void Answer::add(size_t choice, const GenerationDelta& delta, bool logprobs) {
  if (delta.text.empty() && !(logprobs && delta.token != nullptr)) return;
  AnswerPiece piece{choice, std::string(delta.text), {}, {}};
  if (logprobs && delta.token != nullptr) piece.token = *delta.token;
  std::lock_guard lock(mutex_);
  pieces_.push_back(std::move(piece));
  changed_.notify_one();
}

void Answer::finish(size_t prompt, size_t first_choice, GenerationResult&& result, bool stream) {
  std::lock_guard lock(mutex_);
  GenerationResult& kept = results_[prompt] = std::move(result);
  try {
    for (size_t s = 0; stream && s < kept.samples.size(); ++s)
      pieces_.push_back({first_choice + s, {}, {}, kept.samples[s].finish});
  } catch (const std::bad_alloc&) {
    kept.error = "out of memory";  // so short that it needs none; the client must hear of an end
  }
  --unfinished_;
  changed_.notify_all();
}

std::vector<AnswerPiece> Answer::take(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [&] { return !pieces_.empty() || unfinished_ == 0; });
  std::vector<AnswerPiece> pieces(std::make_move_iterator(pieces_.begin()), std::make_move_iterator(pieces_.end()));
  pieces_.clear();
  return pieces;
}

bool Answer::wait(const std::function<bool()>& gone) {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::milliseconds(100), [&] { return unfinished_ == 0; })) {
    lock.unlock();
    const bool give_up = gone();
    lock.lock();
    if (give_up) return false;
  }
  return true;
}

bool Answer::done() const {
  std::lock_guard lock(mutex_);
  return unfinished_ == 0;
}

void Answer::cancel() {
  group_.cancel();
}

std::string Answer::error() const {
  std::lock_guard lock(mutex_);
  for (const GenerationResult& result : results_) {
    if (!result.error.empty()) return result.error;
  }
  return {};
}

}  // namespace fettle::serve
