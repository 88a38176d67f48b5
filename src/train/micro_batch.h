#pragma once
// Rows of an optimiser step as packed batches of bounded size, and where each row's log-probabilities stand
// in them.
#include <functional>
#include <span>
#include <vector>

#include "model/batch.h"
#include "train/rows.h"

namespace fettle::train {

/// An answer under a prompt: of a row its own, or (for kto's KL) that of another row.
struct Pairing {
  int64_t prompt_row, answer_row;
};

struct MicroBatch {
  /// Labels [begin, begin + count) of the batch.
  struct Run {
    int64_t begin = 0, count = 0;
    std::span<const float> of(std::span<const float> logp) const { return logp.subspan(begin, count); }
    std::span<float> of(std::span<float> gradient) const { return gradient.subspan(begin, count); }
  };
  struct Item {
    int64_t row;  ///< index into TrainRows, or into the pairings
    Run prompt, chosen, rejected;
  };
  Batch batch;
  std::vector<Item> items;

  int64_t labels() const { return static_cast<int64_t>(batch.labels.size()); }
};

/// So many rows are packed at a time: what is packed looks no further ahead, and takes no more memory, however many there are.
constexpr int64_t packing_window = int64_t{1} << 16;

/// Gets one batch after another; false ends it.
using TakeMicroBatch = std::function<bool(const MicroBatch&)>;

/// The rows packed best-fit into batches of at most `capacity` tokens (a longer row is an assertion), made one at a time. A
/// pair's prompt stands in the batch once, and so does what neighbouring rows of one conversation share. prompt_labels: prompt
/// tokens are labels too. False when `take` ended it.
bool pack_rows(const TrainRows& rows, std::span<const int64_t> indices, int64_t capacity, bool prompt_labels, const TakeMicroBatch& take,
               int64_t window = packing_window);

/// The same for prompts with other rows' answers (in `chosen`).
bool pack_pairings(const TrainRows& rows, std::span<const Pairing> pairings, int64_t capacity, const TakeMicroBatch& take,
                   int64_t window = packing_window);

/// Tokens of all the batches that pack_rows makes of these rows.
int64_t packed_tokens(const TrainRows& rows, std::span<const int64_t> indices, int64_t capacity, int64_t window = packing_window);

/// kto's mismatched pairs of one step: each prompt with the answer of the row before it, the first with that
/// of the last.
std::vector<Pairing> rotated(std::span<const int64_t> indices);

}  // namespace fettle::train
