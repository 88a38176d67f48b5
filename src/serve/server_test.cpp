// The whole server over a small random model: what the wire says, and that it equals the engine's own text.
#include "serve/server_test_support.h"

namespace fettle::serve {
namespace {

std::string engine_text(const Json& fields) {
  OpenModel model(folder().path());
  Engine engine(model);
  GenerationRequest request;
  request.prompt = model.tokenizer()->encode("Once", {.add_special = true});
  request.max_tokens = 24;
  request.sampling.temperature = fields.value("temperature", 1.0F);
  request.sampling.seed = fields.value("seed", 0);
  return engine.generate(std::move(request)).samples[0].text;
}

TEST(Server, TextEqualsTheEnginesAloneInABatchWithoutCacheAndAfterARestart) {
  const Json greedy{{"temperature", 0}}, drawn{{"temperature", 0.8}, {"seed", 11}};
  const std::string wanted_greedy = engine_text(greedy), wanted_drawn = engine_text(drawn);
  for (const bool cache : {true, false}) {
    ServeOptions options;
    options.engine.prefix_cache = cache;
    const Running server(options);
    for (int round = 0; round < 2; ++round) {
      EXPECT_EQ(server.text(greedy), wanted_greedy);
      EXPECT_EQ(server.text(drawn), wanted_drawn);
    }
    std::vector<std::thread> clients;
    std::atomic<int> equal{0};
    for (int i = 0; i < 16; ++i) {
      clients.emplace_back([&, i] {
        Json body = i % 2 == 0 ? greedy : drawn;
        if (i % 4 == 3) body = {{"prompt", std::string(static_cast<size_t>(20 + i), 'x')}, {"seed", i}};
        const std::string text = server.text(body);
        if (i % 4 == 3 || text == (i % 2 == 0 ? wanted_greedy : wanted_drawn)) ++equal;
      });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(equal, 16);
  }
}

TEST(Server, StreamsTheSameTextWithUsage) {
  const Running server;
  const Json body{{"messages", "hello"}, {"max_tokens", 20}, {"temperature", 0}, {"n", 2}};
  const Json whole = server.post("/v1/chat/completions", body);
  Json streamed = body;
  streamed["stream"] = true;
  streamed["stream_options"] = {{"include_usage", true}};
  bool done = false;
  const auto events = events_of(ask(server.port, "POST", "/v1/chat/completions", dump_json(streamed)), done);
  EXPECT_TRUE(done);
  std::string texts[2];
  int finished = 0;
  for (const Json& event : events) {
    for (const Json& choice : event["choices"]) {
      if (choice["delta"].contains("content"))
        texts[choice["index"].get<int>()] += choice["delta"]["content"].get<std::string>();
      if (!choice["finish_reason"].is_null()) ++finished;
    }
  }
  EXPECT_EQ(finished, 2);
  EXPECT_EQ(texts[0], whole["choices"][0]["message"]["content"]);
  EXPECT_EQ(texts[1], whole["choices"][1]["message"]["content"]);
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
  EXPECT_EQ(whole["usage"]["prompt_tokens"], 10);  // "u:hello\na:"
}

TEST(Server, EchoedLogProbabilitiesAreThoseOfScoring) {
  const Running server;
  const Json answer = server.post(
      "/v1/completions", {{"prompt", "Once upon"}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 0}});
  const Json& logprobs = answer["choices"][0]["logprobs"];
  EXPECT_EQ(answer["choices"][0]["text"], "Once upon");
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  OpenModel model(folder().path());
  const auto ids = model.tokenizer()->encode("Once upon", {.add_special = true});
  ASSERT_EQ(logprobs["tokens"].size(), ids.size());
  const ScoreRow row{{ids[0]}, {ids.begin() + 1, ids.end()}};
  const Score scored = score(model.decoder(), {&row, 1}).front();
  for (size_t i = 1; i < ids.size(); ++i)
    EXPECT_NEAR(logprobs["token_logprobs"][i].get<double>(), scored.logps[i - 1], 1e-4);
}

TEST(Server, AdaptersNameComposeLoadAndUnload) {
  ServeOptions options;
  options.adapters = {{"one", folder().adapter_path(1)}};
  options.api_keys = {"key"};
  const Running server(options);
  const std::string key = "Authorization: Bearer key\r\n";
  const auto text = [&](const std::string& model, int wanted = 200) -> std::string {
    const Json answer = server.post(
        "/v1/completions", {{"prompt", "Once"}, {"max_tokens", 24}, {"temperature", 0}, {"model", model}},
        wanted, key);
    return wanted == 200 ? answer["choices"][0]["text"] : answer["error"]["code"];
  };
  const std::string base = text("small"), one = text("one");
  EXPECT_NE(base, one);
  EXPECT_EQ(text("two", 404), "model_not_found");
  server.post("/v1/adapters", {{"name", "two"}, {"path", folder().adapter_path(2).string()}}, 201, key);
  const std::string two = text("two");
  EXPECT_NE(two, one);
  EXPECT_EQ(text("one:0+two:1"), two);
  EXPECT_EQ(text("one:0.0"), base);
  EXPECT_NE(text("one+two"), two);
  EXPECT_EQ(text("small"), base);
  EXPECT_EQ(server.get("/v1/models", 200, key)["data"].size(), 3u);
  EXPECT_EQ(status_of(ask(server.port, "DELETE", "/v1/adapters/two", {}, key)), 200);
  EXPECT_EQ(text("two", 404), "model_not_found");
  server.post("/v1/adapters", {{"name", "bad"}, {"path", "/nowhere"}}, 400, key);
}

TEST(Server, KeysHostsAndOrigins) {
  ServeOptions options;
  options.api_keys = {"first", "second"};
  const Running server(options);
  EXPECT_EQ(server.get("/v1/models", 401)["error"]["code"], "invalid_api_key");
  server.get("/v1/models", 401, "Authorization: Bearer firs\r\n");
  server.get("/%76%31/models", 401);
  server.get("/metrics", 401);
  server.get("/v1/models", 200, "Authorization: Bearer second\r\n");
  server.get("/health", 200);
  EXPECT_EQ(status_of(ask(server.port, "GET", "/", {})), 200);
  const Running open;
  open.post("/v1/adapters", {{"name", "a"}, {"path", "b"}}, 403);
  open.post("/tokenize", {{"prompt", "x"}}, 403, "Origin: http://evil.example\r\n");
}

TEST(Server, AnswersToItsOwnNamesWhereverItListens) {
  for (const char* listen : {"127.0.0.1", "0.0.0.0"}) {
    ServeOptions options;
    options.http.host = listen;
    options.allowed_hosts = {"models.example"};
    const Running server(options);
    const auto called = [&](const std::string& host) {
      RawClient client(server.port);
      client.send(fmt::format("GET /v1/models HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host));
      return client.read_all();
    };
    for (const std::string host : {"localhost", "127.0.0.1:1", "[::1]", "models.example", "MODELS.example:443"})
      EXPECT_EQ(status_of(called(host)), 200) << host;
    const std::string refused = called("evil.example:18888");
    EXPECT_EQ(status_of(refused), 403);
    EXPECT_NE(refused.find("--allowed-host evil.example"), std::string::npos) << refused;
  }
}

TEST(Server, KeysInEveryWayThatClientsSendThem) {
  ServeOptions options;
  options.api_keys = {"key"};
  const Running server(options);
  for (const char* good : {"Authorization: Bearer key\r\n", "Authorization: bearer key\r\n", "authorization: BEARER  key\r\n", "x-api-key: key\r\n",
                           "X-Api-Key: key\r\nAuthorization: Bearer other\r\n"})
    server.get("/v1/models", 200, good);
  for (const char* bad : {"Authorization: Basic key\r\n", "Authorization: Bearerkey\r\n", "Authorization: Bearer\r\n", "x-api-key: keys\r\n"})
    server.get("/v1/models", 401, bad);
}

TEST(Server, ANameThatIsNoCompositionIsNotFound) {
  ServeOptions options;
  options.adapters = {{"one", folder().adapter_path(1)}};
  const Running server(options);
  const auto code = [&](const char* model, int status) {
    return server.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 1}, {"model", model}}, status)["error"]["code"];
  };
  for (const char* model : {"llama3.2:latest", "one:latest", "small:latest", "one+two", "llama3.2:70b"}) EXPECT_EQ(code(model, 404), "model_not_found");
  EXPECT_EQ(code("one:17", 400), "invalid_value");
  server.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 1}, {"model", "one:0.5"}});
}

