// What a run says about its rows before the first step.
#include "train/rows.h"

#include <cmath>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "train/micro_batch.h"
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

/// Tokens that lie on the disk, and what runs do with them.
class TokensOnDisk : public TrainingRows {
 protected:
  std::vector<fs::path> sets() const {
    std::vector<fs::path> found;
    for (const auto& one : data::list_cached_tokens(root() / "cache" / "tokens")) found.push_back(one.folder);
    return found;
  }
};

TEST_F(TokensOnDisk, RunsShareThemAndOneWithoutThemEndsWithTheSameBits) {
  run(config("sft", "a"));
  ASSERT_EQ(sets().size(), 1u);
  const auto manifest = data::manifest_path(sets()[0]);
  const auto time = fs::last_write_time(manifest);
  run(config("sft", "b", {{"learning_rate", 1e-3}, {"per_sequence_loss", true}}));
  EXPECT_EQ(sets().size(), 1u) << "what the rows are does not depend on how they are weighed";
  EXPECT_EQ(fs::last_write_time(manifest), time);
  run(config("sft", "c", {{"max_length", 48}}));
  EXPECT_EQ(sets().size(), 2u);
  fs::remove_all(root() / "cache");
  run(config("sft", "d"));
  EXPECT_EQ(timeless(bytes("d/metrics.jsonl")), timeless(bytes("a/metrics.jsonl")));
  EXPECT_EQ(bytes("d/rejected.jsonl"), bytes("a/rejected.jsonl"));
}

TEST_F(TokensOnDisk, RejectedRowsAreWrittenByARunThatFindsThem) {
  const auto path = write("some.jsonl", {{{"prompt", "Q"}, {"completion", "yes"}}, {{"prompt", "no answer"}}, {{"odd", 1}}});
  for (const char* out : {"first", "second"}) run(config("sft", out, {{"data", path}, {"steps", 1}}));
  EXPECT_EQ(bytes("first/rejected.jsonl"), bytes("second/rejected.jsonl"));
  EXPECT_NE(bytes("second/rejected.jsonl").find("{\"odd\":1}"), std::string::npos) << bytes("second/rejected.jsonl");
  for (const auto& part : fs::directory_iterator(sets()[0]))
    EXPECT_EQ(read_file(part.path()).find("{\\\"odd\\\":1}"), std::string::npos) << "the text lies with the user's data";
}

TEST_F(TokensOnDisk, ARunThatGoesOnLeavesItsRejectedRowsAlone) {
  const auto path = write("some.jsonl", {{{"prompt", "Q"}, {"completion", "yes"}}, {{"odd", 1}}});
  const auto json = config("sft", "out", {{"data", path}, {"steps", 1}});
  run(json);
  const auto file = root() / "out" / "rejected.jsonl";
  const auto time = fs::last_write_time(file);
  const auto written = read_file(file);
  auto longer = json;
  longer["save_every"] = 5;
  run(longer);
  EXPECT_EQ(fs::last_write_time(file), time);
  write_file(file, "something else");
  run(json);
  EXPECT_EQ(read_file(file), written);
}

TEST_F(TokensOnDisk, ThePlanSaysWhereTheyLieAndTheConfigChoosesThePlace) {
  const auto json = config("dpo", "planned", {{"token_cache", (root() / "elsewhere").string()}, {"eval", (root() / "pairs.jsonl").string()}});
  const TrainPlan plan = plan_training(train_config_from_json(json, "test"));
  EXPECT_FALSE(fs::exists(root() / "planned")) << "planning writes nothing but tokens";
  EXPECT_TRUE(plan.token_folder.starts_with((root() / "elsewhere").string())) << plan.token_folder;
  EXPECT_GT(plan.token_bytes, 0);
  EXPECT_NE(plan.describe().find("tokens on disk: "), std::string::npos) << plan.describe();
  EXPECT_FALSE(fs::exists(root() / "cache" / "tokens"));
  // The place is no part of what a run is: it goes on with another.
  run(json);
  auto moved = json;
  moved["token_cache"] = (root() / "third").string();
  EXPECT_TRUE(run(moved).finished_before);
}

TEST_F(TokensOnDisk, WindowsHoldEveryRowOnceAndSmallSetsArePackedAsAWhole) {
  std::vector<Json> rows;
  for (int i = 0; i < 40; ++i) rows.push_back({{"id", std::to_string(i)}, {"prompt", "Q"}, {"completion", std::string(static_cast<size_t>(1 + i % 9), 'a')}});
  TrainConfig settings = train_config_from_json(config("sft", "unused", {{"data", write("many.jsonl", rows)}}), "test");
  const auto chat = ChatTemplate::of(*tokenizer_);
  const TrainRows loaded = load_rows(settings, method_from_name("sft"), settings.data, *tokenizer_, &chat);
  std::vector<int64_t> all(40);
  std::iota(all.begin(), all.end(), 0);
  const auto packed = [&](int64_t window) {
    std::vector<std::vector<int64_t>> batches;
    int64_t tokens = 0;
    EXPECT_TRUE(pack_rows(loaded, all, 128, false, [&](const MicroBatch& micro) {
      EXPECT_LE(micro.batch.size(), 128);
      tokens += micro.batch.size();
      for (batches.emplace_back(); const auto& item : micro.items) batches.back().push_back(item.row);
      return true;
    }, window));
    EXPECT_EQ(tokens, packed_tokens(loaded, all, 128, window));
    return batches;
  };
  EXPECT_EQ(packed(40), packed(packing_window));
  for (const int64_t window : {1, 7, 39}) {
    std::vector<int64_t> seen;
    for (const auto& batch : packed(window)) {
      for (const int64_t row : batch) {
        EXPECT_EQ(row / window, batch.front() / window) << "no batch reaches into the next window";
        seen.push_back(row);
      }
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, all);
  }
}

TEST_F(TokensOnDisk, DamageInTheMiddleOfARunEndsItAndItGoesOn) {
  run(config("sft", "undisturbed"));
  const fs::path part = data::part_path(sets().at(0), 0);
  TrainCallbacks callbacks;
  callbacks.progress = false;
  callbacks.on_step = [&](const StepMetrics& step) {
    if (step.step != 3) return;
    std::string whole = read_file(part);
    for (size_t i = 100; i < whole.size(); i += 8) whole[i] = static_cast<char>(whole[i] ^ 1);
    std::ofstream(part, std::ios::binary | std::ios::in | std::ios::out) << whole;
  };
  const Json json = config("sft", "damaged", {{"save_every", 1}});
  EXPECT_THROW(train(train_config_from_json(json, "test"), callbacks), Error);
  run(json);
  EXPECT_EQ(timeless(bytes("damaged/metrics.jsonl")), timeless(bytes("undisturbed/metrics.jsonl")));
}

}  // namespace
}  // namespace fettle::train
