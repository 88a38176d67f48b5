// Requests and answers of /v1/responses.
#include <gtest/gtest.h>

#include "serve/api/request_test_model.h"
#include "serve/api/responses_reply.h"

namespace fettle::serve {
namespace {

class Responses : public testing::Test, protected RequestModel {
 protected:
  ResponsesCall decode(const char* body) {
    return decode_responses(OrderedJson::parse(body), model, stored_);
  }
  std::string prompt(const char* body) { return prompt_of(decode(body).call); }
  std::string refused(const char* more) {
    OrderedJson body{{"input", "hi"}};
    body.update(OrderedJson::parse(more));
    return refusal([&] { decode_responses(body, model, stored_); });
  }
  std::unique_ptr<ResponsesReply> reply(const char* body) {
    return std::make_unique<ResponsesReply>(std::make_shared<const ResponsesCall>(decode(body)),
                                            ReplyHead{"resp_1", 5, "m"}, *tokenizer, 1,
                                            [this](const Json& response) { kept_ = response; });
  }

  StoredResponses stored_;
  Json kept_;
};

constexpr const char* tool =
    R"("tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}])";

TEST_F(Responses, PromptsAreThoseOfChatCompletions) {
  EXPECT_EQ(prompt(R"({"input":"hi","instructions":"Be brief."})"), "s:Be brief.;u:hi;a:");
  const char* items = R"({"input":[
    {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
    {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Hm"}],"status":null},
    {"type":"message","id":"msg_1","role":"assistant","status":"completed",
     "content":[{"type":"output_text","text":"Look:","annotations":[],"logprobs":[]}]},
    {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"y\": 1, \"x\": 2}","status":"completed"},
    {"type":"function_call","call_id":"c2","name":"f","arguments":"no json"},
    {"type":"function_call_output","call_id":"c1","output":"out"},
    {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
    {"role":"developer","content":"now"}]})";
  EXPECT_EQ(prompt(items),
            "u:ab;a:<think>Hm</think>Look:[f {\"y\": 1, \"x\": 2}][f \"no json\"];t:out;t:two;s:now;a:");
  const std::string with_tools = prompt(fmt::format(R"({{"input":"hi",{}}})", tool).c_str());
  const OrderedJson chat = OrderedJson::parse(
      R"({"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]})");
  EXPECT_EQ(with_tools, prompt_of(decode_chat(chat, model)));
}

TEST_F(Responses, FieldsReachTheEngineAndAreRepeated) {
  const ResponsesCall responses = decode(
      R"({"model":"m","input":"hi","temperature":0.7,"top_p":0.9,"max_output_tokens":9,"top_logprobs":2,"stream":true,
      "seed":3,"store":false,"user":"u","metadata":{"k":"v"},"service_tier":"auto","truncation":"disabled",
      "include":["reasoning.encrypted_content"],"reasoning":{"effort":"none","summary":"auto"},
      "text":{"verbosity":"low","format":{"type":"json_schema","name":"n","schema":{"type":"object"}}},
      "prompt_cache_key":"k","safety_identifier":"s","background":false,"max_tool_calls":3,"parallel_tool_calls":true})");
  const GenerationRequest& request = responses.call.requests.at(0);
  EXPECT_FLOAT_EQ(request.sampling.temperature, 0.7F);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_EQ(request.top_logprobs, 2);
  EXPECT_EQ(request.sampling.seed, 3u);
  EXPECT_NE(request.constraint, nullptr);
  EXPECT_TRUE(responses.call.stream);
  EXPECT_FALSE(responses.store);
  EXPECT_EQ(prompt_of(responses.call), "<tFalse>u:hi;a:");
  EXPECT_EQ(responses.settings["temperature"], 0.7);
  EXPECT_EQ(responses.settings["max_output_tokens"], 9);
  EXPECT_EQ(responses.settings["text"]["format"]["name"], "n");
  EXPECT_EQ(responses.settings["metadata"]["k"], "v");
  EXPECT_EQ(responses.settings["reasoning"]["effort"], "none");
}

