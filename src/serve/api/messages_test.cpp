// Requests and answers of /v1/messages.
#include <gtest/gtest.h>

#include "serve/api/messages_reply.h"
#include "serve/api/messages_request.h"
#include "serve/api/request_test_model.h"

namespace fettle::serve {
namespace {

class MessagesApi : public testing::Test, protected RequestModel {
 protected:
  static OrderedJson body_of(const char* more) {
    OrderedJson body{{"max_tokens", 9}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}};
    body.update(OrderedJson::parse(more));
    return body;
  }
  CompletionCall decode(const char* more) { return decode_messages(body_of(more), model); }
  std::string prompt(const char* more) { return prompt_of(decode(more)); }
  std::string refused(const char* more) {
    return refusal([&] { decode(more); });
  }
  std::unique_ptr<MessagesReply> reply(const char* more) {
    return std::make_unique<MessagesReply>(std::make_shared<const CompletionCall>(decode(more)),
                                           ReplyHead{"msg_1", 5, "m"}, 500, 1);
  }
};

constexpr const char* tool =
    R"("tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}])";

TEST_F(MessagesApi, BlocksBecomeTheTurnsOfAChat) {
  EXPECT_EQ(prompt(R"({"system":"Be brief."})"), "s:Be brief.;u:hi;a:");
  EXPECT_EQ(
      prompt(
          R"({"system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral"}},{"type":"text","text":"B"}]})"),
      "s:AB;u:hi;a:");
  const char* turns = R"({"messages":[
    {"role":"user","content":[{"type":"text","text":"q"}]},
    {"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":""},{"type":"redacted_thinking","data":"x"},
      {"type":"text","text":"Look:"},{"type":"tool_use","id":"t1","name":"f","input":{"y":1,"x":2}},
      {"type":"tool_use","id":"t2","name":"f","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"out"},
      {"type":"tool_result","tool_use_id":"t2","is_error":true,"content":[{"type":"text","text":"bad"}]},
      {"type":"tool_result","tool_use_id":"t2"},{"type":"text","text":"go"}]}]})";
  EXPECT_EQ(prompt(turns),
            "u:q;a:<think>Hm</think>Look:[f {\"y\": 1, \"x\": 2}][f {}];t:out;t:Error: bad;t:;u:go;a:");
  const OrderedJson chat = OrderedJson::parse(
      R"({"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}}}}]})");
  EXPECT_EQ(prompt(fmt::format("{{{}}}", tool).c_str()), prompt_of(decode_chat(chat, model)));
  EXPECT_EQ(prompt(R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"Th"}]})"),
            "u:q;a:Th");
}

TEST_F(MessagesApi, FieldsReachTheEngine) {
  const CompletionCall call = decode(
      R"({"model":"m","temperature":0.5,"top_p":0.9,"top_k":7,"stop_sequences":["x"],"stream":true,"metadata":{"user_id":"u"},
      "thinking":{"type":"enabled","budget_tokens":1024},"service_tier":"auto",
      "context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},
      "output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}}})");
  const GenerationRequest& request = call.requests.at(0);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.stop, std::vector<std::string>{"x"});
  EXPECT_NE(request.constraint, nullptr);
  EXPECT_EQ(call.user, "u");
  EXPECT_TRUE(call.stream);
  EXPECT_EQ(prompt_of(call), "<tTrue>u:hi;a:");
  EXPECT_EQ(prompt(R"({"thinking":{"type":"disabled"}})"), "<tFalse>u:hi;a:");
  const std::string any = fmt::format(R"({{"tool_choice":{{"type":"any"}},{}}})", tool);
  EXPECT_NE(decode(any.c_str()).requests.at(0).constraint, nullptr);
  const OrderedJson counted = body_of(R"({"system":"Be brief.","max_tokens":100000000})");
  EXPECT_EQ(count_messages_tokens(counted, model), 19);
}

