// One batch: run the model, read its logits, hand out the tokens.
#include <algorithm>
#include <exception>

#include "generate/engine_impl.h"
#include "generate/step_draws.h"
#include "model/device.h"

namespace fettle {

void Engine::Impl::run(std::vector<Piece>& pieces) {
  // A callback may have cancelled the request while an earlier group ran.
  std::erase_if(pieces, [](const Piece& piece) { return piece.sequence->done; });
  if (pieces.empty()) return;
  std::vector<Reading> readings;
  try {
    extend(pieces, readings);
    allow_tokens(readings);
    draw(readings);
  } catch (const std::exception& error) {
    for (const Piece& piece : pieces) {
      if (!piece.sequence->done) end_request(piece.sequence->request(), FinishReason::error, failure_of(error));
    }
    return;
  }
  take_readings(readings);
}

/// Tokens and log-probabilities of the logits, which stay with the backend.
void Engine::Impl::draw(std::vector<Reading>& readings) {
  StepDraws draws;
  for (Reading& reading : readings) {
    Sequence& sequence = *reading.sequence;
    const GenerationRequest& request = sequence.request().request;
    if (reading.prompt_position >= 0) {
      draws.add_given(reading.row, request.prompt[static_cast<size_t>(reading.prompt_position)], request.top_logprobs);
      continue;
    }
    draws.add(reading.row, request.sampling, sequence.history(), reading.allowed ? &*reading.allowed : nullptr,
              static_cast<uint64_t>(sequence.sample()), static_cast<uint64_t>(sequence.drawn()),
              {request.logprobs, request.logprobs ? request.top_logprobs : 0});
  }
  std::vector<DrawnToken> drawn = draws.run(decoder.backend(), draw_memory, logits);
  for (size_t i = 0; i < readings.size(); ++i) readings[i].info = {drawn[i].token, drawn[i].logp, std::move(drawn[i].top)};
}

/// A decoder that is never asked for adapters keeps those it came with.
void Engine::Impl::use_adapters_of(const ActiveRequest& request) {
  if (request.salt == decoder_salt) return;
  std::vector<Decoder::ActiveAdapter> wanted = options.base_adapters;
  for (size_t i = 0; i < request.adapters.size(); ++i) {
    // Here and not where it is registered: only this thread may use the backend.
    move_to(request.adapters[i]->parameters, decoder.backend());
    wanted.push_back({request.adapters[i].get(), request.request.adapters[i].factor});
  }
  decoder.set_adapters(std::move(wanted));
  decoder_salt = request.salt;
  decoder_adapters = request.adapters;
}

/// Runs the model; afterwards the logits of every reading stand in the backend's memory.
void Engine::Impl::extend(const std::vector<Piece>& pieces, std::vector<Reading>& readings) {
  StepBatch batch(1 + windows.size());
  struct LastRow {
    Sequence* sequence;
    int32_t row;
  };
  std::vector<LastRow> draws;
  for (const Piece& piece : pieces) {
    Sequence& sequence = *piece.sequence;
    const int64_t begin = sequence.table.length;
    const auto size = static_cast<int64_t>(sequence.tokens().size());
    for (size_t w = 0; w < windows.size(); ++w) FETTLE_CHECK(windows[w].grow(sequence.windows[w], piece.end));
    const int32_t last = append_tokens(batch, pages, sequence.table, windows, sequence.windows, sequence.tokens(), begin,
                                       piece.end);
    const bool every_row = sequence.request().wants_prompt_logprobs();
    for (int64_t p = every_row ? begin : piece.end - 1; p < piece.end; ++p) {
      if (!every_row && piece.end < size) break;
      const int32_t row = want_logits(batch, last - static_cast<int32_t>(piece.end - 1 - p));
      if (p + 1 == size) {
        draws.push_back({&sequence, row});
      } else {
        readings.push_back({&sequence, row, p + 1, std::nullopt, {}});
      }
    }
  }
  use_adapters_of(pieces.front().sequence->request());
  extend_decoder(batch);
  for (const Piece& piece : pieces) keep_step(piece);
  for (const LastRow& draw : draws) {
    readings.push_back({draw.sequence, draw.row, -1, std::nullopt, {}});
    if (draw.sequence->sample() == 0 && draw.sequence->drawn() == 0)
      start_siblings(*draw.sequence, draw.row, readings);
  }
}

void Engine::Impl::extend_decoder(const StepBatch& batch) {
  std::vector<CacheStep> steps;
  for (const GroupStep& group : batch.groups) steps.push_back({group.rows, group.spans, group.ranges});
  const Tensor wanted = logits.row_slice(0, static_cast<int64_t>(batch.batch.label_rows.size()));
  decoder.extend(batch.batch, steps, cache, wanted);
}

/// The piece's keys are there: whole pages enter the prefix cache, those out of a window are given back.
void Engine::Impl::keep_step(const Piece& piece) {
  Sequence& sequence = *piece.sequence;
  PageTable& table = sequence.table;
  const int64_t before = table.published;
  table.length = piece.end;
  pages.publish(table, sequence.request().salt, sequence.tokens());
  for (size_t w = 0; w < windows.size(); ++w) {
    for (int64_t page = before; page < table.published; ++page)
      windows[w].publish(sequence.windows[w], page, table.entries[static_cast<size_t>(page)]);
    windows[w].trim(sequence.windows[w], table.length);
  }
}

void Engine::Impl::release(Sequence& sequence) {
  pages.release(sequence.table);
  for (size_t w = 0; w < windows.size(); ++w) windows[w].release(sequence.windows[w]);
}

void Engine::Impl::copy_rows(int32_t group, const KvPages::Copy& copy) {
  if (copy.rows == 0) return;
  const auto move = [&](const Tensor& rows) {
    decoder.backend().copy(rows.row_slice(copy.to_row, copy.to_row + copy.rows),
                           rows.row_slice(copy.from_row, copy.from_row + copy.rows));
  };
  for (auto* memory : {&cache.k, &cache.v}) {
    for (size_t layer = 0; layer < memory->size(); ++layer) {
      const Tensor& rows = (*memory)[layer];
      if (cache.group[layer] == group && rows.cols > 0) move(rows);
    }
  }
  move(cache.positions[static_cast<size_t>(group)]);
}

/// `to` sees what `from` does. False, and nothing taken, when there is no page for the copy.
bool Engine::Impl::branch(const Sequence& from, Sequence& to) {
  const auto copy = pages.branch(from.table, to.table);
  if (!copy) return false;
  copy_rows(0, *copy);
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto windowed = windows[w].branch(from.windows[w], to.windows[w], from.table.length);
    FETTLE_CHECK(windowed.has_value());
    copy_rows(static_cast<int32_t>(w) + 1, *windowed);
  }
  return true;
}