/// What a browser that loads a page from `origin` sends, and whether its script may read the answer.
TEST(Server, PagesOfTheAllowedOriginMayAskAndRead) {
  const std::string page = "http://page.example", sdk = "authorization,content-type,x-stainless-arch,x-stainless-retry-count";
  for (const bool all : {true, false}) {
    ServeOptions options;
    options.api_keys = {"key"};
    options.http.cors_origin = all ? "*" : page;
    const Running server(options);
    const std::string allowed = "\r\nAccess-Control-Allow-Origin: " + options.http.cors_origin + "\r\n", from = "Origin: " + page + "\r\n";
    const auto has = [](const std::string& answer, const std::string& line) { return answer.find(line) != std::string::npos; };
    const std::string preflight =
        ask(server.port, "OPTIONS", "/v1/chat/completions", {},
            from + "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: " + sdk + "\r\nAccess-Control-Request-Private-Network: true\r\n");
    EXPECT_EQ(status_of(preflight), 204) << preflight;
    EXPECT_TRUE(has(preflight, allowed) && has(preflight, "Access-Control-Allow-Headers: " + sdk + "\r\n")) << preflight;
    EXPECT_TRUE(has(preflight, "Access-Control-Max-Age: 600") && has(preflight, "Access-Control-Allow-Private-Network: true")) << preflight;
    EXPECT_FALSE(has(preflight, "Allow-Credentials"));
    const std::string key = from + "Authorization: Bearer key\r\n";
    const std::string body = R"({"messages":"hi","max_tokens":2,"stream":true})";
    for (const std::string& answer :
         {ask(server.port, "POST", "/v1/chat/completions", body, key), ask(server.port, "POST", "/v1/chat/completions", body, from),
          ask(server.port, "POST", "/v1/chat/completions", "{}", key), ask(server.port, "GET", "/nothing", {}, key),
          ask(server.port, "PUT", "/v1/models", {}, key)}) {
      EXPECT_TRUE(has(answer, allowed)) << answer;
      EXPECT_EQ(has(answer, "\r\nVary: Origin\r\n"), !all) << answer;
    }
    const std::string other = ask(server.port, "GET", "/v1/models", {}, "Origin: http://other.example\r\nAuthorization: Bearer key\r\n");
    EXPECT_EQ(has(other, "Access-Control-Allow-Origin"), all);
  }
  const Running closed;
  EXPECT_EQ(ask(closed.port, "GET", "/v1/models", {}, "Origin: " + page + "\r\n").find("Access-Control"), std::string::npos);
}