TEST_F(MessagesApi, WhatALocalModelCannotDoIsRefusedByName) {
  EXPECT_EQ(refused("{}"), "");
  EXPECT_EQ(refused(R"({"max_tokens":null})"), "400 max_tokens");
  EXPECT_EQ(refused(R"({"max_tokens":0})"), "400 max_tokens");
  EXPECT_EQ(refused(R"({"messages":[]})"), "400 messages");
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]})"),
            "400 messages[0].content[0]");
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":[{"type":"document","source":{}}]}]})"),
            "400 messages[0].content[0]");
  EXPECT_EQ(refused(R"({"messages":[{"role":"tool","content":"x"}]})"), "400 messages[0].role");
  EXPECT_EQ(refused(R"({"tools":[{"type":"web_search_20250305","name":"web_search"}]})"), "400 tools[0]");
  EXPECT_EQ(refused(R"({"tools":[{"name":"f"}]})"), "400 tools[0].input_schema");
  EXPECT_EQ(refused(R"({"mcp_servers":[{}]})"), "400 mcp_servers");
  EXPECT_EQ(refused(R"({"thinking":{"type":"later"}})"), "400 thinking.type");
  EXPECT_EQ(refused(R"({"stop_sequences":[""]})"), "400 stop_sequences");
  EXPECT_EQ(refused(R"({"colour":1})"), "400 colour");
  EXPECT_EQ(refused(R"({"model":"other"})"), "404 model");
  EXPECT_EQ(refused(R"({"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}})"),
            "400 context_management");
  const Json error = ApiError(404, "model_not_found", "model", "no").in_shape(ErrorShape::anthropic).body();
  EXPECT_EQ(error, (Json{{"type", "error"}, {"error", {{"type", "not_found_error"}, {"message", "no"}}}}));
}

TEST_F(MessagesApi, EventsGrowTheMessage) {
  const std::string text =
      "<think>Hm.</think>I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\": 1, \"a\": "
      "2}}\n</tool_call>";
  const std::string with_tool = fmt::format("{{{}}}", tool);
  const Json whole = reply(with_tool.c_str())->whole(result_of(text));
  EXPECT_EQ(whole["stop_reason"], "tool_use");
  EXPECT_EQ(whole["usage"]["input_tokens"], 7);
  const auto streamed = reply(with_tool.c_str());
  std::string stream = streamed->begin();
  for (const char c : text) stream += streamed->add({0, std::string(1, c), {}, {}});
  stream += streamed->add({0, "", {}, FinishReason::stop});
  stream += streamed->end(result_of(text));
  Json content = Json::array(), last;
  std::string input;
  for (const Json& event : events_of(stream)) {
    const std::string type = event["type"];
    if (type == "content_block_start") {
      EXPECT_EQ(event["index"], content.size());
      content.push_back(event["content_block"]);
    } else if (type == "content_block_delta") {
      const Json& delta = event["delta"];
      for (const char* key : {"text", "thinking"}) {
        if (delta.contains(key))
          content.back()[key] = content.back()[key].get<std::string>() + delta[key].get<std::string>();
      }
      if (delta.contains("partial_json"))
        content.back()["input"] = Json::parse(delta["partial_json"].get<std::string>());
    } else if (type == "message_delta") {
      last = event;
    }
  }
  EXPECT_EQ(last["delta"]["stop_reason"], "tool_use");
  EXPECT_EQ(last["usage"], whole["usage"]);
  Json same = whole["content"];
  ASSERT_EQ(same.size(), 3u);
  content[2]["id"] = same[2]["id"];
  EXPECT_EQ(content, same);
}

TEST_F(MessagesApi, WhyAnAnswerEnded) {
  EXPECT_EQ(reply("{}")->whole(result_of("a"))["stop_reason"], "end_turn");
  EXPECT_EQ(reply("{}")->whole(result_of("a", FinishReason::length))["stop_reason"], "max_tokens");
  EXPECT_EQ(decode(R"({"max_tokens":100000})").requests.at(0).max_tokens, 1993);
  const auto full = result_of(std::string(500, 'a'), FinishReason::length);
  EXPECT_EQ(reply("{}")->whole(full)["stop_reason"], "model_context_window_exceeded");
  auto stopped = result_of("a");
  stopped[0].samples[0].matched_stop = "x";
  const Json answer = reply("{}")->whole(stopped);
  EXPECT_EQ(answer["stop_reason"], "stop_sequence");
  EXPECT_EQ(answer["stop_sequence"], "x");
}

}  // namespace
}  // namespace fettle::serve
