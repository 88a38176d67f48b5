#include "serve/http/workers.h"

#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace fettle::serve {

Workers::Workers(int most, int most_pending, std::function<void(std::unique_ptr<Incoming>)> answer)
    : most_(static_cast<size_t>(most)), most_pending_(static_cast<size_t>(most_pending)), answer_(std::move(answer)) {
  threads_.reserve(most_);
  said_ = true;
  if (!start_one())
    throw Error(Error::Kind::io, "no thread can be started that answers requests; raise the limit of processes or of memory (ulimit -u, "
                                 "ulimit -v, the container's)");
  said_ = false;
}

bool Workers::offer(std::unique_ptr<Incoming>& request) {
  std::lock_guard lock(mutex_);
  if (ready_.size() >= most_pending_) return false;
  const bool all_busy = idle_ <= ready_.size();
  if (all_busy && threads_.size() < most_ && !start_one() && ready_.size() >= threads_.size()) return false;
  ready_.push_back(nullptr);
  ready_.back() = std::move(request);
  some_.notify_one();
  return true;
}

bool Workers::start_one() {
  try {
    threads_.emplace_back([this] { work(); });
    return true;
  } catch (const std::system_error& error) {
    if (!std::exchange(said_, true))
      log_warning("no thread can be started beside {}: {}; requests beyond them are refused with 503", threads_.size(),
                  error.code().message());
  } catch (const std::bad_alloc&) {
  }
  return false;
}

void Workers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    some_.wait(lock, [&] { return !ready_.empty() || ending_; });
    --idle_;
    if (ready_.empty()) return;
    std::unique_ptr<Incoming> request = std::move(ready_.front());
    ready_.pop_front();
    ++active_;
    lock.unlock();
    try {
      answer_(std::move(request));
    } catch (const std::exception&) {  // no memory even to refuse: the connection was closed
    }
    request.reset();
    lock.lock();
    --active_;
  }
}

void Workers::end() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
    some_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace fettle::serve
