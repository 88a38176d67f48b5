#include "evaluate/pair_scores.h"

#include <gtest/gtest.h>

namespace fettle::evaluate {
namespace {

TEST(PairScores, TiesCountOneHalf) {
  const std::vector<PairLogp> reference{{-10, -10, 2, 5}, {-8, -4, 2, 2}};
  const std::vector<PairLogp> model{{-8, -11, 2, 5}, {-8, -4, 2, 2}};
  const auto same = compare_pairs(reference, reference, 0.1);
  EXPECT_DOUBLE_EQ(same.reward_accuracy.value, 0.5);
  const auto scores = compare_pairs(model, reference, 0.1);
  EXPECT_DOUBLE_EQ(scores.reward_accuracy.value, 0.75);
  EXPECT_DOUBLE_EQ(scores.logp_accuracy.value, 0.5);
  EXPECT_DOUBLE_EQ(scores.mean_logp_accuracy.value, 0.0);
  EXPECT_NEAR(scores.reward_margin, 0.5 * 0.1 * 3.0, 1e-12);
  EXPECT_NEAR(scores.reward_accuracy.error, std::sqrt(0.75 * 0.25 / 2), 1e-12);
}

}  // namespace
}  // namespace fettle::evaluate
