#include "generate/score.h"

#include <gtest/gtest.h>

#include "generate/test_support.h"

namespace fettle {
namespace {

using test::random_prompt;
using test::SmallModel;

/// One row in a batch of its own.
Score score_plainly(Decoder& decoder, const ScoreRow& row) {
  std::vector<int32_t> all = row.prompt;
  all.insert(all.end(), row.completion.begin(), row.completion.end());
  std::vector<uint8_t> supervised(row.prompt.size(), 0);
  supervised.resize(all.size(), 1);
  Batch batch;
  append_sequence(batch, all, supervised);
  Score result;
  if (row.completion.empty()) return result;
  std::vector<float> logp(row.completion.size());
  std::vector<int32_t> best(row.completion.size());
  decoder.score(batch, logp, best);
  result.logps = logp;
  for (const float x : logp) result.logp += double{x};
  result.tokens = static_cast<int64_t>(logp.size());
  result.greedy = best == row.completion;
  return result;
}

TEST(Score, PackingChangesNothing) {
  SmallModel model;
  std::vector<ScoreRow> rows;
  for (uint64_t i = 0; i < 40; ++i) {
    // Runs of rows with one prompt, as multiple choice has them.
    rows.push_back({random_prompt(static_cast<int32_t>(1 + 11 * (i / 4 % 5)), i / 4),
                    random_prompt(static_cast<int32_t>(i % 9), i)});
  }
  rows[7].completion = test::greedy_by_scoring(model.decoder, rows[7].prompt, 6);
  for (const int64_t batch_tokens : {1, 64, 4096}) {
    ScoreOptions options;
    options.batch_tokens = batch_tokens;
    int64_t progress = 0;
    options.on_progress = [&](int64_t count) { progress += count; };
    const auto scores = score(model.decoder, rows, options);
    EXPECT_EQ(progress, 40);
    for (size_t i = 0; i < rows.size(); ++i) {
      const Score expected = score_plainly(model.decoder, rows[i]);
      EXPECT_EQ(scores[i].tokens, expected.tokens);
      EXPECT_EQ(scores[i].greedy, expected.greedy) << i;
      EXPECT_NEAR(scores[i].logp, expected.logp, 1e-4);
      ASSERT_EQ(scores[i].logps.size(), expected.logps.size());
      for (size_t t = 0; t < expected.logps.size(); ++t)
        EXPECT_NEAR(scores[i].logps[t], expected.logps[t], 1e-4F);
    }
    EXPECT_TRUE(scores[7].greedy);
  }
}

TEST(Score, BrokenRowsAreNamed) {
  SmallModel model;
  const auto message = [&](const ScoreRow& row) {
    const std::vector<ScoreRow> rows{{{5}, {6}}, row};
    try {
      score(model.decoder, rows);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message({{5}, {}}), "");
  EXPECT_NE(message({{}, {5}}).find("row 2"), std::string::npos);
  EXPECT_NE(message({{5}, {1000}}).find("row 2"), std::string::npos);
  EXPECT_NE(message({random_prompt(100, 1), random_prompt(61, 1)}).find("161"), std::string::npos);
}

}  // namespace
}  // namespace fettle
