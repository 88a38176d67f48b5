// The client against a server in this process.
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>

#include "base/error.h"
#include "generate/chat_client.h"
#include "generate/event_stream.h"

namespace fettle {
namespace {

using Handler = std::function<void(const Json& body, const httplib::Request&, httplib::Response&)>;

/// Answers POST /v1/chat/completions by `handler`, counting tries and how many run at once.
class Loopback {
 public:
  explicit Loopback(Handler handler) : handler_(std::move(handler)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(16); };
    server_.Post("/v1/chat/completions",
                 [this](const httplib::Request& request, httplib::Response& response) {
                   ++tries;
                   const int now = ++running;
                   int seen = most.load();
                   while (now > seen && !most.compare_exchange_weak(seen, now)) {
                   }
                   handler_(Json::parse(request.body), request, response);
                   --running;
                 });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
  }
  ~Loopback() {
    server_.stop();
    thread_.join();
  }
  RemoteChatOptions options() const {
    RemoteChatOptions o;
    o.base_url = fmt::format("http://127.0.0.1:{}/v1", port_);
    o.model = "small";
    o.api_key_variable = "FETTLE_TEST_KEY";
    o.backoff_seconds = 0.01;
    return o;
  }
  std::atomic<int> tries{0}, running{0}, most{0};

