// Which requests run, and what each of them computes in a step.
#include <algorithm>

#include "base/log.h"
#include "generate/engine_impl.h"

namespace fettle {
Failure failure_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return {"out of memory", true};
  const auto* known = dynamic_cast<const Error*>(&error);
  return {error.what(), known != nullptr && known->kind() == Error::Kind::io};
}

namespace {

void set_error(ActiveRequest& request, Failure why) {
  request.result.machine_failed = why.of_machine;
  try {
    request.result.error = why.reason;
  } catch (const std::bad_alloc&) {
    request.result.error = "out of memory";  // so short that it needs none
  }
}

/// A callback or job that failed; with no memory for the line there is none.
void note_failure(const char* what, const std::exception& error) {
  try {
    log_warning("{} failed: {}", what, failure_of(error).reason);
  } catch (const std::exception&) {
  }
}

}  // namespace

/// One after the other, so that lack of memory ends the one that it strikes and none is forgotten.
void Engine::Impl::take_arrivals() {
  for (;;) {
    std::shared_ptr<ActiveRequest> request;
    {
      std::lock_guard lock(mutex);
      if (inbox.empty()) return;
      request = std::move(inbox.front());
      inbox.pop_front();
      ++waiting_now;
    }
    ++stats.requests;
    stats.prompt_tokens += request->result.prompt_tokens;
    try {
      auto sequence = std::make_unique<Sequence>(request, 0, tokenizer);
      active.emplace(request->id, request);
      sequence->windows.resize(windows.size());
      waiting.push_back(std::move(sequence));
    } catch (const std::exception& error) {
      set_error(*request, failure_of(error));
      for (GenerationSample& sample : request->result.samples) sample.finish = FinishReason::error;
      close(request);
    }
  }
}

void Engine::Impl::take_orders() {
  take_arrivals();
  std::vector<RequestId> cancelled;
  {
    std::lock_guard lock(mutex);
    cancelled.swap(cancels);
  }
  for (const RequestId id : cancelled) {
    if (const auto it = active.find(id); it != active.end())
      end_request(*it->second, FinishReason::cancelled);
  }
  run_jobs();
}

void Engine::Impl::run_jobs() {
  std::vector<std::function<void(Decoder&)>> todo;
  {
    std::lock_guard lock(mutex);
    todo.swap(jobs);
  }
  if (!todo.empty() && decoder_salt != 0) {
    decoder.set_adapters(options.base_adapters);
    decoder_salt = 0;
    decoder_adapters.clear();
  }
  for (auto& job : todo) {
    try {
      job(decoder);
    } catch (const std::exception& error) {
      note_failure("a job between two steps", error);
    }
  }
}

void Engine::Impl::end_late_requests() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<ActiveRequest>> late;
  for (const auto& [id, request] : active) {
    if (request->request.deadline <= now) late.push_back(request);
  }
  for (const auto& request : late) end_request(*request, FinishReason::deadline);
  sweep();
}

/// Begins with what the prefix cache has of `tokens` in every group of layers; returns how many tokens that is.
int64_t Engine::Impl::adopt(Sequence& sequence, std::span<const int32_t> tokens) {
  PageTable& table = sequence.table;
  pages.adopt(table, sequence.request().salt, tokens);
  // A window may lack the end of a longer beginning and have that of a shorter one.
  for (int64_t before = -1; before != table.published;) {
    before = table.published;
    for (const WindowPages& window : windows) pages.adopt_fewer(table, window.adoptable(table.entries));
  }
  for (size_t w = 0; w < windows.size(); ++w) windows[w].adopt(sequence.windows[w], table.entries);
  return table.length;
}

