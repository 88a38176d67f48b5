#include "data/training/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/random.h"

namespace fettle::data {
namespace {

/// Best-fit decreasing as the definition says it, without an index.
size_t plain_best_fit(std::vector<int64_t> lengths, int64_t capacity) {
  std::sort(lengths.rbegin(), lengths.rend());
  std::vector<int64_t> rooms;
  for (const int64_t length : lengths) {
    auto best = rooms.end();
    for (auto room = rooms.begin(); room != rooms.end(); ++room) {
      if (*room >= length && (best == rooms.end() || *room < *best)) best = room;
    }
    if (best == rooms.end()) best = rooms.insert(rooms.end(), capacity);
    *best -= length;
  }
  return rooms.size();
}

void expect_each_row_once(const std::vector<Bin>& bins, const std::vector<int64_t>& lengths,
                          int64_t capacity) {
  std::vector<int> seen(lengths.size(), 0);
  for (const auto& bin : bins) {
    int64_t filled = 0;
    for (const int64_t row : bin) {
      ++seen[static_cast<size_t>(row)];
      filled += lengths[static_cast<size_t>(row)];
    }
    EXPECT_LE(filled, capacity);
    EXPECT_TRUE(std::is_sorted(bin.begin(), bin.end()));
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
}

TEST(Packing, BestFitKeepsEveryRowAndMatchesTheDefinition) {
  Random random(7);
  for (int round = 0; round < 50; ++round) {
    const int64_t capacity = 1 + static_cast<int64_t>(random.below(300));
    std::vector<int64_t> lengths(random.below(200));
    for (auto& length : lengths)
      length = 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(capacity)));
    const auto bins = pack_best_fit(lengths, capacity);
    expect_each_row_once(bins, lengths, capacity);
    EXPECT_EQ(bins.size(), plain_best_fit(lengths, capacity));
    EXPECT_EQ(bins, pack_best_fit(lengths, capacity));
  }
}

TEST(Packing, BestFitPutsARowWhereItFitsTightest) {
  // After 7 and 6 stand alone, 3 goes beside 7 (room 3), 4 beside 6.
  EXPECT_EQ(pack_best_fit(std::vector<int64_t>{6, 3, 7, 4}, 10), (std::vector<Bin>{{0, 3}, {1, 2}}));
}

TEST(Packing, ManyRowsPackFastAndTight) {
  Random random(1);
  std::vector<int64_t> lengths(300000);
  for (auto& length : lengths) length = 16 + static_cast<int64_t>(random.below(1000));
  const auto bins = pack_best_fit(lengths, 4096);
  const auto filled = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
  EXPECT_GT(filled / (static_cast<double>(bins.size()) * 4096), 0.999);
}

TEST(Packing, ARowThatDoesNotFitIsNamed) {
  const std::vector<int64_t> lengths{3, 11};
  try {
    pack_best_fit(lengths, 10);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("row 1 has 11 tokens"), std::string::npos) << error.what();
  }
  EXPECT_THROW(pack_best_fit(std::vector<int64_t>{0}, 10), Error);
}

TEST(EpochOrder, IsAPermutationThatDependsOnSeedAndEpochAlone) {
  const auto first = epoch_order(1000, 42, 0, true);
  EXPECT_EQ(first, epoch_order(1000, 42, 0, true));
  EXPECT_NE(first, epoch_order(1000, 42, 1, true));
  EXPECT_NE(first, epoch_order(1000, 43, 0, true));
  EXPECT_EQ(std::set<int64_t>(first.begin(), first.end()).size(), 1000u);
  EXPECT_EQ(epoch_order(3, 42, 5, false), (std::vector<int64_t>{0, 1, 2}));
  const std::vector<int64_t> starts{0, 1, 4, 6};
  EXPECT_EQ(epoch_order(7, 42, 5, false, starts), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6}));
  const auto together = epoch_order(7, 42, 5, true, starts);
  EXPECT_EQ(std::set<int64_t>(together.begin(), together.end()).size(), 7u);
  const auto at = [&](int64_t row) { return std::find(together.begin(), together.end(), row) - together.begin(); };
  EXPECT_EQ(at(2), at(1) + 1);
  EXPECT_EQ(at(3), at(2) + 1);
  EXPECT_EQ(at(5), at(4) + 1);
}

TEST(EpochOrder, BatchesCoverEachEpochOnce) {
  EXPECT_EQ(steps_per_epoch(10, 4), 3);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> seen;
    for (int64_t step = 3 * epoch; step < 3 * epoch + 3; ++step) {
      const auto batch = batch_at(step, 10, 4, 42, true);
      EXPECT_EQ(batch.epoch, epoch);
      EXPECT_EQ(batch.begin, static_cast<int64_t>(seen.size()));
      seen.insert(seen.end(), batch.rows.begin(), batch.rows.end());
    }
    EXPECT_EQ(seen, epoch_order(10, 42, epoch, true));
  }
}

TEST(EpochOrder, GivesTheBatchesOfTheListedOrder) {
  std::vector<int64_t> starts;
  for (int64_t row = 0; row < 5000; row += 1 + row % 3) starts.push_back(row);
  for (const bool shuffled : {false, true}) {
    for (const auto& groups : {std::vector<int64_t>{}, starts}) {
      EpochOrder order(5000, 42, shuffled, groups);
      for (const int64_t step : {0, 1, 7, 713, 714, 715, 1500, 3, 714}) {
        const auto expected = batch_at(step, 5000, 7, 42, shuffled, groups), found = order.batch(step, 7);
        EXPECT_EQ(found.rows, expected.rows) << step;
        EXPECT_EQ(found.epoch, expected.epoch);
      }
    }
  }
}

TEST(EpochOrder, BeyondTheListEveryRowComesOnceAnEpochAndGroupsStayTogether) {
  const std::vector<int64_t> starts{0, 2, 3, 6, 7, 11, 12, 20};
  for (const int64_t count : {1, 2, 3, 5, 100, 1000, 4097}) {
    std::vector<std::vector<int64_t>> epochs(2);
    EpochOrder order(count, 9, true, {}, 0);
    for (int64_t step = 0; step < 2 * steps_per_epoch(count, 3); ++step) {
      const auto batch = order.batch(step, 3);
      auto& rows = epochs[static_cast<size_t>(batch.epoch)];
      rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
    }
    if (count > 10) {
      EXPECT_NE(epochs[0], epochs[1]);
    }
    for (auto& rows : epochs) {
      std::sort(rows.begin(), rows.end());
      EXPECT_EQ(rows, epoch_order(count, 0, 0, false));
    }
  }
  EpochOrder order(23, 9, true, starts, 0);
  std::vector<int64_t> rows;
  for (int64_t step = 0; step < 6; ++step) {
    const auto batch = order.batch(step, 4);
    rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
  }
  ASSERT_EQ(rows.size(), 23u);
  for (size_t i = 1; i < rows.size(); ++i) {
    const bool begins = std::find(starts.begin(), starts.end(), rows[i]) != starts.end();
    EXPECT_TRUE(begins || rows[i] == rows[i - 1] + 1) << i;
  }
}

}  // namespace
}  // namespace fettle::data