TEST_F(Responses, WhatALocalModelCannotDoIsRefusedByName) {
  EXPECT_EQ(refused("{}"), "");
  EXPECT_EQ(refused(R"({"background":true})"), "400 background");
  EXPECT_EQ(refused(R"({"truncation":"auto"})"), "400 truncation");
  EXPECT_EQ(refused(R"({"prompt":{"id":"p"}})"), "400 prompt");
  EXPECT_EQ(refused(R"({"conversation":"c"})"), "400 conversation");
  EXPECT_EQ(refused(R"({"tools":[{"type":"web_search"}]})"), "400 tools[0]");
  EXPECT_EQ(refused(R"({"tool_choice":{"type":"mcp","server_label":"x"}})"), "400 tool_choice");
  EXPECT_EQ(refused(R"({"include":["file_search_call.results"]})"), "400 include");
  EXPECT_EQ(refused(R"({"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]})"),
            "400 input[0].content[0]");
  EXPECT_EQ(refused(R"({"input":[{"type":"computer_call"}]})"), "400 input[0]");
  EXPECT_EQ(refused(R"({"input":[{"type":"reasoning","summary":[],"encrypted_content":"x"}]})"),
            "400 input[0].encrypted_content");
  EXPECT_EQ(refused(R"({"input":[]})"), "400 input");
  EXPECT_EQ(refused(R"({"input":[3]})"), "400 input[0]");
  EXPECT_EQ(refused(R"({"input":[{"role":"user","content":"x","colour":1}]})"), "400 input[0].colour");
  EXPECT_EQ(refused(R"({"input":[{"type":"item_reference","id":"x"}]})"), "404 input");
  EXPECT_EQ(refused(R"({"previous_response_id":"x"})"), "404 previous_response_id");
  EXPECT_EQ(refused(R"({"max_output_tokens":0})"), "400 max_output_tokens");
  EXPECT_EQ(refused(R"({"max_output_tokens":100000})"), "400 input");
  EXPECT_EQ(refused(R"({"text":{"format":{"type":"xml"}}})"), "400 text.format.type");
  EXPECT_EQ(refused(R"({"colour":1})"), "400 colour");
  EXPECT_EQ(refused(R"({"model":"other"})"), "404 model");
}

TEST_F(Responses, EventsGrowTheObjectThatIsAnsweredWhole) {
  const std::string text = "<think>\nHm.\n</think>\n\nYes.";
  const auto streamed = reply(R"({"input":"hi"})");
  std::string stream = streamed->begin();
  for (const char c : text) stream += streamed->add({0, std::string(1, c), {}, {}});
  stream += streamed->add({0, "", {}, FinishReason::stop});
  stream += streamed->end(result_of(text));
  const std::vector<Json> events = events_of(stream);
  std::vector<std::string> kinds;
  std::string deltas;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i]["sequence_number"], i);
    const std::string type = events[i]["type"];
    if (kinds.empty() || kinds.back() != type) kinds.push_back(type);
    if (type == "response.output_text.delta") deltas += events[i]["delta"];
  }
  EXPECT_EQ(
      kinds,
      (std::vector<std::string>{
          "response.created", "response.in_progress", "response.output_item.added",
          "response.content_part.added", "response.reasoning_text.delta", "response.reasoning_text.done",
          "response.content_part.done", "response.output_item.done", "response.output_item.added",
          "response.content_part.added", "response.output_text.delta", "response.output_text.done",
          "response.content_part.done", "response.output_item.done", "response.completed"}));
  EXPECT_EQ(deltas, "Yes.");
  Json last = events.back()["response"];
  EXPECT_EQ(last, kept_);
  EXPECT_EQ(last["usage"]["output_tokens_details"]["reasoning_tokens"], 20);
  Json whole = reply(R"({"input":"hi"})")->whole(result_of(text));
  for (Json* response : {&last, &whole}) {
    (*response)["completed_at"] = nullptr;
    for (Json& item : (*response)["output"]) item["id"] = "";
  }
  EXPECT_EQ(last, whole);
  EXPECT_EQ(whole["output"][0]["content"][0]["text"], "Hm.");
  EXPECT_EQ(whole["output"][1]["content"][0]["text"], "Yes.");
}

