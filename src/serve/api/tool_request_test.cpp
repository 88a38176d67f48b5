// What a chat request says about tools, formats and messages reaches the grammar and the prompt.
#include "serve/api/tool_request.h"

#include "serve/api/request_test_model.h"

namespace fettle::serve {
namespace {

class ToolRequest : public testing::Test {
 protected:
  ToolRequest() {
    tools_ = OrderedJson::parse(R"([{"type":"function","function":{"name":"now"}},
      {"type":"function","function":{"name":"add","parameters":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}}}])");
  }
  CompletionCall call(const OrderedJson& more) {
    OrderedJson body{{"messages", "hi"}, {"tools", tools_}};
    if (more.is_object()) body.update(more);
    return decode_chat(body, fixture_.model);
  }
  std::string refused(const OrderedJson& more) {
    return refusal([&] { call(more); });
  }
  bool may_write(const OrderedJson& more, std::string_view text) { return serve::may_write(call(more), text); }

  static constexpr const char* now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  static constexpr const char* add =
      "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"x\": 1}}\n</tool_call>";
  static constexpr const char* wrong =
      "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"y\": 1}}\n</tool_call>";
  RequestModel fixture_;
  OrderedJson tools_;
};

TEST_F(ToolRequest, AFunctionWithoutParametersIsCalledWithNone) {
  const OrderedJson named{{"tool_choice", {{"type", "function"}, {"function", {{"name", "now"}}}}}};
  for (const char* parameters :
       {"null", "{}", R"({"type":"object"})", R"({"type":"object","properties":{},"required":[]})"}) {
    tools_[0]["function"]["parameters"] = OrderedJson::parse(parameters);
    EXPECT_TRUE(may_write(named, now)) << parameters;
    EXPECT_FALSE(
        may_write(named, "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": 1}}\n</tool_call>"))
        << parameters;
  }
}

TEST_F(ToolRequest, RequiredNamedAndAllowed) {
  const std::string both = std::string(now) + "\n" + add;
  const OrderedJson required{{"tool_choice", "required"}};
  EXPECT_TRUE(may_write(required, now) && may_write(required, both));
  EXPECT_FALSE(may_write(required, "No.") || may_write(required, wrong));
  const OrderedJson one{{"tool_choice", "required"}, {"parallel_tool_calls", false}};
  EXPECT_TRUE(may_write(one, add));
  EXPECT_FALSE(may_write(one, both));
  const OrderedJson named{{"tool_choice", {{"type", "function"}, {"function", {{"name", "add"}}}}}};
  EXPECT_TRUE(may_write(named, add));
  EXPECT_FALSE(may_write(named, now) || may_write(named, "No."));
  OrderedJson allowed{
      {"tool_choice",
       {{"type", "allowed_tools"}, {"allowed_tools", {{"mode", "auto"}, {"tools", {tools_[0]}}}}}}};
  EXPECT_TRUE(may_write(allowed, now) && may_write(allowed, "No."));
  EXPECT_FALSE(may_write(allowed, add));
  EXPECT_NE(fixture_.prompt_of(call(allowed)).find("\"add\""), std::string::npos);  // the prompt shows all
  EXPECT_EQ(call(allowed).form.tool_names, std::vector<std::string>{"now"});
  allowed["tool_choice"]["allowed_tools"]["mode"] = "required";
  EXPECT_FALSE(may_write(allowed, "No."));
}

TEST_F(ToolRequest, WhatTheModelCallsOfItsOwnWill) {
  EXPECT_EQ(call({}).requests.at(0).constraint, nullptr);
  EXPECT_EQ(call({{"tool_choice", "none"}}).requests.at(0).constraint, nullptr);
  const OrderedJson single{{"parallel_tool_calls", false}};
  EXPECT_TRUE(may_write(single, "No.") && may_write(single, std::string("Well.\n") + add));
  EXPECT_TRUE(may_write(single, wrong));  // not strict: any object
  EXPECT_FALSE(may_write(single, std::string(now) + "\n" + now));
  tools_[1]["function"]["strict"] = true;
  EXPECT_FALSE(may_write({}, wrong));
  EXPECT_TRUE(may_write({}, add) && may_write({}, std::string(now) + "\n" + now));
  const OrderedJson format{{"response_format", {{"type", "json_object"}, {"schema", {{"const", 1}}}}}};
  EXPECT_TRUE(may_write(format, "1") && may_write(format, add));
  EXPECT_FALSE(may_write(format, "No."));
}