TEST(Server, JsonModeAndSchemasHold) {
  const Running server;
  const Json schema{{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}}}, {"required", {"a"}}};
  const Json body{
      {"messages", "hello"},
      {"max_tokens", 120},
      {"temperature", 1.3},
      {"seed", 3},
      {"response_format", {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}}}};
  const std::string text = server.post("/v1/chat/completions", body)["choices"][0]["message"]["content"];
  EXPECT_TRUE(Json::parse(text).at("a").is_number_integer()) << text;
}

TEST(Server, TokensEmbeddingsAndCounters) {
  const Running server;
  const Json tokens = server.post("/tokenize", {{"prompt", "ab"}});
  EXPECT_EQ(tokens["tokens"], (Json{100, 101}));
  EXPECT_EQ(server.post("/detokenize", {{"tokens", {100, 101}}})["prompt"], "ab");
  const Json embedded = server.post("/v1/embeddings", {{"input", {"ab", "ab", "zz"}}});
  const auto first = embedded["data"][0]["embedding"].get<std::vector<double>>();
  double square = 0.0;
  for (const double x : first) square += x * x;
  EXPECT_NEAR(square, 1.0, 1e-5);
  EXPECT_EQ(embedded["data"][0]["embedding"], embedded["data"][1]["embedding"]);
  EXPECT_NE(embedded["data"][0]["embedding"], embedded["data"][2]["embedding"]);
  server.text({});
  const std::string metrics = body_of(ask(server.port, "GET", "/metrics"));
  EXPECT_NE(metrics.find("fettle_generated_tokens_total 24\n"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("route=\"/v1/completions\",status=\"200\""), std::string::npos);
}

TEST(Server, AClientThatLeavesIsCancelled) {
  const Running server;
  {
    RawClient client(server.port);
    const std::string body = R"({"prompt":"a","max_tokens":500,"ignore_eos":true,"stream":true})";
    client.send(
        fmt::format("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
    client.read_answer(200);
  }
  for (int i = 0; i < 100; ++i) {
    const std::string metrics = body_of(ask(server.port, "GET", "/metrics"));
    if (metrics.find("fettle_requests_cancelled_total 1\n") != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL() << "the request was not cancelled";
}

TEST(Server, DeadlinesAndVotes) {
  ServeOptions options;
  options.votes = folder().file("votes.sqlite");
  const Running server(options);
  const Json late = server.post(
      "/v1/completions", {{"prompt", "a"}, {"max_tokens", 500}, {"ignore_eos", true}, {"timeout", 0.001}});
  EXPECT_EQ(late["choices"][0]["finish_reason"], "timeout");
  const Json vote{{"messages", {{{"role", "user"}, {"content", "q"}}}},
                  {"a", {{"model", "x"}, {"content", "1"}}},
                  {"b", {{"model", "y"}, {"content", "2"}}},
                  {"vote", "b"}};
  server.post("/v1/arena/votes", vote, 201);
  EXPECT_EQ(server.get("/v1/arena/table")["votes"], 1);
  EXPECT_EQ(server.get("/v1/arena/votes/export")["chosen_model"], "y");
  EXPECT_EQ(server.get("/v1/arena/votes?limit=x", 400)["error"]["param"], "limit");
}

}  // namespace
}  // namespace fettle::serve
