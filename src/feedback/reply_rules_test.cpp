#include "feedback/reply_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "base/python_random.h"
#include "feedback/test_data.h"

namespace fettle::feedback {
namespace {

std::optional<ReplyReading> read(const ReplyRules& rules, const std::string& text, size_t texts = 1) {
  ChatChoice reply;
  reply.text = text;
  return read_verdict(rules, reply, texts);
}

/// The scores, "-" for N/A; "none" for a reply that cannot be read.
std::string scores(const ReplyRules& rules, const std::string& text, size_t texts = 1) {
  const auto reading = read(rules, text, texts);
  if (!reading) return "none";
  if (reading->preference) return fmt::format("prefers {}", *reading->preference);
  std::string said;
  for (const auto& of : reading->texts) said += (said.empty() ? "" : " ") + (of.score ? fmt::format("{}", *of.score) : "-");
  return said;
}

ReplyRules form(ReplyForm form, double low = 0, double high = 10, bool as_published = false) {
  ReplyRules rules;
  rules.form = form;
  rules.low = low;
  rules.high = high;
  rules.as_published = as_published;
  return rules;
}

TEST(ReplyRules, BracketedScore) {
  const auto rules = form(ReplyForm::bracketed_score);
  for (const auto& [text, expected] : std::initializer_list<std::pair<const char*, const char*>>{
           {"Good. Rating: [[7]]", "7"}, {"Rating: [[7.5]] and [[3]]", "7.5"}, {"Rating: [8]", "8"}, {"[x] then [2.25].", "2.25"}, {"[[7.]]", "7"},
           {"Rating: 7", "none"}, {"[[seven]]", "none"}, {"[[ 7 ]]", "none"}, {"[[7", "none"}, {"[[07]]", "none"}, {"[[11]]", "none"}, {"[[-3]]", "none"},
           {"[[5]", "5"}, {"[3] but rather [[9]]", "9"}, {"", "none"}, {"[[0.5]]", "0.5"}})
    EXPECT_EQ(scores(rules, text), expected) << text;
}

TEST(ReplyRules, LetterAndRanking) {
  const auto letter = form(ReplyForm::bracketed_letter);
  EXPECT_EQ(scores(letter, "[[B]], no: [[A]]", 2), "prefers 1") << "A is looked for first, as published";
  EXPECT_EQ(scores(letter, "so [[C]]", 2), "prefers 1.5");
  EXPECT_EQ(scores(letter, "A", 2), "none");
  const auto ranking = form(ReplyForm::ranking), strict = form(ReplyForm::ranking, 0, 10, true);
  const std::string list = "[{'model': 'model_1', 'rank': 2}, {'model': \"model_2\", 'rank': 1},]";
  EXPECT_EQ(scores(ranking, "Sure:\n" + list + "\n", 2), "prefers 2");
  EXPECT_EQ(scores(strict, "Sure:\n" + list, 2), "none");
  EXPECT_EQ(scores(strict, list, 2), "prefers 2");
  EXPECT_EQ(scores(ranking, R"([{"model": "model_2", "rank": 2}, {"model": "model_1", "rank": 1}])", 2), "prefers 1");
  for (const char* broken : {"[{'model': 'model_1', 'rank': 3}]", "[{'model': 'model_2', 'rank': 1}]", "[", "[{'model' 'model_1'}]", "[{'model': 'model_1', 'rank': '1]", "[]"})
    EXPECT_EQ(scores(ranking, broken, 2), "none") << broken;
}

TEST(ReplyRules, OverallScore) {
  const auto rules = form(ReplyForm::overall_score, 1, 10), published = form(ReplyForm::overall_score, 1, 10, true);
  for (const auto& [said, ours, theirs] : std::initializer_list<std::tuple<const char*, const char*, const char*>>{
           {"8", "8", "8"}, {"7.5", "7.5", "7"}, {"8/10", "8", "8"}, {"8.5/10", "8.5", "8"}, {"9.", "9", "9"}, {" 10\n", "10", "10"}, {"8 out of 10", "8", "none"},
           {"N/A", "none", "none"}, {"", "none", "none"}, {"11", "none", "none"}, {"-1", "none", "none"}}) {
    EXPECT_EQ(scores(rules, std::string("Say more.\nOverall Score: ") + said), ours) << said;
    EXPECT_EQ(scores(published, std::string("Say more.\nOverall Score: ") + said), theirs) << said;
  }
  EXPECT_EQ(scores(rules, "Overall Score: 8"), "none") << "no critique before it";
  EXPECT_EQ(scores(rules, "a\nOverall Score: 8\nOverall Score: 7"), "none");
  EXPECT_EQ(read(rules, " Say more. \nOverall Score: 8")->critique, "Say more.");
  auto old = published;
  old.one_as_ten = true;
  EXPECT_EQ(scores(old, "Bad.\nOverall Score: 1"), "10");
  EXPECT_EQ(scores(old, "Bad.\nOverall Score: 2"), "2");
}

TEST(ReplyRules, RatedTexts) {
  const auto ours = form(ReplyForm::rated_texts, 1, 5), theirs = form(ReplyForm::rated_texts, 1, 5, true);
  const std::string good = "Rating: 4\nRationale: fine.\n\nRating: N/A\nRationale: a poem.";
  EXPECT_EQ(scores(ours, good, 2), "4 -");
  EXPECT_EQ(scores(theirs, good, 2), "4 -");
  EXPECT_EQ(scores(ours, good, 3), "none");
  const std::string tight = "Rating: 4\nRationale: fine.\nRating: 2\nRationale: poor.";
  EXPECT_EQ(scores(ours, tight, 2), "4 2");
  EXPECT_EQ(scores(theirs, tight, 2), "none") << "a missing blank line";
  const std::string loose = "#### Text 1\n**Rating:** 4.5\n**Rationale:** one\n\ntwo\n\n#### Text 2\n**Rating:** 3\n**Rationale:** three";
  EXPECT_EQ(scores(ours, loose, 2), "4.5 3");
  EXPECT_EQ(read(ours, loose, 2)->texts[0].details["Rationale"], "one\n\ntwo");
  EXPECT_EQ(scores(theirs, "Rating: 4.5\nRationale: x", 1), "4") << "the first whole number, as published";
  EXPECT_EQ(scores(ours, "Rating: 6\nRationale: x", 1), "none");
  EXPECT_EQ(scores(ours, "Rating: good\nRationale: x", 1), "none");
  EXPECT_EQ(scores(ours, "Rating: 4", 1), "none");
  const auto typed = form(ReplyForm::typed_texts, 1, 5);
  const auto reading = read(typed, "Type: 1, 3\nRationale: here\nRating: 2\nRationale: so\n\nType: None\nRationale: none\nRating: 5\nRationale: right", 2);
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->texts[0].details.dump(), R"({"Rating":"2","Type":["1","3"],"Rationale":"here","Rationale For Rating":"so"})");
  EXPECT_EQ(reading->texts[1].details["Type"].dump(), R"(["None"])");
}

TEST(ReplyRules, MarkedScore) {
  const auto ours = form(ReplyForm::marked_score, 1, 5), theirs = form(ReplyForm::marked_score, 1, 5, true);
  for (const auto& [text, own, published] : std::initializer_list<std::tuple<const char*, const char*, const char*>>{
           {"Because.\nScore: 4", "4", "4"}, {"Score: 4.5", "4.5", "4"}, {"Score: 3 at first. Score: 5", "5", "3"}, {"**Score:** 4", "4", "none"}, {"Score: [4]", "4", "none"},
           {"Score: 4/5", "4", "4"}, {"Score:4", "4", "none"}, {"Score: 9", "none", "none"}, {"Score: 0.5", "none", "none"}, {"Score: four", "none", "none"}, {"4", "none", "none"},
           {"Score: 3. In the end Score: I cannot say", "none", "3"}}) {
    EXPECT_EQ(scores(ours, text), own) << text;
    EXPECT_EQ(scores(theirs, text), published) << text;
  }
}

TEST(ReplyRules, TwoScores) {
  const auto ours = form(ReplyForm::two_scores), theirs = form(ReplyForm::two_scores, 0, 10, true);
  EXPECT_EQ(scores(ours, "8 7.5\nBecause", 2), "8 7.5");
  EXPECT_EQ(scores(theirs, "8,7.5\nBecause", 2), "8 7.5");
  EXPECT_EQ(scores(ours, "8, 7", 2), "8 7");
  EXPECT_EQ(scores(theirs, "8, 7", 2), "none") << "two blanks make three parts";
  for (const char* broken : {"8", "8 7 6", "8 seven", "nan 3", "8 11", ""}) EXPECT_EQ(scores(ours, broken, 2), "none") << broken;
  const auto last = form(ReplyForm::last_two_scores);
  EXPECT_EQ(scores(last, "Evaluation evidence: x\nScore of assistant 1: 8\nScore of assistant 2: 7.5\n", 2), "8 7.5");
  EXPECT_EQ(scores(last, "Score of assistant 1: 8", 2), "none");
  EXPECT_EQ(scores(last, "a: b\nc: 8", 2), "none");
}

TEST(ReplyRules, Criteria) {
  auto rules = form(ReplyForm::criteria, 1, 5);
  rules.names = {"correct", "clear"};
  rules.weights = {3, 1};
  EXPECT_EQ(scores(rules, "Here: {\"correct\": 5, \"clear\": 1} done"), "4");
  for (const char* broken : {"{\"correct\": 5}", "{\"correct\": 6, \"clear\": 1}", "{\"correct\": \"5\", \"clear\": 1}", "{", "[]", "{\"correct\": 5, \"clear\": 1"})
    EXPECT_EQ(scores(rules, broken), "none") << broken;
}

TEST(ReplyRules, Probabilities) {
  auto rules = form(ReplyForm::expected_score, 1, 5);
  ChatChoice reply;
  EXPECT_FALSE(read_verdict(rules, reply, 1)) << "no log-probabilities";
  reply.logprobs.push_back({"4", std::log(0.6), {{"4", std::log(0.6)}, {"5", std::log(0.2)}, {"The", std::log(0.1)}, {"9", std::log(0.1)}}});
  EXPECT_NEAR(*read_verdict(rules, reply, 1)->texts[0].score, (0.6 * 4 + 0.2 * 5) / 0.8, 1e-12);
  rules.form = ReplyForm::chosen_token;
  EXPECT_FALSE(read_verdict(rules, reply, 2));
  reply.logprobs[0].top = {{"m", -1.0}};
  EXPECT_EQ(*read_verdict(rules, reply, 2)->preference, 1.0);
  reply.logprobs[0].top = {{"M", -3.0}, {"m", -1.0}};
  EXPECT_NEAR(*read_verdict(rules, reply, 2)->preference, 2.0 - 1.0 / (1.0 + std::exp(-2.0)), 1e-12);
}

/// Every score that the authors of MT-Bench stored, out of the replies that they stored.
TEST(ReplyRules, StoredJudgmentsOfMtBench) {
  if (!fs::is_directory(shared_data())) GTEST_SKIP() << "skipped: no shared data";
  std::istringstream lines(read_file(shared_data() / "mt_bench/judgment_gpt-4_single.jsonl"));
  const auto rules = form(ReplyForm::bracketed_score, 0, 10, true);
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    const Json row = Json::parse(line);
    const auto reading = read(rules, row["judgment"]);
    EXPECT_EQ(reading ? *reading->texts[0].score : -1.0, row["score"].get<double>()) << row["question_id"];
  }
  EXPECT_EQ(rows, 480);
}

