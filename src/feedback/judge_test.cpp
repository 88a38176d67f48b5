#include "feedback/judge.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/error.h"
#include "feedback/test_data.h"
#include "feedback/judge_slots.h"

namespace fettle::feedback {
namespace {

std::string error_of(const std::string& yaml) {
  try {
    judge_from_yaml(parse_yaml(yaml, "my.yaml"));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

constexpr const char* small = "name: mine\ncalls:\n  - user: 'Rate {answer} to {prompt} in {{braces}}.'\n    reply: {form: marked_score, low: 1, high: 5}\n";

TEST(Judge, EveryPresetLoads) {
  const auto names = judge_preset_names();
  EXPECT_EQ(names.size(), 8u);
  for (const std::string& name : names) {
    const Judge judge = judge_preset(name);
    EXPECT_EQ(judge.name, name);
    EXPECT_FALSE(judge.about.empty());
  }
  EXPECT_EQ(judge_preset("ultrafeedback").calls.size(), 5u);
  EXPECT_THROW(judge_preset("humpbak"), Error);
}

TEST(Judge, OneOfYourOwn) {
  const Judge judge = judge_from_yaml(parse_yaml(small, "my.yaml"));
  JudgedRow row{.prompt = "{answer}?", .questions = {"{answer}?"}, .answers = {{"1", {"a {prompt}"}}}};
  const Slots slots = slot_values(judge.calls[0], judge, row, {0});
  EXPECT_EQ(judge.calls[0].messages[0].content.fill(slots), "Rate a {prompt} to {answer}? in {braces}.") << "what fills a place is not looked at again";
}

TEST(Judge, ErrorsNameTheLineTheKeyAndTheNearest) {
  for (const auto& [yaml, expected] : std::initializer_list<std::pair<std::string, std::string>>{
           {"name: x\ntemprature: 1\ncalls: [{user: x}]\n", "my.yaml:2: 'temprature' is no key here, did you mean 'temperature'?"},
           {"name: x\n", "calls must be a list"},
           {"calls: [{user: '{anser}'}]\n", "'{anser}' is nothing that this call can show; it has prompt"},
           {"calls: [{user: 'a { b'}]\n", "has a '{' without its '}'"},
           {"calls: [{user: 'a } b'}]\n", "has a '}' without its '{'"},
           {"calls: [{system: x}]\n", "`user` is missing"},
           {"calls: [{user: x, reply: {form: stars}}]\n", "'stars' is no form of reply; known are bracketed_score"},
           {"calls: [{user: x, reply: {form: ranking}}]\n", "shows must be two"},
           {"calls: [{user: x, shows: all}]\n", "shows must be one"},
           {"calls: [{user: x, shows: three}]\n", "shows must be one, two or all"},
           {"calls: [{user: x, max_tokens: 0}]\n", "calls.0.max_tokens must be a number from 1"},
           {"calls: [{user: x, reply: {form: criteria}}]\n", "name the criteria"},
           {"calls: [{user: x, reply: {form: criteria, criteria: {a: -1}}}]\n", "calls.0.reply.criteria.a must be a number"},
           {"calls: [{user: x, reply: {form: expected_score}}]\n", "expected_score needs low and high"},
           {"calls: [{user: x, reply: {low: 5, high: 1}}]\n", "low is above high"},
           {"calls: [{user: x}]\norder: sideways\n", "my.yaml:2: order must be"},
           {"calls: [{user: x}]\nsamples: 1.5\n", "samples must be a whole number"}}) {
    EXPECT_NE(error_of(yaml).find(expected), std::string::npos) << yaml << error_of(yaml);
  }
}

TEST(Judge, AlpacaEvalsTemplates) {
  if (!fs::is_directory(shared_data())) GTEST_SKIP() << "skipped: no shared data";
  const Judge by_token = read_judge(shared_data() / "alpaca_eval/template_alpaca_eval_clf_gpt4_turbo.txt");
  EXPECT_EQ(by_token.calls[0].reply.form, ReplyForm::chosen_token);
  const Judge ranking = read_judge(shared_data() / "alpaca_eval/template_alpaca_eval_gpt4.txt");
  EXPECT_EQ(ranking.calls[0].reply.form, ReplyForm::ranking);
  ASSERT_EQ(ranking.calls[0].messages.size(), 2u);
  EXPECT_EQ(ranking.calls[0].messages[0].role, "system");
  const JudgedRow row{.prompt = "Q", .questions = {"Q"}, .answers = {{"chosen", {"one"}}, {"rejected", {"{instruction}"}}}};
  const std::string text = ranking.calls[0].messages[1].content.fill(slot_values(ranking.calls[0], ranking, row, {0, 1}));
  EXPECT_NE(text.find("\"answer\": \"\"\"{instruction}\"\"\""), std::string::npos) << text;
  EXPECT_NE(text.find("{'model': <model-name>, 'rank': <model-rank>}"), std::string::npos) << "other braces stay";
}

/// FastChat's prompt file gives the very prompts that were sent to GPT-4.
TEST(Judge, FastChatsPromptsAreThoseThatWereSent) {
  if (!fs::is_directory(shared_data())) GTEST_SKIP() << "skipped: no shared data";
  const fs::path folder = shared_data() / "mt_bench";
  const Judge judge = read_judge(folder / "judge_prompts.jsonl");
  ASSERT_EQ(judge.calls.size(), 4u);
  std::map<int, std::vector<std::string>> questions;
  std::istringstream lines(read_file(folder / "question.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line);
    questions[row["question_id"]] = row["turns"].get<std::vector<std::string>>();
  }
  int checked = 0;
  std::istringstream judgments(read_file(folder / "judgment_gpt-4_single.jsonl"));
  for (std::string line; std::getline(judgments, line);) {
    const Json row = Json::parse(line);
    if (row["judge"][1] != "single-v1") continue;
    const std::string sent = row["user_prompt"];
    const std::string begin = "[The Start of Assistant's Answer]\n", end = "\n[The End of Assistant's Answer]";
    const size_t at = sent.find(begin) + begin.size();
    const JudgedRow judged{.prompt = questions[row["question_id"]][0], .questions = {questions[row["question_id"]][0]},
                           .answers = {{"1", {sent.substr(at, sent.rfind(end) - at)}}}};
    const auto call = std::ranges::find(judge.calls, "single-v1", &JudgeCall::name);
    ASSERT_NE(call, judge.calls.end());
    EXPECT_EQ(call->messages[1].content.fill(slot_values(*call, judge, judged, {0})), sent) << row["question_id"];
    ++checked;
  }
  EXPECT_EQ(checked, 150);
}

}  // namespace
}  // namespace fettle::feedback
