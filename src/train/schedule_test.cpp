#include "train/schedule.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace fettle::train {
namespace {

TEST(Schedule, FactorsOfTransformers) {
  const Json cases = read_json("tests/golden/train/schedules.json");
  ASSERT_GT(cases.size(), 20U);
  for (const Json& item : cases) {
    const Json& keys = item["keys"];
    ScheduleSettings schedule;
    schedule.name = keys["name"];
    schedule.warmup = keys["warmup"];
    schedule.decay = keys.value("decay", 0.1);
    schedule.final = keys.value("final", 0.0);
    const int64_t steps = item["steps"];
    for (int64_t step = 0; step < steps; ++step)
      EXPECT_NEAR(schedule_factor(schedule, step, steps),
                  item["factors"][static_cast<size_t>(step)].get<double>(), 1e-12)
          << keys.dump() << " step " << step;
  }
}

TEST(Schedule, LinearReachesItsFinalFactor) {
  const ScheduleSettings schedule{.name = "linear", .final = 0.25};
  EXPECT_DOUBLE_EQ(schedule_factor(schedule, 0, 10), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(schedule, 5, 10), 0.625);
  EXPECT_DOUBLE_EQ(schedule_factor(schedule, 10, 10), 0.25);
}

TEST(Schedule, RatiosRoundUpAndCountsStay) {
  EXPECT_EQ(schedule_steps(0.1, 23), 3);
  EXPECT_EQ(schedule_steps(7, 23), 7);
  EXPECT_EQ(schedule_steps(0.0, 23), 0);
}

}  // namespace
}  // namespace fettle::train
