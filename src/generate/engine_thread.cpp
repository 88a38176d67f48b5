#include <atomic>
#include <future>
#include <thread>

#include "base/threads.h"
#include "generate/engine.h"

namespace fettle {

struct EngineThread::Impl {
  explicit Impl(Engine& engine) : engine(engine), thread([this] { run(); }) {}

  void run() {
    // How many threads OpenMP uses is a setting of each thread that starts parallel work.
    set_threads(threads());
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
  impl_->engine.call([](Decoder&) {});  // wakes it
  impl_->thread.join();
  impl_->engine.cancel_all();
}

GenerationResult EngineThread::generate(GenerationRequest request) {
  std::promise<GenerationResult> promise;
  auto result = promise.get_future();
  auto on_done = std::move(request.on_done);
  request.on_done = [&promise, on_done](GenerationResult&& done) {
    GenerationResult copy = done;
    if (on_done) on_done(std::move(done));
    promise.set_value(std::move(copy));
  };
  impl_->engine.submit(std::move(request));
  return result.get();
}

}  // namespace fettle