/// The prompt is computed: the other answers begin from its pages and draw from the same logits.
void Engine::Impl::start_siblings(Sequence& first, int32_t row, std::vector<Reading>& readings) {
  for (int32_t sample = 1; sample < first.request().request.n; ++sample) {
    auto sibling = std::make_unique<Sequence>(first.shared_request(), sample, tokenizer);
    readings.push_back({sibling.get(), row, -1, std::nullopt, {}});
    sibling->windows.resize(windows.size());
    if (static_cast<int64_t>(running.size()) >= options.max_running || !branch(first, *sibling)) {
      waiting.push_front(std::move(sibling));  // begins later, from the prefix cache
      continue;
    }
    running.push_back(std::move(sibling));
  }
}

void Engine::Impl::allow_tokens(std::vector<Reading>& readings) {
  for (Reading& reading : readings) {
    TokenConstraint* constraint = reading.sequence->constraint();
    if (constraint == nullptr || reading.prompt_position >= 0 || reading.sequence->done) continue;
    reading.allowed.emplace(decoder.config().vocab_size);
    try {
      constraint->allow(*reading.allowed);
    } catch (const std::exception& error) {
      end_request(reading.sequence->request(), FinishReason::error, failure_of(error));
    }
  }
}

void Engine::Impl::take_readings(std::vector<Reading>& readings) {
  for (Reading& reading : readings) {
    Sequence& sequence = *reading.sequence;
    if (sequence.done) continue;
    ActiveRequest& request = sequence.request();
    if (reading.prompt_position >= 0) {
      // A prompt that was preempted half-way is computed again; what was read before stands.
      auto& infos = request.result.prompt;
      if (reading.prompt_position == static_cast<int64_t>(infos.size()))
        infos.push_back(std::move(reading.info));
      continue;
    }
    if (reading.info.token < 0) {
      if (reading.allowed) {
        end_sequence(sequence, FinishReason::stop);
      } else {
        end_request(request, FinishReason::error, {"the model's logits are not numbers; its weights may be broken"});
      }
      continue;
    }
    if (request.result.first_token_seconds == 0) request.result.first_token_seconds = request.seconds();
    ++stats.generated_tokens;
    try {
      const bool ends = eos.count(reading.info.token) > 0;
      if (const auto reason = sequence.accept(std::move(reading.info), ends)) end_sequence(sequence, *reason);
    } catch (const std::exception& error) {
      end_request(request, FinishReason::error, failure_of(error));
    }
  }
}

}  // namespace fettle
