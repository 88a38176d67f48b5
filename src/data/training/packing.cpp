#include "data/training/packing.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace fettle::data {
namespace {

void check_lengths(std::span<const int64_t> lengths, int64_t capacity) {
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] <= 0)
      fail("packing", "row {} has {} tokens, a positive number was expected", i, lengths[i]);
    if (lengths[i] > capacity) {
      fail("packing",
           "row {} has {} tokens and does not fit a bin of {}; raise micro_tokens or lower max_length", i,
           lengths[i], capacity);
    }
  }
}

/// Finds the smallest room >= a length in O(log capacity): a segment tree over rooms that counts the bins
/// with each room.
class RoomIndex {
 public:
  explicit RoomIndex(int64_t largest) : bins_(static_cast<size_t>(largest) + 1) {
    while (leaves_ < bins_.size()) leaves_ *= 2;
    counts_.resize(2 * leaves_, 0);
  }
  void add(int64_t room, int64_t bin) {
    bins_[static_cast<size_t>(room)].push_back(bin);
    change(room, 1);
  }
  /// Removes and returns the bin with the smallest room >= `length`, the earliest made last; -1 if there is
  /// none.
  int64_t take(int64_t length) {
    size_t node = leaves_ + static_cast<size_t>(length);
    if (counts_[node] == 0) {
      while (node > 1 && (node % 2 == 1 || counts_[node + 1] == 0)) node /= 2;
      if (node <= 1) return -1;
      ++node;
      while (node < leaves_) node = counts_[2 * node] > 0 ? 2 * node : 2 * node + 1;
    }
    const size_t room = node - leaves_;
    const int64_t bin = bins_[room].back();
    bins_[room].pop_back();
    change(static_cast<int64_t>(room), -1);
    return bin;
  }

 private:
  void change(int64_t room, int delta) {
    for (size_t node = leaves_ + static_cast<size_t>(room); node >= 1; node /= 2) counts_[node] += delta;
  }
  std::vector<std::vector<int64_t>> bins_;  ///< by room
  std::vector<int> counts_;
  size_t leaves_ = 1;
};

}  // namespace

std::vector<Bin> pack_best_fit(std::span<const int64_t> lengths, int64_t capacity) {
  check_lengths(lengths, capacity);
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&](int64_t row) { return lengths[static_cast<size_t>(row)]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length(a) > length(b); });

  std::vector<Bin> bins;
  std::vector<int64_t> rooms;
  RoomIndex index(capacity);
  for (const int64_t row : order) {
    int64_t bin = index.take(length(row));
    if (bin < 0) {
      bin = static_cast<int64_t>(bins.size());
      bins.emplace_back();
      rooms.push_back(capacity);
    }
    bins[static_cast<size_t>(bin)].push_back(row);
    index.add(rooms[static_cast<size_t>(bin)] -= length(row), bin);
  }
  for (auto& bin : bins) std::sort(bin.begin(), bin.end());
  std::sort(bins.begin(), bins.end(), [](const Bin& a, const Bin& b) { return a.front() < b.front(); });
  return bins;
}

std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch, bool shuffled,
                                 std::span<const int64_t> starts) {
  std::vector<int64_t> order(starts.empty() ? static_cast<size_t>(count) : starts.size());
  std::iota(order.begin(), order.end(), 0);
  if (shuffled) {
    Random random(seed, static_cast<uint64_t>(epoch));
    shuffle(order, random);
  }
  if (starts.empty()) return order;
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(count));
  for (const int64_t group : order) {
    const auto next = static_cast<size_t>(group) + 1;
    const int64_t end = next < starts.size() ? starts[next] : count;
    for (int64_t row = starts[next - 1]; row < end; ++row) rows.push_back(row);
  }
  return rows;
}

int64_t steps_per_epoch(int64_t count, int64_t batch_size) {
  FETTLE_CHECK(count > 0 && batch_size > 0);
  return (count + batch_size - 1) / batch_size;
}

