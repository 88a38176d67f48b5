#include "data/passes/filter.h"

#include <gtest/gtest.h>

#include "data/signals/fasttext_model.h"
#include "data/signals/text_quality.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

std::string chat(const std::string& question, const std::string& answer) {
  return dump_json(OrderedJson{{"messages",
                                {{{"role", "user"}, {"content", question}},
                                 {{"role", "assistant"}, {"content", answer}}}}}) +
         "\n";
}

struct Result {
  PassReport report;
  std::vector<OrderedJson> rows, rejected;
};

Result filter(const Folder& folder, const std::string& rows, const FilterOptions& options) {
  const PassFiles files{{folder.file("in.jsonl", rows)}, folder.path("out.jsonl"), folder.path("rejected.jsonl")};
  Result result;
  result.report = filter_rows(files, options);
  RejectedRows none;
  result.rows = read_rows({folder.path("out.jsonl")}, none);
  result.rejected = read_rows({folder.path("rejected.jsonl")}, none);
  EXPECT_EQ(result.report.in, result.report.out + static_cast<int64_t>(result.rejected.size()));
  return result;
}

TEST(TextQuality, SharesOfTextsThatAreKnown) {
  EXPECT_EQ(repeated_share("one two three four five six"), 0);
  EXPECT_DOUBLE_EQ(repeated_share("a b c d e a b c d e"), 1.0 / 6);
  EXPECT_GT(repeated_share(std::string(2000, 'x') + std::string(" no no no no no no no no no no no no no")), 0.5);
  EXPECT_DOUBLE_EQ(symbol_share("ab !? 12 é日"), 2.0 / 8);
  EXPECT_DOUBLE_EQ(non_ascii_share("aé日b"), 0.5);
  EXPECT_EQ(longest_digit_run("1000000000 and 22"), 9);
  EXPECT_EQ(longest_digit_run("12121"), 1);
}

TEST(Filter, LanguagesAreKeptAndSkipped) {
  const Folder folder;
  const std::string rows =
      chat("Where does the old road to the harbour begin?", "It begins behind the church and follows the river.") +
      chat("Wo beginnt die alte Straße zum Hafen?", "Sie beginnt hinter der Kirche und folgt dem Fluss bis zum Meer.") +
      chat("去港口的老路从哪里开始？", "它从教堂后面开始，沿着河一直走到海边。");
  FilterOptions options;
  options.keep_languages = {"en"};
  auto result = filter(folder, rows, options);
  EXPECT_EQ(result.rows.size(), 1u);
  EXPECT_EQ(result.report.reasons.at("language de"), 1);
  EXPECT_EQ(result.report.more["languages"]["en"], 1);
  options.keep_languages.clear();
  options.skip_languages = {"de"};
  result = filter(folder, rows, options);
  EXPECT_EQ(result.rows.size(), 2u);
  options.fasttext = folder.file("model.bin", "this is no model");
  EXPECT_THROW(filter(folder, rows, options), Error);
}

TEST(Filter, RepetitionSymbolsAndDigitsAreMeasured) {
  const Folder folder;
  std::string loop;
  for (int i = 0; i < 30; ++i) loop += "and then we go on ";
  const std::string rows = chat("Hello there", "A plain answer to it.") + chat("Loop", loop) +
                           chat("Symbols", "@@@@ #### $$$$ %%%% ^^^^") + chat("Number", "It is 11111111111.");
  FilterOptions options;
  options.max_repetition = 0.3;
  options.max_symbols = 0.5;
  options.max_digit_run = 9;
  const auto result = filter(folder, rows, options);
  ASSERT_EQ(result.rejected.size(), 3u);
  EXPECT_EQ(result.rejected[0]["reason"], "repetition above 0.3");
  EXPECT_EQ(result.rejected[1]["reason"], "symbols above 0.5");
  EXPECT_EQ(result.rejected[2]["reason"], "a digit 9 times in a row");
}

TEST(Filter, QuestionsOfBenchmarksAreFoundWithTheMatch) {
  const Folder folder;
  const std::string question =
      "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips "
      "did Natalia sell altogether?";
  FilterOptions options;
  options.decontaminate.benchmarks = {folder.file(
      "bench.jsonl", dump_json(Json{{"question", question}}) + "\n{\"question\":\"Who wrote that old book?\"}\n{\"question\":\"Why?\"}\n")};
  std::string changed = question;
  changed.replace(changed.find("48"), 2, "52");
  const std::string rows = chat("A riddle.  " + question, "72") + chat("NATALIA sold" + changed.substr(12), "72") +
                           chat("Who wrote that old -- book?", "She did.") + chat("Who sold clips in May?", "Natalia.") +
                           chat("Why?", "Because.");
  auto result = filter(folder, rows, options);
  ASSERT_EQ(result.rejected.size(), 3u);
  EXPECT_EQ(result.report.more["benchmark_questions"], 2);
  EXPECT_EQ(result.report.more["questions_too_short"], 1);
  EXPECT_EQ(result.rejected[0]["detail"].get<std::string>().substr(0, 21), "100 % of 'Natalia sol");
  EXPECT_NE(result.rejected[0]["detail"].get<std::string>().find("bench.jsonl:1)"), std::string::npos);
  options.decontaminate.rule = DecontaminateOptions::Rule::substring;
  result = filter(folder, rows, options);
  ASSERT_EQ(result.rejected.size(), 1u);
  EXPECT_EQ(result.rejected[0]["reason"], "holds a benchmark's question");
}

}  // namespace
}  // namespace fettle::data
