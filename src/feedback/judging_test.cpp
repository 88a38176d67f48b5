#include "feedback/judging.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "base/error.h"
#include "feedback/agreement.h"
#include "feedback/in_order.h"
#include "feedback/judge_rows.h"

namespace fettle::feedback {
namespace {

/// Answers by a function of the last message.
class Scripted final : public ChatClient {
 public:
  explicit Scripted(std::function<std::string(const std::string&)> answer) : answer_(std::move(answer)) {}
  std::string name() const override { return "scripted"; }
  ChatReply complete(const Messages& messages, const ChatOptions&) override {
    ++calls;
    ChatReply reply;
    reply.choices.push_back({answer_(messages.back().content), "stop", {}});
    reply.prompt_tokens = 8;
    reply.completion_tokens = 10;
    return reply;
  }
  std::vector<ChatOutcome> complete_batch(std::span<const ChatTask>, const std::function<void(size_t, const ChatOutcome&)>&) override { return {}; }
  std::atomic<int> calls{0};

 private:
  std::function<std::string(const std::string&)> answer_;
};

Judge judge_of(const std::string& yaml) { return judge_from_yaml(parse_yaml(yaml, "test.yaml")); }

const char* pairs = "order: both\ncalls:\n  - {name: pair, shows: two, user: 'A={answer_a} B={answer_b}', reply: {form: bracketed_letter}}\n";
const char* single = "tries: 2\ncalls:\n  - {user: '{prompt}|{answer}', reply: {form: marked_score, low: 1, high: 5}}\n";

JudgedRow pair(const std::string& first, const std::string& second) {
  return {.id = "r", .prompt = "Q", .questions = {"Q"}, .answers = {{"chosen", {first}}, {"rejected", {second}}}};
}

RowVerdict judged(const Judge& judge, ChatClient& client, const JudgedRow& row) {
  Costs costs;
  StoredClient stored(client, "", nullptr, costs);
  return judge_row(judge, stored, row, 1);
}

TEST(Judging, BothOrdersCancelAJudgeThatLooksAtPlacesAlone) {
  Scripted first([](const std::string&) { return "[[A]]"; });
  const auto verdict = judged(judge_of(pairs), first, pair("x", "y"));
  EXPECT_EQ(first.calls, 2);
  EXPECT_FALSE(verdict.winner);
  EXPECT_TRUE(verdict.calls[0].conflict);
  Scripted fair([](const std::string& prompt) { return prompt.starts_with("A=good") ? "[[A]]" : "[[B]]"; });
  EXPECT_EQ(judged(judge_of(pairs), fair, pair("good", "bad")).winner, 0u);
  EXPECT_EQ(judged(judge_of(pairs), fair, pair("bad", "good")).winner, 1u);
}

TEST(Judging, RandomOrderIsMappedBack) {
  const Judge judge = judge_of("order: random\ncalls:\n  - {name: quality, shows: all, user: '{texts}', reply: {form: rated_texts, low: 1, high: 5}}\n");
  // Rates the text "n" with n, in whatever order it stands.
  Scripted client([](const std::string& prompt) {
    std::string reply;
    for (size_t at = prompt.find("> "); at != std::string::npos; at = prompt.find("> ", at + 1))
      reply += fmt::format("{}Rating: {}\nRationale: r{}", reply.empty() ? "" : "\n\n", prompt[at + 2], prompt[at + 2]);
    return reply;
  });
  std::set<std::string> prompts;
  for (int i = 0; i < 20; ++i) {
    JudgedRow row{.id = std::to_string(i), .prompt = "Q", .questions = {"Q"}, .answers = {{"a", {"1"}}, {"b", {"2"}}, {"c", {"3"}}, {"d", {"4"}}}};
    const auto verdict = judged(judge, client, row);
    ASSERT_TRUE(verdict.parsed);
    for (size_t answer = 0; answer < 4; ++answer) {
      EXPECT_EQ(verdict.scores[answer], static_cast<double>(answer + 1));
      EXPECT_EQ(verdict.calls[0].details[answer]["Rationale"], fmt::format("r{}", answer + 1));
    }
    EXPECT_EQ(verdict.winner, 3u);
  }
}

TEST(Judging, WhatCannotBeReadIsAskedAgainAndThenCounted) {
  int said = 0;
  Scripted later([&](const std::string&) { return ++said % 2 == 1 ? "hm" : "Score: 4"; });
  const JudgedRow row{.id = "r", .prompt = "Q", .questions = {"Q"}, .answers = {{"1", {"A"}}}};
  const auto verdict = judged(judge_of(single), later, row);
  EXPECT_TRUE(verdict.parsed);
  EXPECT_EQ(verdict.scores[0], 4.0);
  Scripted never([](const std::string&) { return "hm"; });
  const auto unread = judged(judge_of(single), never, row);
  EXPECT_FALSE(unread.parsed);
  EXPECT_FALSE(unread.scores[0]);
  EXPECT_EQ(never.calls, 2);
}

TEST(Judging, EqualAnswersAreATieThatNobodyIsAskedAbout) {
  Scripted client([](const std::string&) { return "[[A]]"; });
  EXPECT_FALSE(judged(judge_of(std::string("equal_is_tie: true\n") + pairs), client, pair("same", "same")).winner);
  EXPECT_EQ(client.calls, 0);
}

TEST(Judging, UltraFeedbacksRowsGetTheirAnnotations) {
  Scripted client([](const std::string& prompt) {
    if (prompt.find("Overall Score") != std::string::npos) return std::string("Say more.\nOverall Score: 8");
    const bool typed = prompt.find("exactly four lines") != std::string::npos;
    const std::string one = typed ? "Type: None\nRationale: t\nRating: 4\nRationale: w" : "Rating: 2\nRationale: w";
    return one + "\n\n" + one;
  });
  const OrderedJson row = OrderedJson::parse(R"({"source":"truthful_qa","instruction":"Q","correct_answers":["yes"],"completions":[{"model":"a","response":"x"},{"model":"b","response":"y"}]})");
  const JudgedRow judged_of = judged_row(row, "test");
  EXPECT_NE(judged_of.knowledge.find("yes"), std::string::npos);
  const Judge judge = judge_preset("ultrafeedback");
  const auto verdict = judged(judge, client, judged_of);
  ASSERT_TRUE(verdict.parsed);
  const OrderedJson out = with_verdict(row, judge, "scripted", judged_of, verdict);
  EXPECT_EQ(out["completions"][1]["overall_score"], 8.0);
  EXPECT_EQ(out["completions"][1]["critique"], "Say more.");
  EXPECT_EQ(out["completions"][0]["fine-grained_score"], 3.0);
  EXPECT_EQ(out["completions"][0]["annotations"]["truthfulness"]["Rationale For Rating"], "w");
}

TEST(StoredClient, AsksNothingTwiceAndKeepsToItsBudget) {
  const TemporaryFolder folder;
  AnswerStore store(folder.path() / "answers.sqlite");
  Scripted client([](const std::string&) { return "Score: 3"; });
  ChatOptions options;
  options.max_tokens = 10;
  const auto ask = [&](Costs& costs, int i) {
    StoredClient stored(client, "1", &store, costs, {.input = 1000, .output = 1000});
    return stored.ask({{"user", std::to_string(i), 1.0, nullptr}}, options);
  };
  Costs costs(0.1);
  for (int i = 0; i < 3; ++i) ask(costs, i);
  EXPECT_EQ(client.calls, 3);
  Costs again(0.1);
  for (int i = 0; i < 3; ++i) ask(again, i);
  EXPECT_EQ(client.calls, 3);
  EXPECT_EQ(again.to_json()["stored"], 3);
  EXPECT_THROW(
      for (int i = 3; i < 10; ++i) ask(costs, i), Error);
  EXPECT_LT(costs.to_json()["cost"].get<double>(), 0.1);
}

TEST(InOrder, HandsOutInOrderAndEndsOnTheFirstError) {
  InOrder<int, int> work(8, 32, [](int& i) {
    std::this_thread::sleep_for(std::chrono::microseconds((i * 7919) % 500));
    if (i == 150) throw std::runtime_error("at 150");
    return i * 2;
  });
  int next = 0, done = 0;
  const auto run = [&] {
    work([&]() -> std::optional<int> { return next < 1000 ? std::optional(next++) : std::nullopt; },
         [&](int& item, int&& result) {
           EXPECT_EQ(item, done);
           EXPECT_EQ(result, 2 * done);
           ++done;
         });
  };
  EXPECT_THROW(run(), std::runtime_error);
  EXPECT_EQ(done, 150);
}

TEST(Agreement, KappaOfAPublishedExample) {
  Agreement agreement;  // Cohen's example of two readers: 20 + 15 of 50 alike, kappa 0.4
  for (int i = 0; i < 20; ++i) agreement.add("yes", "yes");
  for (int i = 0; i < 15; ++i) agreement.add("no", "no");
  for (int i = 0; i < 5; ++i) agreement.add("yes", "no");
  for (int i = 0; i < 10; ++i) agreement.add("no", "yes");
  EXPECT_DOUBLE_EQ(agreement.accuracy(), 0.7);
  EXPECT_NEAR(agreement.kappa(), 0.4, 1e-12);
}

TEST(JudgeRows, KeepOrderRejectAndCount) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 40; ++i) text += i == 7 ? "{broken\n" : i == 9 ? "{\"text\": \"no answer\"}\n" : fmt::format("{{\"id\": \"{}\", \"prompt\": \"Q\", \"completion\": \"{}\", \"human\": {}}}\n", i, i % 5 + 1, i % 5 + 1);
  write_file(folder.path() / "rows.jsonl", text);
  Scripted client([](const std::string& prompt) { return "Score: " + prompt.substr(prompt.find('|') + 1); });
  Costs costs;
  StoredClient stored(client, "", nullptr, costs);
  const auto report = judge_rows({.inputs = {(folder.path() / "rows.jsonl").string()}, .output = folder.path() / "out.jsonl", .rejected = folder.path() / "rejected.jsonl",
                                  .concurrency = 8, .label = "human"},
                                 judge_of(single), stored, costs);
  EXPECT_EQ(report.in, 40);
  EXPECT_EQ(report.out, 38);
  EXPECT_EQ(report.agreement.accuracy(), 1.0);
  EXPECT_EQ(report.costs["asked"], 38);
  std::istringstream lines(read_file(folder.path() / "out.jsonl"));
  int before = -1;
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line);
    const int id = std::stoi(row["id"].get<std::string>());
    EXPECT_GT(id, before);
    EXPECT_EQ(row["verdict"]["score"], id % 5 + 1);
    before = id;
  }
  EXPECT_NE(read_file(folder.path() / "rejected.jsonl").find("{broken"), std::string::npos);
}

}  // namespace
}  // namespace fettle::feedback
