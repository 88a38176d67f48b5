#include "generate/window_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"

namespace fettle {
namespace {

TEST(WindowPages, AreGivenBackOnceTheyAreOutOfSight) {
  WindowPages pages(8, 4, 6);
  WindowTable table;
  ASSERT_TRUE(pages.grow(table, 10));
  EXPECT_EQ(pages.available(), 5);
  pages.trim(table, 9);  // token 9 sees 4 to 9
  EXPECT_EQ(table.first, 1);
  EXPECT_EQ(pages.available(), 6);
  EXPECT_EQ(pages.row(table, 9), table.pages[1] * 4 + 1);
  ASSERT_TRUE(pages.grow(table, 30));
  EXPECT_FALSE(pages.grow(table, 37));
  pages.release(table);
  EXPECT_EQ(pages.available(), 8);
}

TEST(WindowPages, ABeginningIsAdoptedAsFarAsItsEndIsThere) {
  WindowPages pages(6, 4, 6);
  WindowTable table, other;
  const std::vector<uint64_t> entries{11, 12, 13, 14, 15};
  ASSERT_TRUE(pages.grow(table, 12));
  for (int64_t i = 0; i < 3; ++i) pages.publish(table, i, entries[static_cast<size_t>(i)]);
  EXPECT_EQ(pages.adoptable(entries), 3);
  pages.adopt(other, std::span(entries).first(3));
  EXPECT_EQ(other.first, 1);  // token 12 sees 7 to 12
  EXPECT_EQ(other.pages.size(), 2U);
  pages.release(table);
  pages.release(other);
  ASSERT_TRUE(pages.grow(table, 16));  // three pages were free, one forgets its tokens: the first
  EXPECT_EQ(pages.adoptable(entries), 3);
  EXPECT_EQ(pages.adoptable(std::span(entries).first(1)), 0);
  pages.release(table);
  EXPECT_EQ(pages.available(), 6);
}

/// Random life against a shadow memory: whatever happens, every sequence reads what its window holds.
TEST(WindowPages, EverySequenceKeepsItsWindow) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    const auto window = static_cast<int32_t>(1 + random.below(12));
    const auto count = static_cast<int32_t>(WindowPages::enough(window, 4, 5, 8));
    WindowPages pages(count, 4, window);
    std::vector<int64_t> memory(static_cast<size_t>(count) * 4, -1);
    struct Life {
      WindowTable table;
      int64_t length = 0;
      int64_t name = 0;
    };
    std::vector<Life> alive;
    for (int step = 0; step < 1000; ++step) {
      const uint64_t action = random.below(8);
      if (action == 0 && alive.size() < 5) {
        alive.push_back({{}, 0, int64_t{1000} * (step + 1)});
      } else if (action == 1 && !alive.empty()) {
        const size_t which = random.below(alive.size());
        pages.release(alive[which].table);
        alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(which));
      } else if (action == 2 && !alive.empty() && alive.size() < 5) {
        Life branch{{}, alive[0].length, alive[0].name};
        const auto copy = pages.branch(alive[0].table, branch.table, branch.length);
        ASSERT_TRUE(copy.has_value());
        for (int32_t i = 0; i < copy->rows; ++i)
          memory[static_cast<size_t>(copy->to_row + i)] = memory[static_cast<size_t>(copy->from_row + i)];
        alive.push_back(branch);
      } else if (!alive.empty()) {
        Life& life = alive[random.below(alive.size())];
        const int64_t end = life.length + 1 + static_cast<int64_t>(random.below(8));
        ASSERT_TRUE(pages.grow(life.table, end)) << "enough() was not";
        for (int64_t p = life.length; p < end; ++p) memory[static_cast<size_t>(pages.row(life.table, p))] = p;
        life.length = end;
        pages.trim(life.table, end);
      }
      for (const Life& life : alive) {
        for (int64_t p = std::max<int64_t>(0, life.length - window + 1); p < life.length; ++p)
          ASSERT_EQ(memory[static_cast<size_t>(pages.row(life.table, p))], p) << "seed " << seed << " step " << step;
      }
    }
    for (Life& life : alive) pages.release(life.table);
    EXPECT_EQ(pages.available(), count);
  }
}

}  // namespace
}  // namespace fettle
