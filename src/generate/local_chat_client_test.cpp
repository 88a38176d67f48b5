#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "generate/chat_client.h"
#include "generate/test_support.h"

namespace fettle {
namespace {

using test::SmallModel;

struct Fixture {
  SmallModel model;
  Engine engine{model.decoder, test::byte_tokenizer(), [] {
                  EngineOptions o;
                  o.kv_bytes = 8 << 20;
                  return o;
                }()};
  EngineThread thread{engine};
  std::unique_ptr<ChatClient> client = make_local_chat_client(engine, thread, {"small", {}, {}});
};

ChatOptions raw_options(int64_t max_tokens) {
  ChatOptions options;
  options.raw = true;  // the byte tokenizer has no template
  options.max_tokens = max_tokens;
  options.sampling.seed = 9;
  return options;
}

TEST(LocalChatClient, RepliesWithTextUsageAndLogProbabilities) {
  Fixture f;
  ChatOptions options = raw_options(12);
  options.n = 2;
  options.logprobs = true;
  options.top_logprobs = 3;
  std::mutex mutex;
  std::string streamed[2];
  options.on_text = [&](int32_t choice, std::string_view text) {
    const std::lock_guard lock(mutex);
    streamed[choice] += text;
  };
  const ChatReply reply = f.client->complete({{"user", "Hello", 1.0, nullptr}}, options);
  EXPECT_EQ(reply.model, "small");
  EXPECT_EQ(reply.prompt_tokens, 5);
  ASSERT_EQ(reply.choices.size(), 2U);
  int64_t tokens = 0;
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(reply.choices[i].text, streamed[i]);
    for (const auto& token : reply.choices[i].logprobs) EXPECT_EQ(token.top.size(), 3U);
    tokens += static_cast<int64_t>(reply.choices[i].logprobs.size());
  }
  EXPECT_EQ(tokens, reply.completion_tokens);
  EXPECT_EQ(f.client->name(), "small");
}

TEST(LocalChatClient, ABatchEqualsSingleCallsAndKeepsFailuresApart) {
  Fixture f;
  std::vector<ChatTask> tasks;
  for (int i = 0; i < 12; ++i)
    tasks.push_back({{{"user", std::string(static_cast<size_t>(i + 1), 'x'), 1.0, nullptr}}, raw_options(8)});
  tasks[4].messages[0].content = std::string(400, 'y');  // longer than the context
  size_t done = 0;
  const auto outcomes = f.client->complete_batch(tasks, [&](size_t, const ChatOutcome&) { ++done; });
  EXPECT_EQ(done, 12U);
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (i == 4) {
      EXPECT_NE(outcomes[i].error.find("context"), std::string::npos) << outcomes[i].error;
      EXPECT_THROW(f.client->complete(tasks[i].messages, tasks[i].options), Error);
    } else {
      ASSERT_TRUE(outcomes[i].ok()) << outcomes[i].error;
      EXPECT_EQ(outcomes[i].reply.text(), f.client->complete(tasks[i].messages, tasks[i].options).text());
    }
  }
  EXPECT_TRUE(f.client->complete_batch({}, {}).empty());
}

TEST(LocalChatClient, StopTokensMustExist) {
  Fixture f;
  EXPECT_THROW(make_local_chat_client(f.engine, f.thread, {"small", {}, {"<|im_end|>"}}), Error);
  EXPECT_NO_THROW(make_local_chat_client(f.engine, f.thread, {"small", {}, {"</s>"}}));
}

}  // namespace
}  // namespace fettle
