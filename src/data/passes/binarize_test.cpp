#include "data/rows/binarize.h"

#include <gtest/gtest.h>

#include <set>

#include "base/python_random.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

// Drawn with CPython 3.11's random module.
TEST(PythonRandom, DrawsWhatPythonDraws) {
  PythonRandom random(42);
  EXPECT_DOUBLE_EQ(random.uniform(), 0.6394267984578837);
  EXPECT_DOUBLE_EQ(random.uniform(), 0.025010755222666936);
  EXPECT_DOUBLE_EQ(random.uniform(), 0.27502931836911926);
  EXPECT_EQ(random.bits(5), 7u);
  EXPECT_EQ(random.bits(64), 13585496030504862185u);
  EXPECT_EQ(random.below(1000), 104u);
  PythonRandom choice(42);
  for (const uint64_t expected : {0, 0, 2, 1, 1, 1, 0, 0}) EXPECT_EQ(choice.below(4), expected);
  std::vector<int> values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  PythonRandom(42).shuffle(values);
  EXPECT_EQ(values, (std::vector<int>{7, 3, 2, 8, 5, 6, 9, 4, 0, 1}));
  PythonRandom large((uint64_t{1} << 40) + 7);
  EXPECT_EQ(large.bits(32), 2635837658u);
  EXPECT_DOUBLE_EQ(large.uniform(), 0.7473242567100844);
  EXPECT_EQ(PythonRandom(0).bits(32), 3626764237u);
}

OrderedJson completion(const char* text, OrderedJson score, std::vector<OrderedJson> ratings = {}) {
  OrderedJson made{
      {"response", text}, {"overall_score", std::move(score)}, {"model", std::string("model-") + text}};
  const std::vector<std::string> aspects{"helpfulness", "honesty", "instruction_following", "truthfulness"};
  for (size_t i = 0; i < ratings.size(); ++i) made["annotations"][aspects[i]] = {{"Rating", ratings[i]}};
  return made;
}

OrderedJson row(const std::vector<OrderedJson>& completions, const char* source = "flan_v2_cot") {
  return {{"source", source}, {"instruction", "Q"}, {"completions", completions}};
}

struct Made {
  std::string chosen, rejected, reason;
  BinarizeReport report;
};

Made binarize(const OrderedJson& one, BinarizeOptions options) {
  Binarizer binarizer(options);
  Made made;
  const auto pair = binarizer.add(one, {}, "row", made.reason);
  made.report = binarizer.report();
  if (!pair) return made;
  EXPECT_EQ(pair->chosen_model, "model-" + pair->example.completion.messages[0].content);
  made.chosen = pair->example.completion.messages[0].content;
  made.rejected = pair->example.rejected.messages[0].content;
  return made;
}

TEST(Binarize, TheBuggyRevisionRejectsTheFirstOrTheThird) {
  const BinarizeOptions beta{BinarizeRule::zephyr_beta};
  const auto usual =
      binarize(row({completion("a", 3), completion("b", 8), completion("c", 2), completion("d", 8)}), beta);
  EXPECT_EQ(usual.chosen, "b");  // the first of the two best
  EXPECT_EQ(usual.rejected, "a");
  const auto first_is_best =
      binarize(row({completion("a", 9), completion("b", 8), completion("c", 2), completion("d", 8)}), beta);
  EXPECT_EQ(first_is_best.chosen, "a");
  EXPECT_EQ(first_is_best.rejected, "c");
}

TEST(Binarize, ZephyrDrawsFromOneSequence) {
  Binarizer binarizer({BinarizeRule::zephyr});
  std::string drawn, reason;
  for (int i = 0; i < 4; ++i) {
    const auto pair =
        binarizer.add(row({completion("a", 3), completion("b", 8), completion("c", 2), completion("d", 9)}),
                      {}, "row", reason);
    ASSERT_TRUE(pair.has_value());
    drawn += pair->rejected_model.back();
  }
  EXPECT_EQ(drawn, "aacb");  // 0, 0, 2, 1
  EXPECT_EQ(binarizer.report().pairs, 4);
  EXPECT_DOUBLE_EQ(binarizer.report().mean_margin, (6 + 6 + 7 + 1) / 4.0);
}

TEST(Binarize, TensThatWereOnesAreRepairedByTheRatings) {
  const auto repaired = binarize(row({completion("a", 10, {1, 2, 2, "N/A"}), completion("b", 7)}), {});
  EXPECT_EQ(repaired.chosen, "b");
  EXPECT_EQ(repaired.report.repaired_tens, 1);
  const auto real = binarize(row({completion("a", 10.0, {5, 5, 4, 5}), completion("b", 7)}), {});
  EXPECT_EQ(real.chosen, "a");
  const auto ambiguous = binarize(row({completion("a", 10, {3, 3, 3, 3}), completion("b", 7)}), {});
  EXPECT_EQ(ambiguous.reason, "fewer than two scored completions");
  EXPECT_EQ(ambiguous.report.ambiguous_tens, 1);
  EXPECT_EQ(
      binarize(row({completion("a", 10, {1, 1, 1, 1}), completion("b", 7)}), {BinarizeRule::zephyr}).chosen,
      "a");
}

TEST(Binarize, TheMeanRuleUsesRatingsAndRejectsWhatIsLower) {
  const BinarizeOptions mean{BinarizeRule::argilla_mean};
  const auto made = binarize(row({completion("a", 9, {"3", "4", "N/A", "3"}),
                                  completion("b", 2, {5, 4, 4, 5}), completion("c", 2, {5, 4, 4, 5})}),
                             mean);
  EXPECT_EQ(made.chosen, "b");
  EXPECT_EQ(made.rejected, "a");
  EXPECT_EQ(binarize(row({completion("a", 1, {3, 3, 3, 3}), completion("b", 2, {3, 3, 3, 3})}), mean).reason,
            "no completion scored lower");
}

TEST(Binarize, DropsAreCountedByReason) {
  EXPECT_EQ(binarize(row({completion("a", 9), completion("b", 2)}, "truthful_qa"), {}).reason,
            "benchmark question (truthful_qa)");
  EXPECT_EQ(binarize(row({completion("a", 9)}), {}).reason, "fewer than two scored completions");
  EXPECT_EQ(binarize(row({completion("a", 9), completion("b", "N/A")}), {}).reason,
            "fewer than two scored completions");
  BinarizeOptions margin;
  margin.min_margin = 2;
  EXPECT_EQ(binarize(row({completion("a", 9), completion("b", 8)}), margin).reason, "margin too small");
  const auto tie = binarize(row({completion("a", 8), completion("b", 8)}), {});
  EXPECT_EQ(tie.report.ties, 1);
  EXPECT_THROW(binarize(OrderedJson{{"instruction", "Q"}, {"completions", "x"}}, {}), Error);
  EXPECT_EQ(binarize_rule_name(BinarizeRule::zephyr_beta), "zephyr-beta");
}

}  // namespace
}  // namespace fettle::data
