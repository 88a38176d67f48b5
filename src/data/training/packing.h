#pragma once
// Which rows go into which bin of tokens, and in which order an epoch visits the rows. Pure functions: the
// position of a run in its data is (epoch, index) alone.
#include <cstdint>
#include <span>
#include <vector>

namespace fettle::data {

using Bin = std::vector<int64_t>;  ///< indices into `lengths`, ascending

/// Best-fit decreasing: the longest first, each into the fullest bin that still holds it. O(n log capacity).
/// No row is split; deterministic (ties by index). Bins come ordered by their smallest index. Error when a
/// row is longer than `capacity`, or a length is not positive.
std::vector<Bin> pack_best_fit(std::span<const int64_t> lengths, int64_t capacity);

/// The rows of one epoch in visiting order: 0..count-1, shuffled by (seed, epoch) unless `shuffle` is false.
/// Rows from one of `starts` (ascending, the first 0) up to the next stay together; without them each goes alone.
std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch, bool shuffle,
                                 std::span<const int64_t> starts = {});

/// The rows of optimiser step `step` (0-based, over all epochs) with `batch_size` rows a step: an epoch's
/// last batch may be smaller, none spans two epochs.
struct BatchRows {
  int64_t epoch = 0;
  int64_t begin = 0;  ///< index into the epoch's order
  std::vector<int64_t> rows;
};
int64_t steps_per_epoch(int64_t count, int64_t batch_size);
BatchRows batch_at(int64_t step, int64_t count, int64_t batch_size, uint64_t seed, bool shuffle,
               std::span<const int64_t> starts = {});

/// The same batches for step after step, without working the order out each time. Beyond `most_listed` rows (or groups of rows) the
/// order of an epoch is not a list in memory but a permutation that is computed place by place: another one, and as even.
/// Not thread-safe.
class EpochOrder {
 public:
  static constexpr int64_t most_listed = int64_t{1} << 25;
  EpochOrder() = default;
  EpochOrder(int64_t count, uint64_t seed, bool shuffle, std::vector<int64_t> starts, int64_t listed = most_listed);
  BatchRows batch(int64_t step, int64_t batch_size);
  /// What the order will take, of so many rows in so many groups (0: each row alone).
  static int64_t memory(int64_t count, int64_t groups, bool shuffle);

 private:
  void begin_epoch(int64_t epoch);
  int64_t groups() const;
  int64_t group_at(int64_t place) const;  ///< which group comes there
  int64_t group_size(int64_t group) const;

  int64_t count_ = 0, listed_ = most_listed, epoch_ = -1;
  uint64_t seed_ = 0;
  bool shuffle_ = false;
  std::vector<int64_t> starts_;
  std::vector<uint32_t> order_;       ///< empty where places are computed
  std::vector<int64_t> rows_before_;  ///< rows before every 1024th group of the order
};

}  // namespace fettle::data
