#include "generate/step_draws.h"

#include <algorithm>
#include <bit>

#include "base/random.h"
#include "kernels/upload.h"

namespace fettle {
namespace {

bool has_penalties(const SamplingOptions& o) {
  return o.repetition_penalty != 1.0F || o.presence_penalty != 0.0F || o.frequency_penalty != 0.0F;
}

}  // namespace

void StepDraws::add(int32_t row, const SamplingOptions& o, const TokenHistory& history, TokenSet* allowed, uint64_t sample,
                    uint64_t index, Wanted wanted) {
  Draw draw;
  draw.row = row;
  draw.temperature = o.temperature;
  draw.top_k = o.top_k;
  draw.top_p = o.top_p;
  draw.min_p = o.min_p;
  draw.repetition_penalty = o.repetition_penalty;
  draw.presence_penalty = o.presence_penalty;
  draw.frequency_penalty = o.frequency_penalty;
  if (allowed != nullptr) {
    const auto words = allowed->words();
    FETTLE_CHECK(masks_.empty() || words.size() == mask_words_);
    mask_words_ = words.size();
    draw.mask = static_cast<int32_t>(masks_.size() / mask_words_);
    masks_.insert(masks_.end(), words.begin(), words.end());
  }
  draw.bias_begin = static_cast<int32_t>(biases_.size());
  for (const auto& [token, bias] : o.logit_bias) biases_.push_back({token, bias});
  draw.bias_end = static_cast<int32_t>(biases_.size());
  draw.count_begin = static_cast<int32_t>(counts_.size());
  if (has_penalties(o)) history.append_to(counts_);
  draw.count_end = static_cast<int32_t>(counts_.size());
  draw.wants_logp = wanted.logp || wanted.top > 0 ? 1 : 0;
  draw.top = wanted.top;
  const auto uniform = std::bit_cast<uint64_t>(o.greedy() ? 0.0 : Random(o.seed, sample, index).uniform());
  draw.uniform[0] = static_cast<uint32_t>(uniform);
  draw.uniform[1] = static_cast<uint32_t>(uniform >> 32);
  draws_.push_back(draw);
}

void StepDraws::add_given(int32_t row, int32_t token, int32_t top) {
  Draw draw;
  draw.row = row;
  draw.token = token;
  draw.wants_logp = 1;
  draw.top = top;
  draws_.push_back(draw);
}

DrawContext StepDraws::context(size_t index) const {
  const Draw& draw = draws_[index];
  const auto part = [](const auto& all, int32_t begin, int32_t end) {
    return std::span(all).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  };
  const auto* masks = reinterpret_cast<const uint32_t*>(masks_.data());
  return {part(biases_, draw.bias_begin, draw.bias_end), part(counts_, draw.count_begin, draw.count_end),
          draw.mask < 0 ? nullptr : masks + static_cast<size_t>(draw.mask) * mask_words_ * 2};
}

DrawResult StepDraws::take_result(Arena& arena) const {
  const auto count = static_cast<int64_t>(draws_.size());
  DrawResult out;
  out.tokens = arena.take(DType::i32, 1, count);
  out.logp = arena.take(1, count);
  if (most_top() == 0) return out;
  out.top_tokens = arena.take(DType::i32, count, most_top());
  out.top_logp = arena.take(count, most_top());
  return out;
}

int32_t StepDraws::most_top() const {
  int32_t most = 0;
  for (const Draw& draw : draws_) most = std::max(most, draw.top);
  return most;
}

std::vector<DrawnToken> StepDraws::fetch(Backend& backend, const DrawResult& out, int64_t vocabulary) const {
  const auto most = static_cast<size_t>(most_top());
  const bool wants_logp = std::ranges::any_of(draws_, [](const Draw& draw) { return draw.wants_logp != 0; });
  std::vector<int32_t> tokens(draws_.size()), top_tokens(draws_.size() * most);
  std::vector<float> logps(draws_.size()), top_logp(top_tokens.size());
  backend.copy_to_host(tokens.data(), out.tokens);
  if (wants_logp) backend.copy_to_host(logps.data(), out.logp);
  if (most > 0) {
    backend.copy_to_host(top_tokens.data(), out.top_tokens);
    backend.copy_to_host(top_logp.data(), out.top_logp);
  }
  std::vector<DrawnToken> result(draws_.size());
  for (size_t i = 0; i < result.size(); ++i) {
    result[i].token = tokens[i];
    if (tokens[i] < 0 || draws_[i].wants_logp == 0) continue;
    result[i].logp = logps[i];
    const auto top = static_cast<size_t>(std::min<int64_t>(draws_[i].top, vocabulary));
    for (size_t at = i * most; at < i * most + top; ++at) result[i].top.push_back({top_tokens[at], top_logp[at]});
  }
  return result;
}

std::vector<DrawnToken> StepDraws::run(Backend& backend, Arena& arena, const Tensor& logits) const {
  if (draws_.empty()) return {};
  StepUpload upload;
  const auto draws = upload.add_rows(std::span(draws_));
  const auto biases = upload.add_rows(std::span(biases_));
  const auto counts = upload.add_rows(std::span(counts_));
  const auto masks = upload.add(masks_.data(), masks_.empty() ? 0 : static_cast<int64_t>(masks_.size() / mask_words_),
                                static_cast<int64_t>(mask_words_ * 2));
  Arena measuring(backend.memory());
  measuring.take(DType::i32, 1, upload.words());
  take_result(measuring);
  if (measuring.peak() > arena.capacity()) arena.reserve(2 * measuring.peak());
  const ArenaScope scope(arena);
  upload.send(arena, backend);
  const DrawResult out = take_result(arena);
  backend.draw(out, logits, {upload.at(draws), upload.at(biases), upload.at(counts), upload.at(masks)});
  return fetch(backend, out, logits.cols);
}

}  // namespace fettle
