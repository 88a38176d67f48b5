#include "train/micro_batch.h"

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
  for (size_t i = 0; i < indices.size(); ++i) {
    const TrainRow& row = rows.rows[static_cast<size_t>(indices[i])];
    if (i > 0) {
      const int64_t shared = shared_tokens(rows.rows[static_cast<size_t>(indices[i - 1])], row);
      if (shared > 0 && units.back().tokens + row.tokens() - shared <= capacity) {
        ++units.back().count;
        units.back().tokens += row.tokens() - shared;
        continue;
      }
    }
    units.push_back({static_cast<int64_t>(i), 1, row.tokens()});
  }
  return units;
}

void append_unit(MicroBatch& to, const TrainRows& rows, std::span<const int64_t> indices, bool prompt_labels) {
  const auto row = [&](size_t i) -> const TrainRow& { return rows.rows[static_cast<size_t>(indices[i])]; };
  if (indices.size() == 1) return append_row(to, row(0), indices[0], prompt_labels);
  SharedSequences sequences(to.batch);
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t shared = i == 0 ? 0 : shared_tokens(row(i - 1), row(i));
    const int64_t begin = sequences.append(row(i).chosen, shared, supervised_tokens(row(i)));
    to.items.push_back({.row = indices[i], .chosen = {begin, to.labels() - begin}});
  }
}

template <typename Length, typename Append>
std::vector<MicroBatch> pack(int64_t count, int64_t capacity, Length length, Append append) {
  std::vector<int64_t> lengths(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) lengths[static_cast<size_t>(i)] = length(i);
  std::vector<MicroBatch> result;
  for (const data::Bin& bin : data::pack_best_fit(lengths, capacity)) {
    MicroBatch& micro = result.emplace_back();
    for (const int64_t i : bin) append(micro, i);
  }
  return result;
}

}  // namespace

std::vector<MicroBatch> pack_rows(const TrainRows& rows, std::span<const int64_t> indices, int64_t capacity,
                                  bool prompt_labels) {
  const std::vector<Unit> units = units_of(rows, indices, capacity);
  const auto unit = [&](int64_t i) -> const Unit& { return units[static_cast<size_t>(i)]; };
  return pack(
      static_cast<int64_t>(units.size()), capacity, [&](int64_t i) { return unit(i).tokens; },
      [&](MicroBatch& to, int64_t i) {
        append_unit(to, rows, indices.subspan(static_cast<size_t>(unit(i).first), static_cast<size_t>(unit(i).count)),
                    prompt_labels);
      });
}

std::vector<MicroBatch> pack_pairings(const TrainRows& rows, std::span<const Pairing> pairings,
                                      int64_t capacity) {
  const auto prompt = [&](int64_t i) -> const TrainRow& {
    return rows.rows[static_cast<size_t>(pairings[static_cast<size_t>(i)].prompt_row)];
  };
  const auto answer = [&](int64_t i) -> const TrainRow& {
    return rows.rows[static_cast<size_t>(pairings[static_cast<size_t>(i)].answer_row)];
  };
  return pack(
      static_cast<int64_t>(pairings.size()), capacity,
      [&](int64_t i) { return static_cast<int64_t>(prompt(i).prompt.size() + answer(i).chosen.size()); },
      [&](MicroBatch& to, int64_t i) { append_answers(to, prompt(i), answer(i), false, {.row = i}); });
}

std::vector<Pairing> rotated(std::span<const int64_t> indices) {
  std::vector<Pairing> result;
  for (size_t i = 0; i < indices.size(); ++i)
    result.push_back({indices[i], indices[(i + indices.size() - 1) % indices.size()]});
  return result;
}

}  // namespace fettle::train
