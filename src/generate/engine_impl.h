#pragma once
// The inside of the engine: engine.cpp takes requests and owns the memory, engine_schedule.cpp decides who
// computes what in a step, engine_step.cpp runs the batch and hands out its tokens.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "generate/engine.h"
#include "generate/kv_pages.h"
#include "generate/sequence.h"
#include "generate/step_batch.h"

namespace fettle {

/// Tokens [table.length, end) of a sequence are computed in this step.
struct Piece {
  Sequence* sequence;
  int64_t end;
};

/// What is read from one row of logits: the log-probability of a prompt token, or a draw.
struct Reading {
  Sequence* sequence;
  int32_t row;
  int64_t prompt_position;  ///< of the token whose log-probability is wanted; -1: draw
  std::optional<TokenSet> allowed;
  TokenInfo info;
};

/// Why a request ends early; the text lives as long as what it was made of.
struct Failure {
  const char* reason = "";
  bool of_machine = false;  ///< GenerationResult::machine_failed
};
Failure failure_of(const std::exception& error);

struct Engine::Impl {
  Impl(Decoder& decoder, std::shared_ptr<const Tokenizer> tokenizer, EngineOptions options);

  // Any thread.
  RequestId submit(GenerationRequest request);
  void validate(const GenerationRequest& request) const;
  std::pair<uint64_t, std::vector<std::shared_ptr<Adapter>>> resolve(const std::vector<AdapterUse>& uses);

  // The stepping thread.
  bool step();
  void run_step();
  void take_orders();
  void take_arrivals();
  void run_jobs();
  void fail_all(Failure why);
  void end_late_requests();
  void admit();
  int64_t adopt(Sequence& sequence, std::span<const int32_t> tokens);
  void preempt_youngest();
  std::map<uint64_t, std::vector<Piece>> plan();
  int64_t prompt_piece(Sequence& sequence, int64_t tokens, int64_t& logits_left);
  void run(std::vector<Piece>& pieces);
  void use_adapters_of(const ActiveRequest& request);
  void extend(const std::vector<Piece>& pieces, std::vector<Reading>& readings);
  void extend_decoder(const StepBatch& batch);
  void keep_step(const Piece& piece);
  void release(Sequence& sequence);
  bool branch(const Sequence& from, Sequence& to);
  void copy_rows(int32_t group, const KvPages::Copy& copy);
  void draw(std::vector<Reading>& readings);
  void start_siblings(Sequence& first, int32_t row, std::vector<Reading>& readings);
  void allow_tokens(std::vector<Reading>& readings);
  void take_readings(std::vector<Reading>& readings);
  void end_sequence(Sequence& sequence, FinishReason reason);
  void end_request(ActiveRequest& request, FinishReason reason, Failure why = {});
  void close(std::shared_ptr<ActiveRequest> request);
  void sweep();
  void publish_stats();

  Decoder& decoder;
  std::shared_ptr<const Tokenizer> tokenizer;
  EngineOptions options;
  int64_t context = 0;
  int64_t logits_rows = 0;
  std::set<int32_t> eos;
  KvCache cache;
  KvPages pages;
  std::vector<WindowPages> windows;  ///< of the layers that keep less; never short of pages where `pages` has some
  Buffer logits_memory;
  Tensor logits;
  Arena draw_memory;  ///< of a step's draws

  uint64_t decoder_salt = 0;                               ///< whose adapters the decoder has now
  std::vector<std::shared_ptr<Adapter>> decoder_adapters;  ///< keeps them while it has them

  std::map<RequestId, std::shared_ptr<ActiveRequest>> active;
  std::deque<std::unique_ptr<Sequence>> waiting;
  std::vector<std::unique_ptr<Sequence>> running;  ///< oldest first

  mutable std::mutex mutex;
  std::condition_variable work;
  std::deque<std::shared_ptr<ActiveRequest>> inbox;
  std::vector<RequestId> cancels;
  std::vector<std::function<void(Decoder&)>> jobs;
  struct Registered {
    uint64_t number;
    std::shared_ptr<Adapter> adapter;
  };
  std::map<std::string, Registered> adapters;
  std::map<std::vector<std::pair<uint64_t, float>>, uint64_t> salts;
  uint64_t next_salt = 1;
  uint64_t next_adapter = 1;
  RequestId next_id = 1;
  int64_t waiting_now = 0;  ///< waiting.size() as of the last step
  EngineStats shown;
  EngineStats stats;  ///< the stepping thread's own
};

}  // namespace fettle
