#pragma once
// The threads that answer requests, started as they are needed.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "serve/http/incoming.h"

namespace fettle::serve {

class Workers {
 public:
  /// At most `most` threads; `most_pending` requests may wait for one. `answer` runs on the threads; what it throws ends
  /// the request it had and its connection. Throws Error(io) when the system gives not even one.
  Workers(int most, int most_pending, std::function<void(std::unique_ptr<Incoming>)> answer);
  ~Workers() { end(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Takes the request; false, and it stays with the caller, when too many wait, and also when the system gives no further
  /// thread and those that run have as many before them. From one thread. Throws std::bad_alloc.
  bool offer(std::unique_ptr<Incoming>& request);
  /// Answers what was taken and joins every thread. No offers after it.
  void end();
  int64_t active() const { return active_; }

 private:
  bool start_one();
  void work();

  const size_t most_, most_pending_;
  const std::function<void(std::unique_ptr<Incoming>)> answer_;
  std::mutex mutex_;
  std::condition_variable some_;
  std::deque<std::unique_ptr<Incoming>> ready_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool ending_ = false;
  bool said_ = false;  ///< that no thread could be started
  std::atomic<int64_t> active_{0};
};

}  // namespace fettle::serve