 private:
  Handler handler_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

Json reply_with(const std::string& text) {
  return {
      {"model", "small-2"},
      {"choices",
       {{{"index", 0}, {"message", {{"role", "assistant"}, {"content", text}}}, {"finish_reason", "stop"}}}},
      {"usage", {{"prompt_tokens", 7}, {"completion_tokens", 3}}}};
}

void send(httplib::Response& response, const Json& json, int status = 200) {
  response.status = status;
  response.set_content(json.dump(), "application/json");
}

const Messages question{{"system", "Be short."}, {"user", "Hello?"}};

std::string error_of(ChatClient& client, const ChatOptions& options = {}) {
  try {
    client.complete(question, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(RemoteChatClient, SendsWhatIsAskedAndReadsTheReply) {
  Json seen;
  std::string authorization;
  Loopback server([&](const Json& body, const httplib::Request& request, httplib::Response& response) {
    seen = body;
    authorization = request.get_header_value("Authorization");
    Json reply = reply_with("Hi.");
    reply["choices"][0]["logprobs"] = {
        {"content",
         {{{"token", "Hi"}, {"logprob", -0.5}, {"top_logprobs", {{{"token", "Yo"}, {"logprob", -1.5}}}}}}}};
    send(response, reply);
  });
  ::setenv("FETTLE_TEST_KEY", "secret", 1);
  const auto client = make_remote_chat_client(server.options());
  ::unsetenv("FETTLE_TEST_KEY");
  ChatOptions options;
  options.sampling.temperature = 0.5F;
  options.sampling.top_p = 0.9F;
  options.sampling.seed = 4;
  options.max_tokens = 20;
  options.stop = {"\n"};
  options.logprobs = true;
  options.top_logprobs = 1;
  options.extra = {{"response_format", {{"type", "json_object"}}}};
  const ChatReply reply = client->complete(question, options);
  EXPECT_EQ(reply.text(), "Hi.");
  EXPECT_EQ(reply.model, "small-2");
  EXPECT_EQ(reply.prompt_tokens, 7);
  EXPECT_EQ(reply.completion_tokens, 3);
  EXPECT_EQ(reply.choices[0].finish_reason, "stop");
  ASSERT_EQ(reply.choices[0].logprobs.size(), 1U);
  EXPECT_EQ(reply.choices[0].logprobs[0].top[0].first, "Yo");
  EXPECT_EQ(authorization, "Bearer secret");
  const Json expected =
      Json::parse(R"({"model": "small", "temperature": 0.5, "seed": 4, "max_tokens": 20, "stop": ["\n"],
    "logprobs": true, "top_logprobs": 1, "response_format": {"type": "json_object"},
    "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello?"}]})");
  EXPECT_NEAR(seen["top_p"].get<double>(), 0.9, 1e-6);
  seen.erase("top_p");
  EXPECT_EQ(seen, expected);
}

TEST(RemoteChatClient, TriesAgainWhereThatMayHelp) {
  std::atomic<int> calls{0};
  Loopback server([&](const Json&, const httplib::Request&, httplib::Response& response) {
    const int call = calls++;
    if (call == 0) return send(response, {{"error", {{"message", "slow down"}}}}, 429);
    if (call == 1) {
      response.set_header("Retry-After", "0");
      return send(response, {{"error", "overloaded"}}, 503);
    }
    send(response, reply_with("third time"));
  });
  const auto client = make_remote_chat_client(server.options());
  EXPECT_EQ(client->complete(question).text(), "third time");
  EXPECT_EQ(server.tries, 3);
}

TEST(RemoteChatClient, GivesUpWithTheReason) {
  Loopback down([](const Json&, const httplib::Request&, httplib::Response& response) {
    send(response, {{"error", {{"message", "no room"}}}}, 500);
  });
  RemoteChatOptions options = down.options();
  options.retries = 2;
  const std::string error = error_of(*make_remote_chat_client(options));
  EXPECT_NE(error.find("no room"), std::string::npos) << error;
  EXPECT_NE(error.find("3 tries"), std::string::npos) << error;
  EXPECT_EQ(down.tries, 3);

  Loopback wrong([](const Json&, const httplib::Request&, httplib::Response& response) {
    send(response, {{"error", {{"message", "top_k is unknown"}}}}, 400);
  });
  EXPECT_NE(error_of(*make_remote_chat_client(wrong.options())).find("top_k is unknown"), std::string::npos);
  EXPECT_EQ(wrong.tries, 1) << "a wrong request stays wrong";
}

TEST(RemoteChatClient, BrokenRepliesAreErrors) {
  for (const std::string body : {"<html>", "[]", "{}", R"({"choices": [{"index": 3}]})", R"({"choices": 5})",
                                 R"({"choices": [], "usage": {"prompt_tokens": "many"}})"}) {
    Loopback server([&](const Json&, const httplib::Request&, httplib::Response& response) {
      response.set_content(body, "application/json");
    });
    const auto client = make_remote_chat_client(server.options());
    EXPECT_THROW(client->complete(question), std::exception) << body;
  }
}

TEST(RemoteChatClient, TimesOutAndFindsNobody) {
  Loopback server([](const Json&, const httplib::Request&, httplib::Response& response) {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    send(response, reply_with("late"));
  });
  RemoteChatOptions options = server.options();
  options.timeout_seconds = 0.2;
  options.retries = 0;
  EXPECT_NE(error_of(*make_remote_chat_client(options)).find("no answer"), std::string::npos);
  options.base_url = "http://127.0.0.1:1/v1";
  EXPECT_NE(error_of(*make_remote_chat_client(options)).find("127.0.0.1:1"), std::string::npos);
  options.base_url = "127.0.0.1/v1";
  EXPECT_THROW(make_remote_chat_client(options), Error);
}

TEST(RemoteChatClient, ABatchKeepsItsOrderItsBoundAndItsFailures) {
  Loopback server([](const Json& body, const httplib::Request&, httplib::Response& response) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::string text = body["messages"][0]["content"];
    if (text == "13") return send(response, {{"error", {{"message", "unlucky"}}}}, 400);
    send(response, reply_with("re: " + text));
  });
  RemoteChatOptions options = server.options();
  options.concurrency = 3;
  const auto client = make_remote_chat_client(options);
  std::vector<ChatTask> tasks;
  for (int i = 0; i < 40; ++i) tasks.push_back({{{"user", std::to_string(i)}}, {}});
  std::atomic<int> done{0};
  const auto outcomes = client->complete_batch(tasks, [&](size_t, const ChatOutcome&) { ++done; });
  for (int i = 0; i < 40; ++i) {
    const ChatOutcome& outcome = outcomes[static_cast<size_t>(i)];
    if (i == 13) {
      EXPECT_NE(outcome.error.find("unlucky"), std::string::npos);
    } else {
      ASSERT_TRUE(outcome.ok()) << outcome.error;
      EXPECT_EQ(outcome.reply.text(), "re: " + std::to_string(i));
    }
  }
  EXPECT_EQ(done, 40);
  EXPECT_LE(server.most, 3);
  EXPECT_GT(server.most, 1);
}

TEST(RemoteChatClient, StreamThatEndsEarlyIsNoAnswer) {
  Loopback server([](const Json&, const httplib::Request&, httplib::Response& response) {
    response.set_content("data: {\"choices\": [{\"delta\": {\"content\": \"Hel\"}}]}\n\n", "text/event-stream");
  });
  const auto client = make_remote_chat_client(server.options());
  ChatOptions options;
  options.on_text = [](int32_t, std::string_view) {};
  EXPECT_NE(error_of(*client, options).find("its stream ended before the answer did"), std::string::npos);
  EXPECT_EQ(server.tries, 1) << "a text that was shown is not asked for again";
}

TEST(RemoteChatClient, TakesNoEndlessAnswer) {
  for (const int status : {200, 500}) {
    Loopback server([&](const Json&, const httplib::Request&, httplib::Response& response) {
      response.status = status;
      response.set_chunked_content_provider("application/json", [block = std::string(1 << 20, ' ')](size_t, httplib::DataSink& sink) {
        return sink.write(block.data(), block.size());
      });
    });
    const auto client = make_remote_chat_client(server.options());
    EXPECT_NE(error_of(*client).find("its answer has more than 67108864 bytes"), std::string::npos) << status;
  }
}

TEST(RemoteChatClient, StreamsText) {
  Loopback server([](const Json& body, const httplib::Request&, httplib::Response& response) {
    EXPECT_TRUE(body["stream"].get<bool>());
    std::string events;
    const auto event = [&](const Json& json) { events += "data: " + json.dump() + "\r\n\r\n"; };
    event({{"choices", {{{"index", 0}, {"delta", {{"role", "assistant"}}}}}}});
    event({{"choices", {{{"index", 0}, {"delta", {{"content", "Hel"}}}}}}});
    events += ": keep-alive\n\n";
    event({{"choices", {{{"index", 0}, {"delta", {{"content", "lo"}}}, {"finish_reason", "length"}}}}});
    event({{"choices", Json::array()}, {"usage", {{"prompt_tokens", 5}, {"completion_tokens", 2}}}});
    events += "data: [DONE]\n\n";
    response.set_content(events, "text/event-stream");
  });
  const auto client = make_remote_chat_client(server.options());
  std::vector<std::string> pieces;
  ChatOptions options;
  options.on_text = [&](int32_t, std::string_view text) { pieces.emplace_back(text); };
  const ChatReply reply = client->complete(question, options);
  EXPECT_EQ(reply.text(), "Hello");
  EXPECT_EQ(reply.choices[0].finish_reason, "length");
  EXPECT_EQ(reply.completion_tokens, 2);
  EXPECT_EQ(pieces, (std::vector<std::string>{"Hel", "lo"}));
}

TEST(EventStream, TheSameHoweverItIsCut) {
  const std::string text =
      "data: one\n\nevent: x\ndata:two\ndata: more\r\n\r\n: comment\n\ndata: \n\ndata: unfinished";
  const std::vector<std::string> expected{"one", "two\nmore", ""};
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EventStream stream;
    std::vector<std::string> events = stream.push(std::string_view(text).substr(0, cut));
    for (std::string& event : stream.push(std::string_view(text).substr(cut)))
      events.push_back(std::move(event));
    EXPECT_EQ(events, expected) << cut;
  }
}

TEST(RemoteChatClient, AVariableThatHoldsNoKeyIsAnError) {
  RemoteChatOptions options;
  options.base_url = "http://127.0.0.1:9/v1";
  options.model = "small";
  options.api_key_variable = "FETTLE_TEST_KEY";
  for (const char* value : {"", " \n", "two words", "line\r\nX: y", "schl\xC3\xBCssel"}) {
    ::setenv("FETTLE_TEST_KEY", value, 1);
    EXPECT_THROW(make_remote_chat_client(options), Error) << value;
  }
  ::setenv("FETTLE_TEST_KEY", " secret\n", 1);
  EXPECT_NO_THROW(make_remote_chat_client(options));
  ::unsetenv("FETTLE_TEST_KEY");
  EXPECT_NO_THROW(make_remote_chat_client(options));
}

}  // namespace
}  // namespace fettle
