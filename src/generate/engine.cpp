#include "generate/engine.h"

#include <algorithm>

#include "base/interrupt.h"
#include "generate/engine_impl.h"
#include "generate/open_model.h"
#include "tensor/memory.h"

namespace fettle {
namespace {

/// Pages of one window's layers beside `pages` of those that keep all.
int64_t window_pages(int32_t window, const EngineOptions& o, int64_t pages) {
  return std::min(pages, WindowPages::enough(window, o.page_rows, o.max_running, o.step_tokens));
}

/// Bytes of keys and values with so many pages of the layers that keep all.
int64_t cache_bytes(const ModelConfig& config, const EngineOptions& o, int64_t pages) {
  const std::vector<int32_t> windows = config.cache_windows();
  int64_t bytes = pages * o.page_rows * KvCache::bytes_per_row(config, o.kv_dtype, 0);
  for (size_t w = 1; w < windows.size(); ++w) {
    bytes += window_pages(windows[w], o, pages) * o.page_rows *
             KvCache::bytes_per_row(config, o.kv_dtype, static_cast<int32_t>(w));
  }
  return bytes;
}

int64_t page_count(const Decoder& decoder, const EngineOptions& o) {
  const ModelConfig& config = decoder.config();
  const int64_t context = config.context_length;
  // Where every layer has a window, more pages than contexts have tokens would be of no use and cost nothing.
  int64_t most = (int64_t{1} << 31) / o.page_rows - 1;
  if (KvCache::bytes_per_row(config, o.kv_dtype, 0) == 0)
    most = std::min(most, o.max_running * (context / o.page_rows + 2));
  int64_t bytes = o.kv_bytes;
  if (bytes == 0) {
    const int64_t rows = context + (o.max_running - 1) * std::min<int64_t>(context, 1024);
    bytes = std::min(cache_bytes(config, o, rows / o.page_rows), decoder.backend().memory().available() / 4);
  }
  int64_t pages = 0;  // the most that fit
  for (int64_t above = most + 1; pages + 1 < above;) {
    const int64_t middle = pages + (above - pages) / 2;
    (cache_bytes(config, o, middle) <= bytes ? pages : above) = middle;
  }
  if (pages < 1) {
    fail("KV memory", "a page of {} tokens needs {} bytes, but the budget is {} bytes; give more",
         o.page_rows, cache_bytes(config, o, 1), bytes);
  }
  return pages;
}

}  // namespace

Engine::Impl::Impl(Decoder& decoder, std::shared_ptr<const Tokenizer> tokenizer_in, EngineOptions o)
    : decoder(decoder),
      tokenizer(std::move(tokenizer_in)),
      options(std::move(o)),
      pages(static_cast<int32_t>(page_count(decoder, options)), options.page_rows, options.prefix_cache),
      draw_memory(decoder.backend().memory()) {
  const ModelConfig& config = decoder.config();
  if (options.max_running < 1 || options.step_tokens < options.max_running + options.page_rows) {
    fail("engine", "step_tokens ({}) must be at least max_running ({}) and a page ({}) together",
         options.step_tokens, options.max_running, options.page_rows);
  }
  const int64_t rows = int64_t{pages.page_count()} * options.page_rows;
  std::vector<int64_t> group_rows{rows};
  const std::vector<int32_t> spans = config.cache_windows();
  for (size_t w = 1; w < spans.size(); ++w) {
    const int64_t count = window_pages(spans[w], options, pages.page_count());
    windows.emplace_back(static_cast<int32_t>(count), options.page_rows, spans[w]);
    group_rows.push_back(count * options.page_rows);
  }
  context = config.context_length > 0 ? std::min(config.context_length, rows) : rows;
  logits_rows = options.max_running + std::max(64, options.page_rows);
  eos.insert(config.eos.begin(), config.eos.end());
  eos.insert(options.eos.begin(), options.eos.end());
  if (tokenizer != nullptr && tokenizer->eos() >= 0) eos.insert(tokenizer->eos());
  Backend& backend = decoder.backend();
  cache = KvCache::make(config, group_rows, options.kv_dtype, backend);
  logits_memory = Buffer(logits_rows * config.vocab_size * 4, backend.memory());
  logits = Tensor(logits_memory.data(), DType::f32, logits_rows, config.vocab_size);
  running.reserve(static_cast<size_t>(options.max_running));  // so that what has pages is never lost on its way there
  stats.pages = pages.page_count();
  stats.kv_bytes = cache.buffer.bytes();
  shown = stats;
}

void Engine::Impl::validate(const GenerationRequest& r) const {
  const int32_t vocabulary = decoder.config().vocab_size;
  if (r.prompt.empty()) fail("prompt", "is empty; a model needs at least one token (its BOS) to go on from");
  for (const int32_t token : r.prompt) {
    if (token < 0 || token >= vocabulary)
      fail("prompt", "token {} is not in the vocabulary of {}", token, vocabulary);
  }
  if (r.n < 1) fail("n", "must be 1 or more, got {}", r.n);
  if (r.max_tokens < 0)
    fail("max_tokens", "must be 0 (to the end of the context) or more, got {}", r.max_tokens);
  if (r.top_logprobs < 0 || r.top_logprobs > vocabulary) {
    fail("top_logprobs", "must be between 0 and {}, got {}", vocabulary, r.top_logprobs);
  }
  if (tokenizer == nullptr && !r.stop.empty())
    fail("stop", "stop strings need a tokenizer, and this model has none");
  r.sampling.validate(vocabulary);
  const auto prompt = static_cast<int64_t>(r.prompt.size());
  const int64_t wanted = prompt + std::max<int64_t>(r.max_tokens, 1);
  if (wanted > context) {
    fail("prompt",
         "this model's context holds {} tokens, but the prompt has {} and {} are to be generated ({} in "
         "all); shorten "
         "the prompt or lower max_tokens",
         context, prompt, std::max<int64_t>(r.max_tokens, 1), wanted);
  }
}

std::pair<uint64_t, std::vector<std::shared_ptr<Adapter>>> Engine::Impl::resolve(
    const std::vector<AdapterUse>& uses) {
  std::vector<std::pair<uint64_t, float>> key;
  std::vector<std::shared_ptr<Adapter>> found;
  for (const AdapterUse& use : uses) {
    const auto it = adapters.find(use.name);
    if (it == adapters.end()) fail("adapter", "'{}' is not loaded", use.name);
    key.emplace_back(it->second.number, use.factor);
    found.push_back(it->second.adapter);
  }
  if (key.empty()) return {0, {}};
  // A number that was forgotten is never given again: pages of the prefix cache may still carry it.
  if (salts.size() >= 4096) salts.clear();
  const auto [salt, fresh] = salts.try_emplace(key, next_salt);
  if (fresh) ++next_salt;
  return {salt->second, std::move(found)};
}

RequestId Engine::Impl::submit(GenerationRequest request) {
  validate(request);
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t limit = request.max_tokens > 0 ? request.max_tokens : context - prompt;
  std::lock_guard lock(mutex);
  if (waiting_now + static_cast<int64_t>(inbox.size()) >= options.max_queued) {
    throw QueueFull(fmt::format("queue: {} requests wait already; try again later", options.max_queued));
  }
  auto [salt, found] = resolve(request.adapters);
  auto accepted = std::make_shared<ActiveRequest>(next_id++, std::move(request), limit);
  accepted->salt = salt;
  accepted->adapters = std::move(found);
  inbox.push_back(accepted);
  work.notify_all();
  return accepted->id;
}

Engine::Engine(Decoder& decoder, std::shared_ptr<const Tokenizer> tokenizer, EngineOptions options)
    : impl_(std::make_unique<Impl>(decoder, std::move(tokenizer), std::move(options))) {}

Engine::Engine(OpenModel& model, EngineOptions options) {
  options.eos.insert(options.eos.end(), model.eos().begin(), model.eos().end());
  if (model.loaded().adapter) options.base_adapters.push_back({&*model.loaded().adapter, 1.0F});
  impl_ = std::make_unique<Impl>(model.decoder(), model.tokenizer(), std::move(options));
}

Engine::~Engine() {
  cancel_all();
}

void Engine::cancel_all() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->jobs.clear();
  }
  impl_->take_orders();
  while (!impl_->active.empty()) impl_->end_request(*impl_->active.begin()->second, FinishReason::cancelled);
  impl_->sweep();
  impl_->publish_stats();
}