/// Every preference that the authors of AlpacaEval stored: the token's probabilities, and the order in which the outputs were shown.
TEST(ReplyRules, StoredAnnotationsOfAlpacaEval) {
  if (!fs::is_directory(shared_data())) GTEST_SKIP() << "skipped: no shared data";
  const Json rows = Json::parse(read_file(shared_data() / "alpaca_eval/annotations_v2_alpaca-7b.json"));
  auto rules = form(ReplyForm::chosen_token);
  int read_rows = 0;
  for (const Json& row : rows) {
    if (!row["raw_completion"].is_object()) continue;
    ChatChoice reply;
    ChatTokenLogProb& first = reply.logprobs.emplace_back();
    for (const Json& top : row["raw_completion"]["logprobs"]["content"][0]["top_logprobs"]) first.top.emplace_back(top["token"], top["logprob"]);
    const auto reading = read_verdict(rules, reply, 2);
    if (!reading) {
      EXPECT_TRUE(row["preference"].is_null() || row["preference"] == -1.0) << row["instruction"];
      continue;
    }
    ++read_rows;
    const bool switched = PythonRandom("is_switched_outputs" + row["instruction"].get<std::string>() + "0").uniform() >= 0.5;
    EXPECT_NEAR(switched ? 3.0 - *reading->preference : *reading->preference, row["preference"].get<double>(), 1e-9) << row["instruction"];
  }
  EXPECT_GE(read_rows, 800);
}

}  // namespace
}  // namespace fettle::feedback
