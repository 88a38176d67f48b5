// The routes of the Responses and Messages APIs and what trainers ask for, as they stand on the wire.
#include <set>

#include "serve/server_test_support.h"

namespace fettle::serve {
namespace {

const std::string key_header = "x-api-key: key\r\n";

/// "event: NAME" of a stream in order, each once.
std::vector<std::string> event_names(const std::string& answer) {
  std::vector<std::string> names;
  for (size_t at = answer.find("event: "); at != std::string::npos; at = answer.find("event: ", at)) {
    const size_t end = answer.find('\n', at);
    const std::string name = answer.substr(at + 7, end - at - 7);
    if (names.empty() || names.back() != name) names.push_back(name);
    at = end;
  }
  return names;
}

TEST(ServerApi, ResponsesAreAnsweredStreamedStoredAndDeleted) {
  const Running server;
  const Json body{{"input", "hello"}, {"max_output_tokens", 20}, {"temperature", 0}};
  const Json whole = server.post("/v1/responses", body);
  const Json chat =
      server.post("/v1/chat/completions", {{"messages", "hello"}, {"max_tokens", 20}, {"temperature", 0}});
  const std::string text = whole["output"][0]["content"][0]["text"];
  EXPECT_EQ(text, chat["choices"][0]["message"]["content"]);
  EXPECT_EQ(whole["usage"]["input_tokens"], chat["usage"]["prompt_tokens"]);
  const std::string id = whole["id"];
  EXPECT_EQ(server.get("/v1/responses/" + id), whole);
  const Json next = server.post(
      "/v1/responses",
      {{"input", "and"}, {"max_output_tokens", 1}, {"previous_response_id", id}, {"store", false}});
  EXPECT_EQ(next["usage"]["input_tokens"], std::string("u:hello\na:\nu:and\na:").size() + text.size());
  server.get("/v1/responses/" + next["id"].get<std::string>(), 404);
  EXPECT_EQ(Json::parse(body_of(ask(server.port, "DELETE", "/v1/responses/" + id)))["deleted"], true);
  server.get("/v1/responses/" + id, 404);

  Json streamed = body;
  streamed["stream"] = true;
  const std::string answer = ask(server.port, "POST", "/v1/responses", dump_json(streamed));
  const auto names = event_names(answer);
  EXPECT_EQ(names.front(), "response.created");
  EXPECT_EQ(names.back(), "response.incomplete");
  bool done = true;
  const auto events = events_of(answer, done);
  EXPECT_FALSE(done);  // as OpenAI ends it: by its last event
  std::string deltas;
  for (const Json& event : events) {
    if (event["type"] == "response.output_text.delta") deltas += event["delta"];
  }
  EXPECT_EQ(deltas, text);
  EXPECT_EQ(events.back()["response"]["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

TEST(ServerApi, MessagesAreAnsweredStreamedAndCounted) {
  ServeOptions options;
  options.api_keys = {"key"};
  const Running server(options);
  const Json body{{"model", "small"},
                  {"max_tokens", 20},
                  {"temperature", 0},
                  {"messages", {{{"role", "user"}, {"content", "hello"}}}}};
  const Json whole = server.post("/v1/messages", body, 200, key_header);
  EXPECT_EQ(whole["stop_reason"], "max_tokens");
  Json counted = body;
  counted.erase("max_tokens");
  EXPECT_EQ(server.post("/v1/messages/count_tokens?beta=true", counted, 200, key_header)["input_tokens"],
            whole["usage"]["input_tokens"]);
  Json streamed = body;
  streamed["stream"] = true;
  const std::string answer = ask(server.port, "POST", "/v1/messages", dump_json(streamed), key_header);
  EXPECT_EQ(event_names(answer),
            (std::vector<std::string>{"message_start", "ping", "content_block_start", "content_block_delta",
                                      "content_block_stop", "message_delta", "message_stop"}));
  bool done = false;
  std::string text;
  for (const Json& event : events_of(answer, done)) {
    if (event["type"] == "content_block_delta") text += event["delta"]["text"];
  }
  EXPECT_EQ(text, whole["content"][0]["text"]);

  const auto type_of = [&](const Json& sent, int status, const std::string& headers) -> std::string {
    const Json error = server.post("/v1/messages", sent, status, headers);
    return error["type"] == "error" ? error["error"]["type"] : "no error";
  };
  EXPECT_EQ(type_of(body, 401, "x-api-key: wrong\r\n"), "authentication_error");
  EXPECT_EQ(type_of(body, 401, ""), "authentication_error");
  EXPECT_EQ(type_of({{"messages", 1}}, 400, key_header), "invalid_request_error");
  Json other = body;
  other["model"] = "other";
  EXPECT_EQ(type_of(other, 404, "Authorization: Bearer key\r\n"), "not_found_error");
  EXPECT_EQ(server.get("/v1/messages", 405, key_header)["type"], "error");
  EXPECT_EQ(server.get("/v1/models", 401)["error"]["code"], "invalid_api_key");
}

TEST(ServerApi, TokenIdsAndPromptLogProbabilitiesForTrainers) {
  const Running server;
  const Json fields{{"max_tokens", 4},
                    {"temperature", 0},
                    {"return_token_ids", true},
                    {"prompt_logprobs", 2},
                    {"ignore_eos", true}};
  Json body = fields;
  body["prompt"] = "Once upon";
  const Json choice = server.post("/v1/completions", body)["choices"][0];
  EXPECT_EQ(choice["token_ids"].size(), 4u);
  const auto ids = choice["prompt_token_ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(server.post("/tokenize", {{"prompt", "Once upon"}})["tokens"], choice["prompt_token_ids"]);
  const Json echoed = server.post("/v1/completions", {{"prompt", ids},
                                                      {"echo", true},
                                                      {"logprobs", 1},
                                                      {"max_tokens", 0},
                                                      {"return_tokens_as_token_ids", true}});
  const Json& logprobs = echoed["choices"][0]["logprobs"];
  ASSERT_EQ(choice["prompt_logprobs"].size(), ids.size());
  EXPECT_TRUE(choice["prompt_logprobs"][0].is_null());
  for (size_t i = 1; i < ids.size(); ++i) {
    const Json& here = choice["prompt_logprobs"][i];
    const Json& own = here.at(std::to_string(ids[i]));
    EXPECT_EQ(own["logprob"], logprobs["token_logprobs"][i]);
    EXPECT_EQ(logprobs["tokens"][i], fmt::format("token_id:{}", ids[i]));
    EXPECT_GE(here.size(), 2u);
    EXPECT_EQ(here.size() == 2u, own["rank"] <= 2);
  }
  body = fields;
  body["messages"] = "Once";
  const Json chat = server.post("/v1/chat/completions", body);
  EXPECT_EQ(chat["prompt_logprobs"].size(), chat["prompt_token_ids"].size());
  EXPECT_EQ(chat["choices"][0]["token_ids"].size(), 4u);
  body["stream"] = true;
  EXPECT_EQ(server.post("/v1/chat/completions", body, 400)["error"]["param"], "prompt_logprobs");
  body.erase("prompt_logprobs");
  bool done = false;
  Json streamed = Json::array(), prompt;
  for (const Json& event :
       events_of(ask(server.port, "POST", "/v1/chat/completions", dump_json(body)), done)) {
    if (event.contains("prompt_token_ids")) prompt = event["prompt_token_ids"];
    for (const Json& id : event["choices"][0].value("token_ids", Json::array())) streamed.push_back(id);
  }
  EXPECT_EQ(streamed, chat["choices"][0]["token_ids"]);
  EXPECT_EQ(prompt, chat["prompt_token_ids"]);
}

TEST(ServerApi, AdaptersTokensAndVersionUnderVllmsNames) {
  ServeOptions options;
  options.api_keys = {"key"};
  const Running server(options);
  const auto text = [&](int status) {
    return server
        .post("/v1/completions", {{"prompt", "Once"}, {"max_tokens", 24}, {"temperature", 0}, {"model", "a"}},
              status, key_header)
        .dump();
  };
  const auto load = [&](uint64_t adapter, bool inplace, int status) {
    const Json body{{"lora_name", "a"},
                    {"lora_path", folder().adapter_path(adapter).string()},
                    {"load_inplace", inplace}};
    EXPECT_EQ(status_of(ask(server.port, "POST", "/v1/load_lora_adapter", dump_json(body), key_header)),
              status);
  };
  text(404);
  load(1, false, 200);
  const Json one = Json::parse(text(200))["choices"];
  load(2, false, 409);
  load(2, true, 200);
  EXPECT_NE(Json::parse(text(200))["choices"], one);
  const std::string unload = R"({"lora_name":"a"})";
  EXPECT_EQ(status_of(ask(server.port, "POST", "/v1/unload_lora_adapter", unload, key_header)), 200);
  EXPECT_EQ(status_of(ask(server.port, "POST", "/v1/unload_lora_adapter", unload, key_header)), 404);
  const Json tokens = server.post(
      "/tokenize", {{"messages", {{{"role", "user"}, {"content", "x"}}}}, {"return_token_strs", true}}, 200,
      key_header);
  EXPECT_EQ(tokens["token_strs"].size(), tokens["count"]);
  EXPECT_TRUE(server.get("/version", 200, key_header)["version"].is_string());
  EXPECT_EQ(server.get("/ping", 200, key_header), Json::object());
}

TEST(ServerApi, NestedBodiesAndArgumentsAreBounded) {
  const Running server;
  const std::string deep(20000, '['), closed = deep + std::string(20000, ']');
  for (const char* path : {"/v1/responses", "/v1/messages"}) {
    const std::string body = "{\"input\":" + closed + "}";
    EXPECT_EQ(status_of(ask(server.port, "POST", path, body)), 400);
  }
  const Json call{{"type", "function_call"}, {"call_id", "c"}, {"name", "f"}, {"arguments", closed}};
  // The template here writes no calls, and a call is not dropped in silence.
  const Json refused =
      server.post("/v1/responses", {{"input", {{{"role", "user"}, {"content", "x"}}, call}}}, 400);
  EXPECT_NE(refused["error"]["message"].get<std::string>().find("tool calls"), std::string::npos);
  EXPECT_EQ(server.post("/v1/responses", {{"input", "x"}, {"max_output_tokens", 1}}, 200)["object"], "response");
}

}  // namespace
}  // namespace fettle::serve
