// What a request may cost, and thoughts before an answer that keeps to a form.
#include <ctime>

#include "serve/api/constraint.h"
#include "serve/api/messages_request.h"
#include "serve/api/request_test_model.h"
#include "serve/api/responses_request.h"
#include "serve/server_test_support.h"

namespace fettle::serve {
namespace {

std::string nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

double processor_seconds(const std::function<void()>& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

TEST(RequestBounds, TextThatIsReadAgainHasTheBoundsOfTheRequest) {
  const RequestModel fixture;
  for (const size_t depth : {size_t{600}, size_t{20000}, size_t{400000}}) {
    for (const std::string& text : {nested(depth), std::string(depth, '['), std::string(depth, '{'), "{\"a\":" + nested(depth) + "}"}) {
      const OrderedJson call{{"id", "c"}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", text}}}};
      const OrderedJson messages = OrderedJson::array(
          {{{"role", "assistant"}, {"content", "x"}, {"tool_calls", OrderedJson::array({call})}}, {{"role", "user"}, {"content", "x"}}});
      // It stays the text that it is.
      ModelContext model = fixture.model;
      model.context = int64_t{1} << 40;
      EXPECT_NE(fixture.prompt_of(decode_chat({{"messages", messages}}, model)).find(text.substr(5, 500)), std::string::npos);
      const OrderedJson items = OrderedJson::array({{{"type", "function_call"}, {"call_id", "c"}, {"name", "f"}, {"arguments", text}},
                                                    {{"role", "user"}, {"content", "x"}}});
      StoredResponses stored;
      EXPECT_NO_THROW(decode_responses({{"input", items}}, model, stored));
      for (const ToolFormat format : {ToolFormat::tagged, ToolFormat::listed, ToolFormat::bare}) {
        const std::string answer = std::string(tool_marker(format)) + "{\"name\": \"f\", \"arguments\": " + text + "}";
        EXPECT_TRUE(read_tool_calls(format, answer, {"f"}).calls.empty());
      }
      EXPECT_EQ(refusal([&] { decode_chat({{"messages", "hi"}, {"guided_json", text}}, model); }), "400 guided_json");
    }
  }
  EXPECT_EQ(refusal([] { parse_body("{\"a\":" + nested(600) + "}"); }), "400 ");
}

TEST(RequestBounds, ManyKeysTakeNoLonger) {
  const RequestModel fixture;
  ModelContext model = fixture.model;
  model.context = int64_t{1} << 40;
  constexpr int many = 60000;
  std::string keys;
  for (int i = 0; i < many; ++i) keys += fmt::format("{}\"k{}\":1", i == 0 ? "" : ",", i);
  std::string schemas;
  for (int i = 0; i < 5000; ++i) schemas += fmt::format("{}\"k{}\":{{\"type\":\"string\"}}", i == 0 ? "" : ",", i);
  const std::vector<std::string> bodies{
      R"({"messages":"hi","chat_template_kwargs":{)" + keys + "}}",
      R"({"messages":[{"role":"user","content":"x",)" + keys + "}]}",
      R"({"messages":"hi","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{)" + keys + "}}}}]}",
      R"({"messages":"hi","tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{)" + schemas + "}}}}]}",
      R"({"messages":"hi","response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{)" + schemas + "}}}}}",
      R"({"messages":"hi",)" + keys + "}"};
  for (const std::string& body : bodies) {
    const double seconds = processor_seconds([&] {
      refusal([&] { decode_chat(parse_body(body), model); });
    });
    EXPECT_LT(seconds, 2.0) << body.substr(0, 120);
  }
  const std::string kwargs = R"({"max_tokens":1,"messages":[{"role":"user","content":"x"}],"thinking":{"type":"disabled"},"chat_template_kwargs":{)" + keys + "}}";
  EXPECT_LT(processor_seconds([&] { decode_messages(parse_body(kwargs), model); }), 2.0);
}

TEST(RequestBounds, ABodyHasABoundOnItsValues) {
  std::string body = "{\"prompt\":[1";
  for (int i = 0; i < 2'100'000; ++i) body += ",1";
  EXPECT_EQ(refusal([&] { parse_body(body + "]}"); }), "400 ");
}

TEST(RequestBounds, SchemasThatAskForTooMuchAreRefusedByName) {
  const RequestModel fixture;
  OrderedJson patterns = OrderedJson::array();
  for (int i = 0; i < 300; ++i) patterns.push_back({{"properties", {{fmt::format("p{}", i), {{"pattern", fmt::format("(a|b)*a(a|b){{12}}{}", i)}}}}}});
  const OrderedJson format{{"type", "json_schema"}, {"json_schema", {{"schema", {{"allOf", patterns}}}}}};
  const double seconds = processor_seconds([&] {
    EXPECT_EQ(refusal([&] { decode_chat({{"messages", "hi"}, {"response_format", format}}, fixture.model); }), "400 response_format");
  });
  EXPECT_LT(seconds, 3.0);
}

/// Alternatives that begin alike: how many can be read at once shows while the answer is written.
TEST(RequestBounds, AnAnswerBeyondItsGrammarsBoundsIsTheRequestsFault) {
  OrderedJson definitions = OrderedJson::object();
  for (int i = 0; i < 25; ++i) {
    OrderedJson choices = OrderedJson::array();
    for (int least = 1; least <= 6; ++least) choices.push_back({{"type", "array"}, {"minItems", least}, {"items", {{"$ref", fmt::format("#/$defs/a{}", i + 1)}}}});
    definitions[fmt::format("a{}", i)] = {{"anyOf", std::move(choices)}};
  }
  definitions["a25"] = {{"type", "null"}};
  const Json schema{{"$ref", "#/$defs/a0"}, {"$defs", Json(definitions)}};
  const Running server;
  const Json body{{"messages", "hi"}, {"max_tokens", 400}, {"temperature", 0}, {"logit_bias", {{std::to_string(3 + '['), 100}}},
                  {"response_format", {{"type", "json_schema"}, {"json_schema", {{"schema", schema}}}}}};
  const Json refused = server.post("/v1/chat/completions", body, 400);
  EXPECT_EQ(refused["error"]["param"], "response_format");
  EXPECT_NE(refused["error"]["message"].get<std::string>().find("too many ways"), std::string::npos) << refused;
  Json streamed = body;
  streamed["stream"] = true;
  bool whole = false;
  const auto events = events_of(ask(server.port, "POST", "/v1/chat/completions", dump_json(streamed)), whole);
  ASSERT_FALSE(events.empty());
  EXPECT_NE(dump_json(events.back()).find("too many ways"), std::string::npos);
  EXPECT_NE(dump_json(events.back()).find("invalid_request_error"), std::string::npos);
  EXPECT_EQ(server.post("/v1/chat/completions", {{"messages", "hi"}, {"max_tokens", 2}})["object"], "chat.completion");
}

TEST(RequestBounds, PartsOfResponsesAreRefusedByName) {
  const Running server;
  const std::string id = server.post("/v1/responses", {{"input", "hi"}, {"max_output_tokens", 1}})["id"];
  for (const std::string& path : {"/v1/responses/" + id + "/input_items", std::string("/v1/responses/none/input_items?limit=2")}) {
    const Json refused = server.get(path, 501);
    EXPECT_NE(refused["error"]["message"].get<std::string>().find("'input_items' of a response is not supported"), std::string::npos) << refused;
  }
  EXPECT_EQ(server.post("/v1/responses/" + id + "/cancel", Json::object(), 501)["error"]["code"], "not_supported");
  server.get("/v1/responses/" + id);
}