RequestId Engine::submit(GenerationRequest request) {
  return impl_->submit(std::move(request));
}

void Engine::cancel(RequestId id) {
  std::lock_guard lock(impl_->mutex);
  impl_->cancels.push_back(id);
  impl_->work.notify_all();
}

bool Engine::step() {
  return impl_->step();
}

void Engine::wait_for_work(std::chrono::milliseconds timeout) {
  std::unique_lock lock(impl_->mutex);
  impl_->work.wait_for(lock, timeout, [&] {
    return !impl_->inbox.empty() || !impl_->cancels.empty() || !impl_->jobs.empty() ||
           impl_->shown.running > 0 || impl_->waiting_now > 0;
  });
}

std::vector<GenerationResult> Engine::generate(std::vector<GenerationRequest> requests) {
  for (const GenerationRequest& request : requests) impl_->validate(request);
  std::vector<GenerationResult> results(requests.size());
  RequestGroup group(*this);
  for (size_t i = 0; i < requests.size(); ++i) {
    auto on_done = std::move(requests[i].on_done);
    requests[i].on_done = [&results, i, on_done](GenerationResult&& result) {
      results[i] = result;
      if (on_done) on_done(std::move(result));
    };
    group.submit(std::move(requests[i]));
  }
  while (group.unfinished() > 0) {
    if (interrupted()) {
      group.cancel();
      impl_->take_orders();
      impl_->sweep();
      throw_if_interrupted();
    }
    step();
  }
  return results;
}

GenerationResult Engine::generate(GenerationRequest request) {
  std::vector<GenerationRequest> one;
  one.push_back(std::move(request));
  return std::move(generate(std::move(one)).front());
}

void Engine::call(std::function<void(Decoder&)> job) {
  std::lock_guard lock(impl_->mutex);
  impl_->jobs.push_back(std::move(job));
  impl_->work.notify_all();
}

void Engine::add_adapter(const std::string& name, std::shared_ptr<Adapter> adapter) {
  std::lock_guard lock(impl_->mutex);
  impl_->adapters[name] = {impl_->next_adapter++, std::move(adapter)};
}

bool Engine::remove_adapter(const std::string& name) {
  std::lock_guard lock(impl_->mutex);
  return impl_->adapters.erase(name) > 0;
}

std::vector<std::string> Engine::adapters() const {
  std::lock_guard lock(impl_->mutex);
  std::vector<std::string> names;
  for (const auto& [name, adapter] : impl_->adapters) names.push_back(name);
  return names;
}

EngineStats Engine::stats() const {
  std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->shown;
  stats.queued = impl_->waiting_now;
  return stats;
}

int64_t Engine::context_length() const {
  return impl_->context;
}
const std::shared_ptr<const Tokenizer>& Engine::tokenizer() const {
  return impl_->tokenizer;
}

}  // namespace fettle