BatchRows batch_at(int64_t step, int64_t count, int64_t batch_size, uint64_t seed, bool shuffled,
               std::span<const int64_t> starts) {
  const int64_t steps = steps_per_epoch(count, batch_size);
  BatchRows batch{step / steps, step % steps * batch_size, {}};
  const auto order = epoch_order(count, seed, batch.epoch, shuffled, starts);
  const int64_t end = std::min(count, batch.begin + batch_size);
  batch.rows.assign(order.begin() + batch.begin, order.begin() + end);
  return batch;
}

namespace {

constexpr int64_t groups_between = 1024;

/// A permutation of [0, count) that is a function of seed and epoch: four rounds of a Feistel network over the next even power of
/// two, followed until it leads back into the range.
int64_t permuted(int64_t place, int64_t count, uint64_t seed, uint64_t epoch) {
  int half = 1;
  while ((int64_t{1} << (2 * half)) < count) ++half;
  const uint64_t mask = (uint64_t{1} << half) - 1;
  auto value = static_cast<uint64_t>(place);
  do {
    uint64_t left = value >> half, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t next = left ^ (philox(seed, epoch, round << 32 | right)[0] & mask);
      left = right;
      right = next;
    }
    value = left << half | right;
  } while (value >= static_cast<uint64_t>(count));
  return static_cast<int64_t>(value);
}

}  // namespace

EpochOrder::EpochOrder(int64_t count, uint64_t seed, bool shuffled, std::vector<int64_t> starts, int64_t listed)
    : count_(count), listed_(listed), seed_(seed), shuffle_(shuffled), starts_(std::move(starts)) {}

int64_t EpochOrder::groups() const {
  return starts_.empty() ? count_ : static_cast<int64_t>(starts_.size());
}

int64_t EpochOrder::group_at(int64_t place) const {
  if (!order_.empty()) return order_[static_cast<size_t>(place)];
  return shuffle_ ? permuted(place, groups(), seed_, static_cast<uint64_t>(epoch_)) : place;
}

int64_t EpochOrder::group_size(int64_t group) const {
  if (starts_.empty()) return 1;
  const auto next = static_cast<size_t>(group) + 1;
  return (next < starts_.size() ? starts_[next] : count_) - starts_[next - 1];
}

void EpochOrder::begin_epoch(int64_t epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  order_.clear();
  rows_before_.clear();
  if (shuffle_ && groups() <= listed_) {
    order_.resize(static_cast<size_t>(groups()));
    std::iota(order_.begin(), order_.end(), 0U);
    Random random(seed_, static_cast<uint64_t>(epoch));
    shuffle(order_, random);
  }
  if (starts_.empty()) return;
  int64_t rows = 0;
  for (int64_t place = 0; place < groups(); ++place) {
    if (place % groups_between == 0) rows_before_.push_back(rows);
    rows += group_size(group_at(place));
  }
}

BatchRows EpochOrder::batch(int64_t step, int64_t batch_size) {
  const int64_t steps = steps_per_epoch(count_, batch_size);
  BatchRows batch{step / steps, step % steps * batch_size, {}};
  begin_epoch(batch.epoch);
  const int64_t end = std::min(count_, batch.begin + batch_size);
  int64_t place = batch.begin, before = batch.begin;
  if (!starts_.empty()) {
    const auto next = std::upper_bound(rows_before_.begin(), rows_before_.end(), batch.begin) - 1;
    place = (next - rows_before_.begin()) * groups_between;
    before = *next;
  }
  for (; before < end; ++place) {
    const int64_t group = group_at(place), size = group_size(group), first = starts_.empty() ? group : starts_[static_cast<size_t>(group)];
    for (int64_t i = std::max<int64_t>(0, batch.begin - before); i < std::min(size, end - before); ++i) batch.rows.push_back(first + i);
    before += size;
  }
  return batch;
}

int64_t EpochOrder::memory(int64_t count, int64_t groups, bool shuffle) {
  const int64_t all = groups > 0 ? groups : count;
  return groups * static_cast<int64_t>(sizeof(int64_t)) + (shuffle && all <= most_listed ? all * static_cast<int64_t>(sizeof(uint32_t)) : 0);
}

}  // namespace fettle::data