void Engine::Impl::admit() {
  while (!waiting.empty() && static_cast<int64_t>(running.size()) < options.max_running) {
    Sequence& sequence = *waiting.front();
    ActiveRequest& request = sequence.request();
    const std::span<const int32_t> tokens = sequence.tokens();
    // Log-probabilities of the prompt need every row of it: adopt nothing.
    const bool every_row = request.wants_prompt_logprobs();
    const int64_t found = adopt(sequence, every_row ? tokens.first(1) : tokens);
    // A page in reserve for each running answer, or the newcomer would be preempted at once.
    const auto reserve = static_cast<int32_t>(running.size());
    const auto needed = pages.pages_for(static_cast<int64_t>(tokens.size())) -
                        static_cast<int32_t>(sequence.table.pages.size());
    if (needed + reserve > pages.available()) {
      release(sequence);
      return;
    }
    pages.grow(sequence.table, static_cast<int64_t>(tokens.size()));
    if (sequence.drawn() == 0) {
      request.result.cached_tokens = found;
      stats.cached_prompt_tokens += found;
    }
    running.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
}

void Engine::Impl::preempt_youngest() {
  release(*running.back());
  waiting.push_front(std::move(running.back()));
  running.pop_back();
  ++stats.preemptions;
}

/// Where a piece of at most `tokens` tokens of a prompt ends, or table.length when it must wait. Pieces end
/// with a page (see append_tokens), the last one with the prompt.
int64_t Engine::Impl::prompt_piece(Sequence& sequence, int64_t tokens, int64_t& logits_left) {
  const int64_t begin = sequence.table.length;
  const auto size = static_cast<int64_t>(sequence.tokens().size());
  const bool every_row = sequence.request().wants_prompt_logprobs();
  if (every_row) tokens = std::min(tokens, logits_left);
  int64_t end = begin + std::min(tokens, sequence.pending());
  if (end < size) end = std::max(begin, end / options.page_rows * options.page_rows);
  const int64_t wanted = every_row ? end - begin : (end == size ? 1 : 0);
  if (wanted > logits_left) return begin;
  logits_left -= wanted;
  return end;
}

std::map<uint64_t, std::vector<Piece>> Engine::Impl::plan() {
  std::map<uint64_t, std::vector<Piece>> groups;
  int64_t tokens_left = options.step_tokens, logits_left = logits_rows;
  for (size_t i = 0; i < running.size(); ++i) {
    Sequence& sequence = *running[i];
    const auto size = static_cast<int64_t>(sequence.tokens().size());
    if (sequence.pending() != 1) continue;
    while (running.size() > i && !pages.grow(sequence.table, size)) preempt_youngest();
    if (running.size() <= i) break;
    groups[sequence.request().salt].push_back({&sequence, size});
    --tokens_left;
    --logits_left;
  }
  for (const auto& sequence : running) {
    if (sequence->pending() == 1) continue;
    const int64_t end = prompt_piece(*sequence, tokens_left, logits_left);
    if (end == sequence->table.length) continue;
    groups[sequence->request().salt].push_back({sequence.get(), end});
    tokens_left -= end - sequence->table.length;
  }
  return groups;
}

bool Engine::Impl::step() {
  try {
    run_step();
  } catch (const std::exception& error) {
    fail_all(failure_of(error));
  }
  return !running.empty() || !waiting.empty();
}

/// Outside of a request's own work: what exactly was lost is unknown.
void Engine::Impl::fail_all(Failure why) {
  while (!active.empty()) end_request(*active.begin()->second, FinishReason::error, why);
  sweep();
  publish_stats();
}

void Engine::Impl::run_step() {
  take_orders();
  end_late_requests();
  admit();
  auto groups = plan();
  for (auto& [salt, pieces] : groups) run(pieces);
  sweep();
  if (!groups.empty()) ++stats.steps;
  publish_stats();
}

void Engine::Impl::publish_stats() {
  stats.running =
      std::count_if(running.begin(), running.end(), [](const auto& sequence) { return !sequence->done; });
  stats.pages_used = pages.page_count() - pages.available();
  stats.pages_cached = pages.cached();
  std::lock_guard lock(mutex);
  waiting_now = static_cast<int64_t>(waiting.size());
  shown = stats;
}

void Engine::Impl::end_sequence(Sequence& sequence, FinishReason reason) {
  ActiveRequest& request = sequence.request();
  sequence.done = true;
  release(sequence);
  request.finished[static_cast<size_t>(sequence.sample())] = true;
  --request.unfinished;
  sequence.finish(reason);
  if (request.unfinished == 0) close(sequence.shared_request());
}

void Engine::Impl::end_request(ActiveRequest& request, FinishReason reason, Failure why) {
  const auto found = active.find(request.id);
  if (found == active.end()) return;
  const std::shared_ptr<ActiveRequest> hold = found->second;
  set_error(request, why);
  const auto end = [&](Sequence& sequence) {
    if (&sequence.request() != &request || sequence.done) return;
    sequence.done = true;
    release(sequence);
    request.finished[static_cast<size_t>(sequence.sample())] = true;
    try {
      sequence.finish(reason);
    } catch (const std::exception& thrown) {
      if (request.result.error.empty()) set_error(request, failure_of(thrown));
    }
  };
  for (const auto& sequence : running) end(*sequence);
  for (const auto& sequence : waiting) end(*sequence);
  for (size_t i = 0; i < request.finished.size(); ++i) {
    if (!request.finished[i]) request.result.samples[i].finish = reason;
  }
  close(hold);
}

void Engine::Impl::close(std::shared_ptr<ActiveRequest> hold) {
  ActiveRequest& request = *hold;
  active.erase(request.id);
  request.result.total_seconds = request.seconds();
  bool failed = false, cancelled = false;
  for (const GenerationSample& sample : request.result.samples) {
    failed = failed || sample.finish == FinishReason::error;
    cancelled = cancelled || sample.finish == FinishReason::cancelled;
  }
  ++(failed ? stats.failed : cancelled ? stats.cancelled : stats.finished);
  if (!request.request.on_done) return;
  publish_stats();  // whoever has the answer finds it counted
  try {
    request.request.on_done(std::move(request.result));
  } catch (const std::exception& error) {
    note_failure("a request's on_done", error);
  }
}

void Engine::Impl::sweep() {
  const auto done = [](const std::unique_ptr<Sequence>& sequence) { return sequence->done; };
  std::erase_if(running, done);
  std::erase_if(waiting, done);
}

}  // namespace fettle
