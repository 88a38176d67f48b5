#include "evaluate/vote_table.h"

#include <gtest/gtest.h>

namespace fettle::evaluate {
namespace {

TEST(VoteTable, WilsonsIntervalIsThePublishedOne) {
  // Newcombe 1998, table I: 81 of 263 and 0 of 20.
  EXPECT_NEAR(wilson(81.0 / 263, 263).low, 0.2553, 5e-5);
  EXPECT_NEAR(wilson(81.0 / 263, 263).high, 0.3662, 5e-5);
  EXPECT_NEAR(wilson(0.0, 20).high, 0.1611, 5e-5);
}

TEST(VoteTable, CountsEachModelAndEachPair) {
  VoteTable table;
  table.add("b", "a", 1);
  table.add("a", "b", 0);
  table.add("a", "a", 1);
  const Json json = table.to_json();
  EXPECT_EQ(json["votes"], 3);
  ASSERT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][0]["model"], "a");
  EXPECT_EQ(json["models"][0]["win_rate"], 0.25);
  EXPECT_EQ(json["models"][1]["wins"], 1);
  ASSERT_EQ(json["pairs"].size(), 1u);
  EXPECT_EQ(json["pairs"][0]["b_wins"], 1);
  EXPECT_EQ(json["pairs"][0]["ties"], 1);
}

}  // namespace
}  // namespace fettle::evaluate
