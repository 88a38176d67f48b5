#include <atomic>
#include <future>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "base/scarce.h"
#include "base/threads.h"
#include "generate/engine.h"

namespace fettle {

struct EngineThread::Impl {
  explicit Impl(Engine& e) : engine(e) {
    std::promise<void> promise;
    auto begun = promise.get_future();
    try {
      thread = std::thread([this, mine = std::move(promise)]() mutable { run(mine); });
    } catch (const std::system_error& error) {
      throw Error(Error::Kind::io, fmt::format("the engine's thread cannot start: {}; raise the limit of processes or of memory "
                                               "(ulimit -u, ulimit -v, the container's)", error.code().message()));
    }
    try {
      begun.get();
    } catch (...) {
      thread.join();
      throw;
    }
  }

  void run(std::promise<void>& begun) {
    try {
      // How many threads OpenMP uses is a setting of each thread that starts parallel work. They are started here: a server whose
      // first request finds none would start and never answer.
      set_threads(threads());
      start_team();
    } catch (...) {
      return begun.set_exception(std::current_exception());
    }
    begun.set_value();
    while (!ending.load()) {
      if (!engine.step()) engine.wait_for_work(std::chrono::milliseconds(50));
    }
  }

  Engine& engine;
  std::atomic<bool> ending{false};
  std::thread thread;
};

EngineThread::EngineThread(Engine& engine) : impl_(std::make_unique<Impl>(engine)) {}

EngineThread::~EngineThread() {
  impl_->ending.store(true);
  try {
    impl_->engine.call([](Decoder&) {});  // wakes it; without memory for that it wakes by itself
  } catch (const std::exception&) {
  }
  impl_->thread.join();
  impl_->engine.cancel_all();
}

GenerationResult EngineThread::generate(GenerationRequest request) {
  GenerationResult result;
  request.on_done = [&result, on_done = std::move(request.on_done)](GenerationResult&& done) {
    result = std::move(done);
    if (on_done) on_done(GenerationResult(result));
  };
  RequestGroup group(impl_->engine);
  group.submit(std::move(request));
  while (!group.wait(std::chrono::seconds(1))) {
  }
  return result;
}

}  // namespace fettle
