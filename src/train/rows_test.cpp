// What a run says about its rows before the first step.
#include "train/rows.h"

#include <cmath>

#include "base/error.h"
#include "train/test_model.h"

namespace fettle::train {
namespace {

class TrainingRows : public TrainTest {
 protected:
  std::string write(const std::string& name, const std::vector<Json>& rows) const {
    std::string text;
    for (const auto& row : rows) text += dump_json(row) + "\n";
    write_file(root() / name, text);
    return (root() / name).string();
  }
  static Json judged(int i, const Json& label) {
    return {{"prompt", "Say " + std::to_string(i)}, {"completion", "It is " + std::to_string(i)}, {"label", label}};
  }
};

TEST_F(TrainingRows, JudgedRowsOfOneLabelAreRefused) {
  for (const Json& label : {Json(1), Json("down")}) {
    const auto path = write("one.jsonl", {judged(0, label), judged(1, label), judged(2, label), judged(3, label)});
    try {
      run(config("kto", "one", {{"data", path}}));
      FAIL() << label;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(label == 1 ? "all 4 judged rows are wanted" : "all 4 judged rows are unwanted"), std::string::npos) << error.what();
    }
  }
  // The two answers of a pair have both labels.
  EXPECT_EQ(run(config("kto", "pairs", {{"data", (root() / "pairs.jsonl").string()}, {"steps", 1}})).steps.size(), 1u);
}

TEST_F(TrainingRows, FiguresOfAnAbsentClassAreAbsent) {
  const auto path = write("halves.jsonl", {judged(0, 1), judged(1, 1), judged(2, -1), judged(3, -1)});
  const auto result = run(config("kto", "halves", {{"data", path}, {"batch_size", 2}, {"steps", 2}, {"shuffle", false}}));
  ASSERT_EQ(result.steps.size(), 2u);
  EXPECT_TRUE(std::isnan(result.steps[0].preference->reward_rejected));
  EXPECT_TRUE(std::isnan(result.steps[0].preference->reward_margin));
  EXPECT_FALSE(std::isnan(result.steps[0].preference->reward_chosen));
  const auto metrics = bytes("halves/metrics.jsonl");
  const auto first = Json::parse(metrics.substr(0, metrics.find('\n'))), second = Json::parse(metrics.substr(metrics.find('\n') + 1));
  EXPECT_TRUE(first.contains("logp_chosen") && first.contains("reward_accuracy"));
  EXPECT_FALSE(first.contains("logp_rejected") || first.contains("reward_rejected") || first.contains("reward_margin"));
  EXPECT_TRUE(second.contains("logp_rejected") && !second.contains("reward_chosen"));
}

TEST_F(TrainingRows, HeldOutRowsSeenInTrainingAndEqualAnswersAreCounted) {
  const auto path = write("same.jsonl", {{{"prompt", "Q0"}, {"chosen", "yes"}, {"rejected", "no"}}, {{"prompt", "Q1"}, {"chosen", "yes"}, {"rejected", "yes"}}});
  const auto plan = run(config("dpo", "same", {{"data", path}, {"eval", path}, {"steps", 1}, {"batch_size", 2}})).plan;
  EXPECT_NE(plan.data_report.find("1 pairs have the same chosen and rejected answer"), std::string::npos) << plan.data_report;
  EXPECT_NE(plan.data_report.find("2 of 2 held-out rows stand in the training data too"), std::string::npos) << plan.data_report;
}

TEST_F(TrainingRows, ColumnsAreCountedAndMappingsSaid) {
  const auto path = write("orca.jsonl", {{{"system", "S"}, {"question", "Q0"}, {"chosen", "yes"}, {"rejected", "no"}, {"note", "x"}},
                                         {{"riddle", "Q1"}, {"chosen", "it is"}, {"rejected", "it was"}}});
  const auto report = run(config("dpo", "orca", {{"data", path}, {"steps", 1}, {"batch_size", 2}})).plan.data_report;
  for (const char* part : {"columns found: chosen 2, note 1, question 1, rejected 2, riddle 1, system 1", "columns used: chosen 2, question 1, rejected 2, system 1",
                           "columns ignored: note 1, riddle 1", "question → prompt 1", "columns: {prompt: NAME}", "riddle 1"})
    EXPECT_NE(report.find(part), std::string::npos) << part << " is not in\n" << report;
}

TEST_F(TrainingRows, ToolsThatTheTemplateDoesNotWriteAreSaid) {
  const Json turns = {{{"role", "user"}, {"content", "Time?"}}, {{"role", "assistant"}, {"content", "Ten."}}};
  const auto path = write("tools.jsonl", {{{"messages", turns}, {"tools", {{{"name", "clock"}}}}}, {{"messages", turns}}});
  const auto report = run(config("sft", "tools", {{"data", path}, {"steps", 1}, {"batch_size", 2}})).plan.data_report;
  EXPECT_NE(report.find("1 rows have tools, which the chat template does not write"), std::string::npos) << report;
}

}  // namespace
}  // namespace fettle::train
