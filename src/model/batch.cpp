#include "model/batch.h"

#include <algorithm>

namespace fettle {
namespace {

/// Tokens of one sequence from position `first`; returns the row of the first.
int32_t append_tokens(Batch& batch, std::span<const int32_t> tokens, int32_t first) {
  const int32_t row = batch.size();
  batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
  for (size_t i = 0; i < tokens.size(); ++i) batch.positions.push_back(first + static_cast<int32_t>(i));
  return row;
}

void add_label(Batch& batch, int32_t row, int32_t label) {
  batch.label_rows.push_back(row);
  batch.labels.push_back(label);
}

}  // namespace

void Batch::clear() {
  tokens.clear();
  positions.clear();
  spans.clear();
  ranges.clear();
  label_rows.clear();
  labels.clear();
}

int64_t append_sequence(Batch& batch, std::span<const int32_t> tokens, std::span<const uint8_t> supervised) {
  FETTLE_CHECK(!tokens.empty());
  FETTLE_CHECK(supervised.empty() || supervised.size() == tokens.size());
  const auto first_label = static_cast<int64_t>(batch.labels.size());
  const int32_t begin = append_tokens(batch, tokens, 0);
  const auto no_range = static_cast<int32_t>(batch.ranges.size());
  batch.spans.push_back({begin, batch.size(), begin, no_range, no_range});
  for (size_t t = 1; t < tokens.size(); ++t) {
    if (supervised.empty() || supervised[t] != 0)
      add_label(batch, begin + static_cast<int32_t>(t) - 1, tokens[t]);
  }
  return first_label;
}

int64_t SharedSequences::append(std::span<const int32_t> tokens, int64_t shared, std::span<const uint8_t> supervised) {
  FETTLE_CHECK(!tokens.empty() && supervised.size() == tokens.size());
  std::vector<KeyRange> places;
  int64_t left = shared;
  for (const KeyRange& place : places_) {
    if (left == 0) break;
    const auto taken = static_cast<int32_t>(std::min<int64_t>(left, place.end - place.begin));
    places.push_back({place.begin, place.begin + taken});
    left -= taken;
  }
  FETTLE_CHECK(left == 0 && shared <= static_cast<int64_t>(tokens.size()));
  if (shared < static_cast<int64_t>(tokens.size())) {
    const auto range = static_cast<int32_t>(batch_.ranges.size());
    batch_.ranges.insert(batch_.ranges.end(), places.begin(), places.end());
    const int32_t begin =
        append_tokens(batch_, tokens.subspan(static_cast<size_t>(shared)), static_cast<int32_t>(shared));
    batch_.spans.push_back({begin, batch_.size(), begin, range, static_cast<int32_t>(batch_.ranges.size())});
    places.push_back({begin, batch_.size()});
  }
  const auto first_label = static_cast<int64_t>(batch_.labels.size());
  size_t t = 1;  // the token behind the row
  for (const KeyRange& place : places) {
    for (int32_t row = place.begin; row < place.end && t < tokens.size(); ++row, ++t) {
      if (supervised[t] != 0) add_label(batch_, row, tokens[t]);
    }
  }
  places_ = std::move(places);
  return first_label;
}

int64_t append_shared_prompt(Batch& batch, std::span<const int32_t> prompt,
                             std::span<const std::span<const int32_t>> continuations) {
  FETTLE_CHECK(!prompt.empty());
  const auto first_label = static_cast<int64_t>(batch.labels.size());
  const int32_t begin = append_tokens(batch, prompt, 0);
  const int32_t prompt_end = batch.size();
  const auto range = static_cast<int32_t>(batch.ranges.size());
  batch.spans.push_back({begin, prompt_end, begin, range, range});
  batch.ranges.push_back({begin, prompt_end});
  for (const std::span<const int32_t> continuation : continuations) {
    if (continuation.empty()) continue;
    const int32_t row = append_tokens(batch, continuation, static_cast<int32_t>(prompt.size()));
    batch.spans.push_back({row, batch.size(), row, range, range + 1});
    add_label(batch, prompt_end - 1, continuation[0]);
    for (size_t t = 1; t < continuation.size(); ++t) {
      add_label(batch, row + static_cast<int32_t>(t) - 1, continuation[t]);
    }
  }
  return first_label;
}

}  // namespace fettle
