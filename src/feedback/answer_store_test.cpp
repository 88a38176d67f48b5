#include "feedback/answer_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <thread>

#include "base/error.h"

namespace fettle::feedback {
namespace {

const Messages question{{"system", "Be short.", 1.0, nullptr}, {"user", "Hello?", 1.0, nullptr}};

ChatReply reply_of(const std::string& text) {
  ChatReply reply;
  reply.model = "small";
  reply.choices.push_back({text, "stop", {{"a", -0.125, {{"a", -0.125}, {"b", -3.0}}}}});
  reply.prompt_tokens = 7;
  reply.completion_tokens = 3;
  return reply;
}

TEST(AnswerStore, KeepsAnswersAsTheyWere) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "deep" / "answers.sqlite";
  {
    AnswerStore store(file);
    EXPECT_FALSE(store.find("a"));
    store.put("a", reply_of("yes \u2713"));
    store.put("a", reply_of("no"));
    store.put("b", reply_of("b"));
  }
  struct stat state {};
  ASSERT_EQ(::stat(file.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600u);
  AnswerStore store(file);
  EXPECT_EQ(store.size(), 2);
  const auto found = store.find("a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text(), "no");
  EXPECT_EQ(found->choices[0].logprobs[0].top, reply_of("").choices[0].logprobs[0].top);
  EXPECT_EQ(found->prompt_tokens, 7);
}

TEST(AnswerStore, KeyHoldsEverythingThatDecidesAnAnswer) {
  std::set<std::string> keys;
  const auto add = [&](const std::string& model, const std::string& revision, const Messages& messages, const ChatOptions& options, int64_t draw) {
    EXPECT_TRUE(keys.insert(answer_key(model, revision, messages, options, draw)).second);
    EXPECT_FALSE(keys.insert(answer_key(model, revision, messages, options, draw)).second);
  };
  add("m", "1", question, {}, 0);
  add("m", "2", question, {}, 0);
  add("n", "1", question, {}, 0);
  add("m", "1", question, {}, 1);
  add("m", "1", {question[1]}, {}, 0);
  for (const auto& change : std::initializer_list<std::function<void(ChatOptions&)>>{
           [](auto& o) { o.sampling.temperature = 0.5F; }, [](auto& o) { o.sampling.seed = 4; }, [](auto& o) { o.sampling.top_p = 0.5F; }, [](auto& o) { o.sampling.top_k = 4; },
           [](auto& o) { o.max_tokens = 9; }, [](auto& o) { o.stop = {"x"}; }, [](auto& o) { o.n = 2; }, [](auto& o) { o.logprobs = true; }, [](auto& o) { o.top_logprobs = 3; },
           [](auto& o) { o.extra = {{"response_format", 1}}; }, [](auto& o) { o.template_variables = {{"enable_thinking", false}}; }, [](auto& o) { o.sampling.logit_bias = {{1, 2.0F}}; }}) {
    ChatOptions options;
    change(options);
    add("m", "1", question, options, 0);
  }
}

TEST(AnswerStore, OtherFilesAreNoStores) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "notes.txt";
  write_file(file, std::string(4096, 'x'));
  try {
    AnswerStore store(file);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("notes.txt: is no store of answers"), std::string::npos) << error.what();
  }
  EXPECT_THROW(AnswerStore(folder.path()), Error);
}

TEST(AnswerStore, ManyThreadsAndProcessesAtOnce) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "answers.sqlite";
  constexpr int each = 50;
  std::vector<pid_t> children;
  for (int child = 0; child < 4; ++child) {
    const pid_t pid = fork();
    if (pid == 0) {
      int status = 1;
      try {
        AnswerStore store(file);
        for (int i = 0; i < each; ++i) store.put(fmt::format("{}-{}", child, i), reply_of(std::to_string(i)));
        status = 0;
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
      }
      _exit(status);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  AnswerStore store(file);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < each; ++i) {
        store.put(fmt::format("t{}-{}", thread, i), reply_of(std::to_string(i)));
        const auto found = store.find(fmt::format("{}-{}", thread % 2, i));
        EXPECT_TRUE(found && found->text() == std::to_string(i));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store.size(), 8 * each);
}

/// What put() returned from is there after a kill.
TEST(AnswerStore, LosesNothingWhenKilled) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "answers.sqlite";
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    AnswerStore store(file);
    for (int i = 0;; ++i) {
      store.put(std::to_string(i), reply_of("x"));
      if (write(pipe_ends[1], "+", 1) != 1) _exit(1);
    }
  }
  close(pipe_ends[1]);
  char acknowledged;
  int count = 0;
  for (; count < 40; ++count) ASSERT_EQ(read(pipe_ends[0], &acknowledged, 1), 1);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  while (read(pipe_ends[0], &acknowledged, 1) == 1) ++count;
  close(pipe_ends[0]);
  AnswerStore store(file);
  for (int i = 0; i < count; ++i) EXPECT_TRUE(store.find(std::to_string(i))) << i;
}

}  // namespace
}  // namespace fettle::feedback
