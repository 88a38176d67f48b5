#pragma once
// The token loop: continuous batching over one decoder. Every step() runs one packed batch that mixes one
// token of each running answer with a piece of the prompts that wait (chunked prefill). Keys and values lie
// in pages under one budget; prompts that begin alike share pages (prefix cache). When pages run out, the
// youngest answer gives its pages back and is computed again later.
//
// What a request yields depends on its own fields and the model alone: tokens are drawn by (seed, sample,
// index), and neither the order nor the mix of a batch enters. (Rounding may differ in the last bits between
// batch sizes where the backend's matrix product sums in another order; draws are as stable as the kernels
// are.)
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "generate/request_group.h"
#include "model/decoder.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

class OpenModel;

struct EngineOptions {
  int64_t kv_bytes =
      0;  ///< budget of keys and values; 0: room for `max_running` half contexts, at most 1/4 of free memory
  DType kv_dtype = DType::f32;   ///< f32, f16 or bf16. f32 gives the log-probabilities of scoring
  int32_t page_rows = 32;        ///< tokens in a page
  int32_t max_running = 32;      ///< answers decoded in one step
  int32_t step_tokens = 512;     ///< rows of a step's batch: running answers first, prompts fill up
  int32_t max_queued = 1 << 20;  ///< requests that wait; beyond it RequestGroup::submit throws QueueFull
  bool prefix_cache = true;
  std::vector<Decoder::ActiveAdapter>
      base_adapters;         ///< part of the model: every request has them, under its own
  std::vector<int32_t> eos;  ///< ends of an answer beside those of the model's config and the tokenizer
};

/// The engine's queue is full; try again later.
class QueueFull : public Error {
 public:
  using Error::Error;
};

/// For /metrics and for tests. Counters since the engine was made.
struct EngineStats {
  int64_t queued = 0, running = 0;
  int64_t pages = 0, pages_used = 0,
          pages_cached = 0;  ///< used: held by answers; cached: free, but with content
  int64_t kv_bytes = 0;
  int64_t requests = 0, finished = 0, cancelled = 0, failed = 0;
  int64_t prompt_tokens = 0, cached_prompt_tokens = 0, generated_tokens = 0;
  int64_t preemptions = 0, steps = 0;
};

/// Requests come through a RequestGroup, which says when their callbacks end. RequestGroup::submit, cancel(), stats(),
/// call() and the adapter calls are safe from any thread. step(), wait_for_work(), generate() and cancel_all() belong to one
/// thread at a time.
class Engine {
 public:
  /// The decoder and the tokenizer's model must fit each other; the decoder must outlive the engine and is
  /// used by step() alone.
  Engine(Decoder& decoder, std::shared_ptr<const Tokenizer> tokenizer, EngineOptions options = {});
  /// The same for an opened model: with its tokenizer, its end-of-sequence tokens and its adapter.
  explicit Engine(OpenModel& model, EngineOptions options = {});
  ~Engine();  ///< requests that still run end with FinishReason::cancelled
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Takes effect at the next step(); unknown and finished ids are ignored.
  void cancel(RequestId id);

  /// One batch. False when there is nothing to do. What goes wrong in it, lack of memory too, ends the requests that it was
  /// for with FinishReason::error.
  bool step();
  /// Sleeps until there is something to do, at most `timeout`.
  void wait_for_work(std::chrono::milliseconds timeout);

  /// Submits all and steps until the last is done; results in the order of the requests. Callbacks still
  /// come; a request that can never be served throws before anything runs.
  std::vector<GenerationResult> generate(std::vector<GenerationRequest> requests);
  GenerationResult generate(GenerationRequest request);

  /// Ends everything with FinishReason::cancelled, now. For the stepping thread.
  void cancel_all();

  /// Runs `job` on the stepping thread between two steps (embeddings). A job finds the decoder with the model's own adapters
  /// alone, and leaves them and the weights as they are.
  void call(std::function<void(Decoder&)> job);

  /// Requests name adapters by these names. Removing one does not touch requests that already use it.
  void add_adapter(const std::string& name, std::shared_ptr<Adapter> adapter);
  bool remove_adapter(const std::string& name);
  std::vector<std::string> adapters() const;

  EngineStats stats() const;
  int64_t context_length() const;
  const std::shared_ptr<const Tokenizer>& tokenizer() const;  ///< may be null

 private:
  friend class RequestGroup;
  RequestId submit(GenerationRequest request);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Owns the thread that steps an engine; the way to use one from many threads (a server, LocalChatClient).
class EngineThread {
 public:
  /// Throws Error(io) when the system gives no thread.
  explicit EngineThread(Engine& engine);
  ~EngineThread();  ///< ends the thread; what still runs is cancelled
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;
  /// One request, waited for.
  GenerationResult generate(GenerationRequest request);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle
