#include "serve/api/completion_request.h"

#include <gtest/gtest.h>

#include "generate/test_support.h"
#include "serve/api/reply.h"

namespace fettle::serve {
namespace {

class CompletionRequest : public testing::Test {
 protected:
  CompletionRequest() : grammars_(*tokenizer_, test::byte_vocabulary, {2}) {
    model_.tokenizer = tokenizer_;
    model_.chat = std::make_shared<ChatTemplate>(
        "{% if tools %}<tool_call>{{ tools | length }}{% endif %}{% for m in messages %}{{ m.role[0] }}:{{ "
        "m.content }};{% endfor %}"
        "{% if add_generation_prompt %}a:{% endif %}",
        Json::object());
    model_.tools = ToolFormat::tagged;
    model_.vocabulary = test::byte_vocabulary;
    model_.context = 200;
    model_.grammars = &grammars_;
    model_.resolve = [](const std::string& name) -> std::vector<AdapterUse> {
      if (name.empty() || name == "m") return {};
      throw ApiError(404, "model_not_found", "model", "no");
    };
  }

  static OrderedJson chat_body(const char* more = "{}") {
    OrderedJson body{{"messages", {{{"role", "user"}, {"content", "hi"}}}}};
    body.update(OrderedJson::parse(more));
    return body;
  }
  CompletionCall chat(const char* more = "{}") { return decode_chat(chat_body(more), model_); }
  CompletionCall text(const char* body) { return decode_completion(OrderedJson::parse(body), model_); }

  /// The field that a body is refused for, with the status.
  std::string refused(const char* more, bool as_chat = true) {
    try {
      if (as_chat)
        chat(more);
      else
        text(more);
      return "";
    } catch (const ApiError& error) {
      return fmt::format("{} {} {}", error.status(), error.code(), error.body()["error"]["param"].dump());
    }
  }
  std::string shown(const std::vector<int32_t>& ids) const { return tokenizer_->decode(ids); }

  std::shared_ptr<const Tokenizer> tokenizer_ = test::byte_tokenizer();
  TokenGrammars grammars_;
  ModelContext model_;
};

TEST_F(CompletionRequest, EveryFieldReachesTheEngine) {
  const CompletionCall call = chat(
      R"({"model":"m","temperature":0.5,"top_p":0.9,"top_k":7,"min_p":0.1,"n":3,"max_completion_tokens":9,
      "stop":["x","yy"],"stream":true,"stream_options":{"include_usage":true},"presence_penalty":0.1,"frequency_penalty":0.2,
      "repetition_penalty":1.1,"seed":-1,"logprobs":true,"top_logprobs":4,"logit_bias":{"5":-100},"user":"u","timeout":5})");
  const GenerationRequest& r = call.requests.at(0);
  EXPECT_EQ(shown(r.prompt), "u:hi;a:");
  EXPECT_FLOAT_EQ(r.sampling.temperature, 0.5F);
  EXPECT_FLOAT_EQ(r.sampling.top_p, 0.9F);
  EXPECT_EQ(r.sampling.top_k, 7);
  EXPECT_FLOAT_EQ(r.sampling.min_p, 0.1F);
  EXPECT_EQ(r.n, 3);
  EXPECT_EQ(r.max_tokens, 9);
  EXPECT_EQ(r.stop, (std::vector<std::string>{"x", "yy"}));
  EXPECT_TRUE(call.stream && call.include_usage && r.logprobs);
  EXPECT_FLOAT_EQ(r.sampling.presence_penalty, 0.1F);
  EXPECT_FLOAT_EQ(r.sampling.frequency_penalty, 0.2F);
  EXPECT_FLOAT_EQ(r.sampling.repetition_penalty, 1.1F);
  EXPECT_EQ(r.sampling.seed, ~uint64_t{0});
  EXPECT_EQ(r.top_logprobs, 4);
  EXPECT_EQ(r.sampling.logit_bias.at(0), (std::pair<int32_t, float>{5, -100.0F}));
  EXPECT_EQ(call.user, "u");
  EXPECT_LT(r.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(6));
}

TEST_F(CompletionRequest, EveryRefusalNamesItsField) {
  EXPECT_EQ(refused(R"({"temperature":-1})"), "400 invalid_value \"temperature\"");
  EXPECT_EQ(refused(R"({"temperature":"hot"})"), "400 invalid_value \"temperature\"");
  EXPECT_EQ(refused(R"({"top_p":1.5})"), "400 invalid_value \"top_p\"");
  EXPECT_EQ(refused(R"({"n":0})"), "400 invalid_value \"n\"");
  EXPECT_EQ(refused(R"({"n":1000000000000})"), "400 invalid_value \"n\"");
  EXPECT_EQ(refused(R"({"n":1.5})"), "400 invalid_value \"n\"");
  EXPECT_EQ(refused(R"({"max_tokens":0})"), "400 invalid_value \"max_tokens\"");
  EXPECT_EQ(refused(R"({"max_tokens":500})"), "400 context_length_exceeded \"messages\"");
  EXPECT_EQ(refused(R"({"stop":[""]})"), "400 invalid_value \"stop\"");
  EXPECT_EQ(refused(R"({"logit_bias":{"x":1}})"), "400 invalid_value \"logit_bias\"");
  EXPECT_EQ(refused(R"({"logit_bias":{"1":101}})"), "400 invalid_value \"logit_bias\"");
  EXPECT_EQ(refused(R"({"top_logprobs":2})"), "400 invalid_value \"top_logprobs\"");
  EXPECT_EQ(refused(R"({"seed":99999999999999999999})"), "400 invalid_value \"seed\"");
  EXPECT_EQ(refused(R"({"colour":1})"), "400 unsupported_field \"colour\"");
  EXPECT_EQ(refused(R"({"colour":null})"), "");
  EXPECT_EQ(refused(R"({"best_of":2})"), "400 unsupported_field \"best_of\"");
  EXPECT_EQ(refused(R"({"condition":"x"})"), "400 unsupported_field \"condition\"");
  EXPECT_EQ(refused(R"({"model":"other"})"), "404 model_not_found \"model\"");
  EXPECT_EQ(refused(R"({"messages":[]})"), "400 invalid_value \"messages\"");
  EXPECT_EQ(refused(R"({"messages":[{"role":"robot","content":"x"}]})"), "400 invalid_value \"messages\"");
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"),
            "400 invalid_value \"messages\"");
  EXPECT_EQ(refused(R"({"stream_options":{"include_usage":true}})"), "400 invalid_value \"stream_options\"");
  EXPECT_EQ(refused(R"({"response_format":{"type":"xml"}})"), "400 invalid_value \"response_format\"");
  EXPECT_EQ(refused(R"({"response_format":{"type":"json_schema","json_schema":{"schema":{"patern":"x"}}}})"),
            "400 invalid_value \"response_format\"");
  EXPECT_EQ(refused(R"({"tool_choice":"required"})"), "400 invalid_value \"tool_choice\"");
  EXPECT_EQ(refused(R"({"prompt":"x","suffix":"y"})", false), "400 unsupported_field \"suffix\"");
  EXPECT_EQ(refused(R"({"prompt":[1,999]})", false), "400 invalid_value \"prompt\"");
  EXPECT_EQ(refused(R"({"prompt":"x","max_tokens":0})", false), "400 invalid_value \"max_tokens\"");
  EXPECT_EQ(refused(R"({})", false), "400 invalid_value \"prompt\"");
}

TEST_F(CompletionRequest, BodiesThatAreNoJsonObjectAreRefused) {
  for (const std::string& bad : {std::string("["), std::string("[]"), std::string("{\"a\":\"\xff\"}"),
                                 std::string(2000, '['), std::string()}) {
    EXPECT_THROW(parse_body(bad), ApiError);
  }
}

TEST_F(CompletionRequest, PromptsInEveryShape) {
  EXPECT_EQ(text(R"({"prompt":"ab"})").requests.at(0).prompt, (std::vector<int32_t>{100, 101}));
  EXPECT_EQ(text(R"({"prompt":[5,6]})").requests.at(0).prompt, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(text(R"({"prompt":["a","b"],"n":2})").requests.size(), 2u);
  EXPECT_EQ(text(R"({"prompt":[[5],[6]]})").requests.at(1).prompt, (std::vector<int32_t>{6}));
  const CompletionCall echo = text(R"({"prompt":"ab","echo":true,"logprobs":0,"max_tokens":0})");
  EXPECT_TRUE(echo.echo && echo.prompt_only && echo.requests.at(0).prompt_logprobs);
  EXPECT_EQ(echo.requests.at(0).max_tokens, 1);
}

TEST_F(CompletionRequest, ToolsAndOpenTurns) {
  const char* tools =
      R"({"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}}}]})";
  const CompletionCall call = chat(tools);
  EXPECT_EQ(shown(call.requests.at(0).prompt), "<tool_call>1u:hi;a:");
  EXPECT_EQ(call.form.tool_names, std::vector<std::string>{"f"});
  OrderedJson body = chat_body(tools);
  body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "f"}}}};
  EXPECT_NE(decode_chat(body, model_).requests.at(0).constraint, nullptr);
  body["tool_choice"] = "none";
  EXPECT_EQ(shown(decode_chat(body, model_).requests.at(0).prompt), "u:hi;a:");
  model_.tools.reset();
  EXPECT_EQ(refused(tools), "400 unsupported_field \"tools\"");
  const CompletionCall open = chat(
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ye"}],"continue_final_message":true})");
  EXPECT_EQ(shown(open.requests.at(0).prompt), "u:hi;a:ye");
}

TEST_F(CompletionRequest, StreamsGatherCallsAndSendTextAtOnce) {
  const CompletionCall call =
      chat(R"({"stream":true,"tools":[{"type":"function","function":{"name":"f"}}]})");
  CompletionReply stream(std::make_shared<const CompletionCall>(call), {"id", 1, "m"}, *tokenizer_, 1);
  EXPECT_NE(stream.add({0, "Well <", {}, {}}).find("\"content\":\"Well\""), std::string::npos);
  EXPECT_EQ(stream.add({0, "tool", {}, {}}), "");
  EXPECT_EQ(stream.add({0, "_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", {}, {}}), "");
  const std::string end = stream.add({0, "", {}, FinishReason::stop});
  EXPECT_NE(end.find("\"tool_calls\""), std::string::npos);
  EXPECT_NE(end.find("\"finish_reason\":\"tool_calls\""), std::string::npos);
  EXPECT_EQ(stream.end({}), "data: [DONE]\n\n");

  const CompletionCall plain = chat(R"({"stream":true})");
  CompletionReply six(std::make_shared<const CompletionCall>(plain), {"id", 1, "m"}, *tokenizer_, 3);
  EXPECT_EQ(six.add({0, "a", {}, {}}), "");
  EXPECT_EQ(six.add({0, "b", {}, {}}), "");
  EXPECT_NE(six.add({0, "c", {}, {}}).find("\"content\":\"abc\""), std::string::npos);
  EXPECT_NE(six.add({0, "", {}, FinishReason::length}).find("\"finish_reason\":\"length\""),
            std::string::npos);
}

}  // namespace
}  // namespace fettle::serve
