#pragma once
// Many calls under way at once, their results in the order of what was asked.
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/interrupt.h"

namespace fettle::feedback {

/// Takes items from `next` until it gives none, works on them with `workers` threads, and hands each with its result to `done` in the
/// order in which they came. `next` and `done` run on the caller's thread. At most `window` items are held. What `work` throws is
/// thrown here at its place, after the results before it were handed out and the other threads have ended. A signal ends it too.
template <typename Item, typename Result>
class InOrder {
 public:
  using Next = std::function<std::optional<Item>()>;
  using Work = std::function<Result(Item&)>;
  using Done = std::function<void(Item&, Result&&)>;

  InOrder(size_t workers, size_t window, Work work) : window_(window), work_(std::move(work)) {
    try {
      for (size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { run(); });
    } catch (const std::system_error&) {
      if (threads_.empty()) throw;  // fewer do the same
    } catch (...) {
      stop();
      throw;
    }
  }
  ~InOrder() { stop(); }
  InOrder(const InOrder&) = delete;
  InOrder& operator=(const InOrder&) = delete;

  void operator()(const Next& next, const Done& done) {
    bool more = true;
    while (more || !slots_.empty()) {
      while (more && slots_.size() < window_) {
        auto item = next();
        more = item.has_value();
        if (more) add(std::move(*item));
      }
      if (!slots_.empty()) hand_out(done);
    }
  }

 private:
  struct Slot {
    explicit Slot(Item&& of) : item(std::move(of)) {}
    Item item;
    std::optional<Result> result;
    std::exception_ptr error;
    bool ready = false;
  };

  void add(Item&& item) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(&slots_.emplace_back(std::move(item)));
    wake_.notify_one();
  }

  void hand_out(const Done& done) {
    Slot& first = slots_.front();
    {
      std::unique_lock lock(mutex_);
      while (!first.ready) {
        ready_.wait_for(lock, std::chrono::milliseconds(100));
        throw_if_interrupted();
      }
    }
    if (first.error) std::rethrow_exception(first.error);
    done(first.item, std::move(*first.result));
    const std::lock_guard lock(mutex_);
    slots_.pop_front();
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
      if (ended_) return;
      Slot* slot = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      try {
        slot->result = work_(slot->item);
      } catch (...) {
        slot->error = std::current_exception();
      }
      lock.lock();
      slot->ready = true;
      ready_.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      wake_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  size_t window_;
  Work work_;
  std::mutex mutex_;
  std::condition_variable wake_, ready_;
  std::deque<Slot> slots_;      // grows at the end and shrinks at the front: places stay where they are
  std::deque<Slot*> waiting_;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fettle::feedback
