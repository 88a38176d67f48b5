#include "train/micro_batch.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/training/packing.h"

namespace fettle::train {
namespace {

void append_prompt_labels(MicroBatch& to, int32_t first_row, std::span<const int32_t> prompt,
                          MicroBatch::Run& run) {
  run = {to.labels(), static_cast<int64_t>(prompt.size()) - 1};
  for (size_t t = 1; t < prompt.size(); ++t) {
    to.batch.label_rows.push_back(first_row + static_cast<int32_t>(t) - 1);
    to.batch.labels.push_back(prompt[t]);
  }
}

void append_answers(MicroBatch& to, const TrainRow& prompt, const TrainRow& answer, bool prompt_labels,
                    MicroBatch::Item item) {
  const std::vector<std::span<const int32_t>> answers =
      answer.rejected.empty() ? std::vector<std::span<const int32_t>>{answer.chosen}
                              : std::vector<std::span<const int32_t>>{answer.chosen, answer.rejected};
  const int32_t first_row = to.batch.size();
  item.chosen = {append_shared_prompt(to.batch, prompt.prompt, answers),
                 static_cast<int64_t>(answer.chosen.size())};
  item.rejected = {item.chosen.begin + item.chosen.count, static_cast<int64_t>(answer.rejected.size())};
  if (prompt_labels) append_prompt_labels(to, first_row, prompt.prompt, item.prompt);
  to.items.push_back(item);
}

std::vector<uint8_t> supervised_tokens(const TrainRow& row) {
  std::vector<uint8_t> supervised(row.weights.size());
  for (size_t t = 0; t < supervised.size(); ++t) supervised[t] = row.weights[t] != 0.0F;
  return supervised;
}

void append_row(MicroBatch& to, const TrainRow& row, int64_t index, bool prompt_labels) {
  if (!row.prompt.empty()) {
    append_answers(to, row, row, prompt_labels, {.row = index});
    return;
  }
  const int64_t begin = append_sequence(to.batch, row.chosen, supervised_tokens(row));
  to.items.push_back({.row = index, .chosen = {begin, to.labels() - begin}});
}

/// Rows [first, first + count) of a step that stand in one batch, and their tokens there.
struct Unit {
  int64_t first, count, tokens;
};

/// Neighbouring rows of a conversation share what they begin with, as far as the capacity goes.
std::vector<Unit> units_of(const TrainRows& rows, std::span<const int64_t> indices, int64_t capacity) {
  std::vector<Unit> units;
  TrainRow before;
  for (size_t i = 0; i < indices.size(); ++i) {
    TrainRow row = rows.row(indices[i]);
    const int64_t shared = i > 0 ? shared_tokens(before, row) : 0;
    if (shared > 0 && units.back().tokens + row.tokens() - shared <= capacity) {
      ++units.back().count;
      units.back().tokens += row.tokens() - shared;
    } else {
      units.push_back({static_cast<int64_t>(i), 1, row.tokens()});
    }
    before = std::move(row);
  }
  return units;
}

void append_unit(MicroBatch& to, const TrainRows& rows, std::span<const int64_t> indices, bool prompt_labels) {
  TrainRow before = rows.row(indices[0]);
  if (indices.size() == 1) return append_row(to, before, indices[0], prompt_labels);
  SharedSequences sequences(to.batch);
  for (size_t i = 0; i < indices.size(); ++i) {
    TrainRow row = i == 0 ? before : rows.row(indices[i]);
    const int64_t shared = i == 0 ? 0 : shared_tokens(before, row);
    const int64_t begin = sequences.append(row.chosen, shared, supervised_tokens(row));
    to.items.push_back({.row = indices[i], .chosen = {begin, to.labels() - begin}});
    before = std::move(row);
  }
}

template <typename Append>
bool pack(std::span<const int64_t> lengths, int64_t capacity, const TakeMicroBatch& take, Append append) {
  for (const data::Bin& bin : data::pack_best_fit(lengths, capacity)) {
    MicroBatch micro;
    for (const int64_t i : bin) append(micro, static_cast<size_t>(i));
    if (!take(micro)) return false;
  }
  return true;
}

/// The part of `all` that begins at `begin`.
template <typename T>
std::span<const T> window_at(std::span<const T> all, size_t begin, int64_t window) {
  return all.subspan(begin, std::min(static_cast<size_t>(window), all.size() - begin));
}

}  // namespace

bool pack_rows(const TrainRows& rows, std::span<const int64_t> indices, int64_t capacity, bool prompt_labels, const TakeMicroBatch& take, int64_t window) {
  for (size_t begin = 0; begin < indices.size(); begin += static_cast<size_t>(window)) {
    const auto part = window_at(indices, begin, window);
    const std::vector<Unit> units = units_of(rows, part, capacity);
    std::vector<int64_t> lengths;
    for (const Unit& unit : units) lengths.push_back(unit.tokens);
    const bool goes_on = pack(lengths, capacity, take, [&](MicroBatch& to, size_t i) {
      append_unit(to, rows, part.subspan(static_cast<size_t>(units[i].first), static_cast<size_t>(units[i].count)), prompt_labels);
    });
    if (!goes_on) return false;
  }
  return true;
}

int64_t packed_tokens(const TrainRows& rows, std::span<const int64_t> indices, int64_t capacity, int64_t window) {
  int64_t tokens = 0;
  for (size_t begin = 0; begin < indices.size(); begin += static_cast<size_t>(window))
    for (const Unit& unit : units_of(rows, window_at(indices, begin, window), capacity)) tokens += unit.tokens;
  return tokens;
}

bool pack_pairings(const TrainRows& rows, std::span<const Pairing> pairings, int64_t capacity, const TakeMicroBatch& take, int64_t window) {
  for (size_t begin = 0; begin < pairings.size(); begin += static_cast<size_t>(window)) {
    const auto part = window_at(pairings, begin, window);
    std::vector<int64_t> lengths;
    for (const Pairing& pairing : part)
      lengths.push_back(static_cast<int64_t>(rows.row(pairing.prompt_row).prompt.size() + rows.row(pairing.answer_row).chosen.size()));
    const bool goes_on = pack(lengths, capacity, take, [&](MicroBatch& to, size_t i) {
      append_answers(to, rows.row(part[i].prompt_row), rows.row(part[i].answer_row), false, {.row = static_cast<int64_t>(begin + i)});
    });
    if (!goes_on) return false;
  }
  return true;
}

std::vector<Pairing> rotated(std::span<const int64_t> indices) {
  std::vector<Pairing> result;
  for (size_t i = 0; i < indices.size(); ++i)
    result.push_back({indices[i], indices[(i + indices.size() - 1) % indices.size()]});
  return result;
}

}  // namespace fettle::train