TEST_F(ToolRequest, RefusalsNameTheirField) {
  EXPECT_EQ(refused({{"tool_choice", {{"type", "function"}, {"function", {{"name", "x"}}}}}}),
            "400 tool_choice");
  EXPECT_EQ(refused({{"tool_choice", "any"}}), "400 tool_choice");
  EXPECT_EQ(refused({{"tool_choice", "required"}, {"response_format", {{"type", "json_object"}}}}),
            "400 tool_choice");
  EXPECT_EQ(refused({{"guided_regex", "a"}}), "400 guided_regex");
  tools_[1]["function"]["parameters"]["properties"]["x"]["if"] = true;
  EXPECT_EQ(refused({}), "");
  EXPECT_EQ(refused({{"tool_choice", "required"}}), "400 tools");
  tools_[1]["type"] = "custom";
  EXPECT_EQ(refused({}), "400 tools");
  tools_[1] = tools_[0];
  EXPECT_EQ(refused({}), "400 tools");
}

TEST_F(ToolRequest, MessagesAsClientsSendThemBack) {
  const auto prompt = [&](const char* messages) {
    return fixture_.prompt_of(decode_chat({{"messages", OrderedJson::parse(messages)}}, fixture_.model));
  };
  EXPECT_EQ(
      prompt(R"([{"role":"assistant","content":null},{"role":"user","content":"x","name":"bob","id":7}])"),
      "a:;u:x;a:");
  EXPECT_EQ(
      prompt(
          R"([{"role":"assistant","content":"y","refusal":null,"annotations":[],"audio":null,"function_call":null,"tool_calls":null}])"),
      "a:y;a:");
  EXPECT_EQ(prompt(R"([{"role":"assistant","refusal":"No.","tool_calls":[]}])"), "a:No.;a:");
  EXPECT_EQ(prompt(R"([{"role":"assistant","content":[{"type":"refusal","refusal":"No."}]}])"), "a:No.;a:");
  EXPECT_EQ(
      prompt(
          R"([{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":2}"}}]},
    {"role":"tool","tool_call_id":"1","content":null}])"),
      "a:[f {\"b\": 1, \"a\": 2}];t:;a:");
  const auto why = [&](const char* messages) { return refusal([&] { prompt(messages); }); };
  EXPECT_EQ(why(R"([{"role":"user","content":null}])"), "400 messages");
  EXPECT_EQ(why(R"([{"role":"assistant","content":"x","function_call":{"name":"f"}}])"), "400 messages");
  EXPECT_EQ(why(R"([{"role":"function","content":"x"}])"), "400 messages");
  // Arguments nested deeper than any use stay text.
  const std::string deep = std::string(20000, '[') + std::string(20000, ']');
  const OrderedJson body{
      {"messages",
       {{{"role", "assistant"}, {"tool_calls", {{{"function", {{"name", "f"}, {"arguments", deep}}}}}}}}}};
  fixture_.model.context = 100000;
  EXPECT_NE(fixture_.prompt_of(decode_chat(body, fixture_.model)).find("[[[["), std::string::npos);
}

TEST_F(ToolRequest, FormatsHoldTheAnswer) {
  const auto holds = [&](const char* more, std::string_view good, std::string_view bad) {
    tools_ = OrderedJson::array();
    const OrderedJson fields = OrderedJson::parse(more);
    return may_write(fields, good) && !may_write(fields, bad);
  };
  EXPECT_TRUE(holds(R"({"response_format":{"type":"json_object"}})", "{}", "[]"));
  EXPECT_TRUE(
      holds(R"({"response_format":{"type":"json_object","schema":{"type":"boolean"}}})", "true", "{}"));
  EXPECT_TRUE(
      holds(R"({"response_format":{"type":"json_schema","schema":{"type":"boolean"}}})", "true", "1"));
  EXPECT_TRUE(holds(
      R"({"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"enum":[3]}}}})",
      "3", "4"));
  EXPECT_TRUE(holds(R"({"guided_regex":"a{2}"})", "aa", "a"));
  EXPECT_TRUE(holds(R"({"guided_choice":["yes","no"]})", "no", "nop"));
  EXPECT_TRUE(holds(R"({"guided_json":"{\"const\":1}"})", "1", "2"));
  EXPECT_TRUE(holds(R"({"structured_outputs":{"json":{"const":1}}})", "1", "2"));
  for (const char* bad :
       {R"({"response_format":{"type":"xml"}})", R"({"response_format":{"type":"json_schema"}})",
        R"({"response_format":{"type":"text","schema":{}}})",
        R"({"response_format":{"type":"json_object","colour":1}})",
        R"({"response_format":{"type":"json_schema","schema":{"patern":"x"}}})"})
    EXPECT_EQ(refused(OrderedJson::parse(bad)), "400 response_format") << bad;
  EXPECT_EQ(refused({{"structured_outputs", {{"grammar", "x"}}}}), "400 structured_outputs.grammar");
  EXPECT_EQ(refused({{"guided_regex", "a"}, {"guided_choice", {"b"}}}), "400 guided_choice");
}

}  // namespace
}  // namespace fettle::serve