class ThoughtBeforeForm : public testing::Test {
 protected:
  /// The prompt ends in `tail`.
  ModelContext model_with(const std::string& tail) {
    ModelContext model = fixture_.model;
    model.chat = std::make_shared<ChatTemplate>("{% if tools %}T{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}" + tail, Json::object());
    return model;
  }
  RequestModel fixture_;
  OrderedJson integer_{{"type", "json_schema"}, {"json_schema", {{"schema", {{"type", "integer"}}}}}};
};

TEST_F(ThoughtBeforeForm, AnOpenedThoughtIsFree) {
  const ModelContext model = model_with("<think>\n");
  const CompletionCall call = decode_chat({{"messages", "hi"}, {"response_format", integer_}}, model);
  EXPECT_TRUE(call.form.begins_in_thought);
  EXPECT_TRUE(may_write(call, "Six times { seven.\n</think>\n\n42"));
  EXPECT_FALSE(may_write(call, "42"));
  EXPECT_FALSE(may_write(call, "So.</think>x"));
  const AnswerParts parts = read_answer(call.form, "Six.\n</think>\n\n42");
  EXPECT_EQ(parts.thoughts, "Six.");
  EXPECT_EQ(parts.content, "42");
  for (const OrderedJson& more : {OrderedJson{{"guided_regex", "[0-9]{2}"}}, OrderedJson{{"guided_choice", {"42", "43"}}}}) {
    OrderedJson body{{"messages", "hi"}};
    body.update(more);
    EXPECT_TRUE(may_write(decode_chat(body, model), "Hm.</think>\n\n42")) << more;
    EXPECT_FALSE(may_write(decode_chat(body, model), "42")) << more;
  }
}

TEST_F(ThoughtBeforeForm, AThoughtMayComeOrNotWhereThePromptSaysNothing) {
  const CompletionCall call = decode_chat({{"messages", "hi"}, {"response_format", integer_}}, model_with("a:"));
  EXPECT_FALSE(call.form.begins_in_thought);
  EXPECT_TRUE(may_write(call, "42"));
  EXPECT_TRUE(may_write(call, "<think>\nSix.\n</think>\n\n42"));
  EXPECT_FALSE(may_write(call, "Six."));
}

TEST_F(ThoughtBeforeForm, AClosedThoughtIsNotOpenedAgain) {
  const CompletionCall call = decode_chat({{"messages", "hi"}, {"response_format", integer_}}, model_with("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(call.form.begins_in_thought);
  EXPECT_TRUE(may_write(call, "42"));
  EXPECT_FALSE(may_write(call, "<think>\n</think>42"));
}

TEST_F(ThoughtBeforeForm, CallsAndTheOtherInterfacesDoTheSame) {
  const ModelContext model = model_with("<think>\n");
  const OrderedJson tools = OrderedJson::parse(R"([{"type":"function","function":{"name":"now"}}])");
  const CompletionCall called = decode_chat({{"messages", "hi"}, {"tools", tools}, {"tool_choice", "required"}}, model);
  const std::string call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(may_write(called, "I look.\n</think>\n\n" + call));
  EXPECT_FALSE(may_write(called, call));
  const AnswerParts parts = read_answer(called.form, "I look.\n</think>\n\n" + call);
  EXPECT_EQ(parts.thoughts, "I look.");
  EXPECT_EQ(parts.calls.size(), 1U);
  const OrderedJson format{{"type", "json_schema"}, {"schema", {{"type", "integer"}}}};
  StoredResponses stored;
  OrderedJson named = format;
  named["name"] = "x";
  const CompletionCall response = decode_responses({{"input", "hi"}, {"text", {{"format", named}}}}, model, stored).call;
  EXPECT_TRUE(may_write(response, "Hm.</think>42"));
  EXPECT_FALSE(may_write(response, "42"));
  const CompletionCall message = decode_messages(
      {{"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"max_tokens", 50}, {"output_config", {{"format", format}}}}, model);
  EXPECT_TRUE(may_write(message, "Hm.</think>42"));
  EXPECT_FALSE(may_write(message, "42"));
}

}  // namespace
}  // namespace fettle::serve
