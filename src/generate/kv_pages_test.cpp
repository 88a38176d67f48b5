#include "generate/kv_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace fettle {
namespace {

std::vector<int32_t> iota(int32_t count, int32_t from = 0) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

void compute(KvPages& pages, PageTable& table, const std::vector<int32_t>& tokens, uint64_t salt = 0) {
  ASSERT_TRUE(pages.grow(table, static_cast<int64_t>(tokens.size())));
  table.length = static_cast<int64_t>(tokens.size());
  pages.publish(table, salt, tokens);
}

TEST(KvPages, DealsOutWhatThereIs) {
  KvPages pages(4, 8, false);
  PageTable a, b;
  EXPECT_TRUE(pages.grow(a, 17));
  EXPECT_EQ(a.pages, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(pages.row(a, 16), 16);
  EXPECT_FALSE(pages.grow(b, 9));
  EXPECT_TRUE(b.pages.empty());
  EXPECT_TRUE(pages.grow(b, 8));
  EXPECT_EQ(pages.available(), 0);
  pages.release(a);
  EXPECT_EQ(pages.available(), 3);
}

TEST(KvPages, FindsAPrefixInWholePagesAndLeavesOneToken) {
  KvPages pages(8, 4, true);
  PageTable a;
  compute(pages, a, iota(10));
  PageTable b;
  EXPECT_EQ(pages.adopt(b, 0, iota(10)), 8);
  EXPECT_EQ(b.pages, (std::vector<int32_t>{a.pages[0], a.pages[1]}));
  PageTable exact;  // 8 tokens are two whole pages, but the last token must be computed
  EXPECT_EQ(pages.adopt(exact, 0, iota(8)), 4);
  auto other = iota(10);
  other[5] = 99;
  PageTable c;
  EXPECT_EQ(pages.adopt(c, 0, other), 4);
  PageTable later;  // the same tokens as a's second page, but not after the same beginning
  EXPECT_EQ(pages.adopt(later, 0, iota(6, 4)), 0);
  PageTable salted;
  EXPECT_EQ(pages.adopt(salted, 1, iota(10)), 0);
}

TEST(KvPages, ReleasedPagesStayUntilTheyAreNeeded) {
  KvPages pages(4, 4, true);
  PageTable a;
  compute(pages, a, iota(16));
  pages.release(a);
  EXPECT_EQ(pages.available(), 4);
  EXPECT_EQ(pages.cached(), 4);
  PageTable b;
  EXPECT_TRUE(pages.grow(b, 5));  // takes the two at the chain's end
  PageTable c;
  EXPECT_EQ(pages.adopt(c, 0, iota(16)), 8);
  EXPECT_EQ(pages.available(), 0);
}

TEST(KvPages, TheLeastRecentlyUsedChainGoesFirst) {
  KvPages pages(4, 4, true);
  PageTable a, b;
  compute(pages, a, iota(8));
  compute(pages, b, iota(8, 100));
  pages.release(a);
  pages.release(b);
  PageTable again;
  EXPECT_EQ(pages.adopt(again, 0, iota(9)), 8);
  pages.release(again);
  PageTable c;
  EXPECT_TRUE(pages.grow(c, 8));  // b's pages: a's were used since
  PageTable d;
  EXPECT_EQ(pages.adopt(d, 0, iota(9)), 8);
  PageTable e;
  EXPECT_EQ(pages.adopt(e, 0, iota(9, 100)), 0);
}

TEST(KvPages, ABranchCopiesOnlyThePartialPage) {
  KvPages pages(5, 4, true);
  PageTable a;
  compute(pages, a, iota(10));
  PageTable b, c, d;
  const auto copy = pages.branch(a, b);
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->rows, 2);
  EXPECT_EQ(copy->from_row, pages.row(a, 8));
  EXPECT_EQ(copy->to_row, pages.row(b, 8));
  EXPECT_EQ(pages.row(a, 7), pages.row(b, 7));
  EXPECT_NE(pages.row(a, 8), pages.row(b, 8));
  ASSERT_TRUE(pages.branch(a, c).has_value());
  EXPECT_FALSE(pages.branch(a, d).has_value());
  EXPECT_TRUE(d.pages.empty());
  pages.release(a);
  pages.release(c);
  EXPECT_EQ(pages.row(b, 0), 0);  // b still holds the whole pages
  EXPECT_EQ(pages.available(), 2);
}

/// Random life against a shadow memory: whatever happens, every sequence reads its own tokens back.
TEST(KvPages, EverySequenceKeepsItsContent) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Random random(seed);
    KvPages pages(24, 4, seed % 3 != 0);
    std::vector<int32_t> memory(24 * 4, -1);
    struct Sequence {
      std::vector<int32_t> tokens;
      PageTable table;
    };
    std::vector<Sequence> alive;
    const auto advance = [&](Sequence& s) {
      if (!pages.grow(s.table, static_cast<int64_t>(s.tokens.size()))) return false;
      for (auto p = s.table.length; p < static_cast<int64_t>(s.tokens.size()); ++p) {
        memory[static_cast<size_t>(pages.row(s.table, p))] = s.tokens[static_cast<size_t>(p)];
      }
      s.table.length = static_cast<int64_t>(s.tokens.size());
      pages.publish(s.table, 0, s.tokens);
      return true;
    };
    int adopted = 0;
    for (int step = 0; step < 2000; ++step) {
      const uint64_t action = random.below(10);
      if (action < 3 && alive.size() < 8) {
        Sequence s;
        const auto length = 1 + random.below(14);
        for (uint64_t i = 0; i < length; ++i)
          s.tokens.push_back(static_cast<int32_t>(random.below(i % 4 == 0 ? 2 : 1)));
        adopted += pages.adopt(s.table, 0, s.tokens) > 0;
        if (advance(s)) {
          alive.push_back(std::move(s));
        } else {
          pages.release(s.table);
        }
      } else if (action < 5 && !alive.empty()) {
        const size_t which = random.below(alive.size());
        pages.release(alive[which].table);
        alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(which));
      } else if (action == 5 && !alive.empty() && alive.size() < 8) {
        Sequence s{alive[random.below(alive.size())].tokens, {}};
        const auto& from =
            *std::find_if(alive.begin(), alive.end(), [&](auto& a) { return a.tokens == s.tokens; });
        if (const auto copy = pages.branch(from.table, s.table)) {
          for (int32_t i = 0; i < copy->rows; ++i) {
            memory[static_cast<size_t>(copy->to_row + i)] = memory[static_cast<size_t>(copy->from_row + i)];
          }
          alive.push_back(std::move(s));
        }
      } else if (!alive.empty()) {
        Sequence& s = alive[random.below(alive.size())];
        s.tokens.push_back(static_cast<int32_t>(random.below(3)));
        if (!advance(s)) s.tokens.pop_back();
      }
      for (const Sequence& s : alive) {
        for (int64_t p = 0; p < s.table.length; ++p) {
          ASSERT_EQ(memory[static_cast<size_t>(pages.row(s.table, p))], s.tokens[static_cast<size_t>(p)])
              << "seed " << seed << " step " << step;
        }
      }
    }
    if (seed % 3 != 0) {
      EXPECT_GT(adopted, 20) << "the cache was hardly tried";
    }
    for (Sequence& s : alive) pages.release(s.table);
    EXPECT_EQ(pages.available(), 24);
  }
}

}  // namespace
}  // namespace fettle