TEST_F(Responses, CallsAndCutAnswers) {
  const std::string body = fmt::format(R"({{"input":"hi",{}}})", tool);
  const std::string text = "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  const Json called = reply(body.c_str())->whole(result_of(text));
  EXPECT_EQ(called["status"], "completed");
  ASSERT_EQ(called["output"].size(), 2u);
  EXPECT_EQ(called["output"][0]["content"][0]["text"], "I look.");
  EXPECT_EQ(called["output"][1]["arguments"], "{\"a\":1}");
  const auto streamed = reply(body.c_str());
  std::string stream = streamed->begin();
  stream += streamed->add({0, text, {}, {}});
  stream += streamed->end(result_of(text));
  std::vector<Json> events = events_of(stream);
  const auto is_done = [](const Json& e) { return e["type"] == "response.function_call_arguments.done"; };
  ASSERT_NE(std::ranges::find_if(events, is_done), events.end());
  EXPECT_EQ((*std::ranges::find_if(events, is_done))["arguments"], "{\"a\":1}");

  const Json cut = reply(R"({"input":"hi"})")->whole(result_of("<think>Hm", FinishReason::length));
  EXPECT_EQ(cut["status"], "incomplete");
  EXPECT_EQ(cut["incomplete_details"]["reason"], "max_output_tokens");
  ASSERT_EQ(cut["output"].size(), 1u);
  EXPECT_EQ(cut["output"][0]["type"], "reasoning");
  EXPECT_EQ(cut["output"][0]["status"], "incomplete");
  EXPECT_EQ(reply(R"({"input":"hi"})")->whole(result_of("", FinishReason::deadline))["status"], "failed");
  const auto failed = reply(R"({"input":"hi"})");
  std::string ended = failed->begin();
  ended += failed->error({500, "internal_error", "", "why"});
  const auto last = events_of(ended).back();
  EXPECT_EQ(last["type"], "response.failed");
  EXPECT_EQ(last["response"]["error"]["message"], "why");
}

TEST_F(Responses, StoredOnesGoOnAndMakeRoom) {
  const auto first = reply(R"({"input":"hi"})")->whole(result_of("Yes."));
  OrderedJson items = decode(R"({"input":"hi"})").items;
  for (const Json& item : first["output"]) items.push_back(OrderedJson::parse(item.dump()));
  stored_.add(first, items);
  EXPECT_EQ(prompt(R"({"input":"And?","previous_response_id":"resp_1","instructions":"i"})"),
            "s:i;u:hi;a:Yes.;u:And?;a:");
  const std::string reference =
      fmt::format(R"({{"input":[{{"type":"item_reference","id":{}}}]}})", first["output"][0]["id"].dump());
  EXPECT_EQ(prompt(reference.c_str()), "a:Yes.;a:");
  EXPECT_TRUE(stored_.remove("resp_1"));
  EXPECT_FALSE(stored_.remove("resp_1"));
  EXPECT_FALSE(stored_.item(first["output"][0]["id"]));

  StoredResponses small(11 * (first.dump().size() + items.dump().size()));  // room for two, nearly for three
  for (const char* id : {"a", "b", "c"}) {
    Json response = first;
    response["id"] = id;
    if (std::string_view(id) == "c") {
      EXPECT_TRUE(small.find("a"));
    }
    small.add(response, items);
  }
  EXPECT_TRUE(small.find("a"));
  EXPECT_TRUE(small.find("c"));
  EXPECT_FALSE(small.conversation("b"));
}

}  // namespace
}  // namespace fettle::serve
