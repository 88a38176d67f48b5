#include "data/rows/turns.h"

#include <gtest/gtest.h>

#include "data/rows/labels.h"

namespace fettle::data {
namespace {

Messages turns(const char* json, RowUse* use = nullptr) {
  return turns_from(OrderedJson::parse(json), "messages", "rows.jsonl:7", {.use = use});
}

std::string shown(const Messages& messages) {
  std::string text;
  for (const auto& message : messages) {
    text += (text.empty() ? "" : "|") + message.role + ":" + message.content;
    if (message.weight != 1.0) text += fmt::format("*{}", message.weight);
  }
  return text;
}

/// "reason / message" of the error.
std::string error_of(const char* json) {
  try {
    turns(json);
  } catch (const Error& error) {
    return reason_of(error) + " / " + error.what();
  }
  return "no error";
}

void expect_error(const char* json, const std::string& part) {
  const std::string error = error_of(json);
  EXPECT_NE(error.find(part), std::string::npos) << error << "\n  lacks: " << part;
}

TEST(Turns, RoleAndTextUnderAllTheirNames) {
  for (const char* text : {"content", "value", "text", "contents", "body", "message", "utterance"}) {
    for (const char* role : {"role", "from", "speaker"}) {
      const auto row = fmt::format(R"([{{"{0}":"Human","{1}":"Hi"}},{{"{0}":"gpt","{1}":"Yo"}}])", role, text);
      EXPECT_EQ(shown(turns(row.c_str())), "user:Hi|assistant:Yo") << row;
    }
  }
  EXPECT_EQ(shown(turns(R"([{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":["Y","o"]}])")), "user:Hi|assistant:Yo");
  EXPECT_EQ(shown(turns(R"(["Hi","Yo","Well?","So."])")), "user:Hi|assistant:Yo|user:Well?|assistant:So.");
  EXPECT_EQ(shown(turns(R"([{"input":"Hi","output":"Yo"},{"question":"Q","answer":"A"},["c","d"]])")),
            "user:Hi|assistant:Yo|user:Q|assistant:A|user:c|assistant:d");
}

TEST(Turns, FlagsOfTurnsAreWeights) {
  EXPECT_EQ(shown(turns(R"([{"role":"user","content":"a"},{"role":"assistant","content":"b","train":false},
                            {"role":"assistant","content":"c","loss":0},{"role":"assistant","content":"d","masked":true},
                            {"role":"assistant","content":"e","weight":0.5,"training":true},{"role":"assistant","content":"f","weight":null,"learn":"no"}])")),
            "user:a|assistant:b*0|assistant:c*0|assistant:d*0|assistant:e*0.5|assistant:f*0");
  expect_error(R"([{"role":"assistant","content":"x","train":"perhaps"}])", "'train' should be a number of at least 0, true or false");
  expect_error(R"([{"role":"assistant","content":"x","weight":-1}])", "messages[0]: 'weight' should be");
}

TEST(Turns, NothingIsSilentlyEmpty) {
  expect_error(R"([{"role":"user","content":"Hi"},{"role":"assistant","reply":"Yo"}])", "messages[1]: the turn has neither text nor tool calls");
  expect_error(R"([{"role":"user","content":null}])", "turn without text ('content')");
  expect_error(R"([{"role":"assistant","content":""}])", "empty answer ('content')");
  expect_error(R"([{"role":"assistant","value":" \n"}])", "empty answer ('value') / rows.jsonl:7: messages[0]: 'value' is empty");
  expect_error(R"([{"input":"Hi","output":""}])", "empty answer ('output')");
  RowUse use;
  EXPECT_EQ(shown(turns(R"([{"role":"user","content":""},{"role":"assistant","content":"Yo"}])", &use)), "user:|assistant:Yo");
  EXPECT_EQ(use.remarks.size(), 1u);
  EXPECT_EQ(shown(turns(R"([{"role":"system","content":""},{"role":"tool","content":""}])")), "system:|tool:");
}

TEST(Turns, UnknownRolesAndKeysAreNamed) {
  expect_error(R"([{"role":"asistant","content":"x"}])", "unknown role / rows.jsonl:7: messages[0]: 'asistant' is no role");
  expect_error(R"([{"role":"asistant","content":"x"}])", "did you mean 'assistant'?");
  expect_error(R"([{"content":"x"}])", "a turn needs 'role'");
  RowUse use;
  const auto messages = turns(R"([{"role":"user","content":"x","mood":"glad","name":"Ann","extra":null}])", &use);
  EXPECT_EQ(use.message_keys, std::vector<std::string>{"mood"});
  EXPECT_EQ(messages[0].extra, OrderedJson::parse(R"({"mood":"glad","name":"Ann"})"));
}

TEST(Turns, CallsStandInThePlaceOfText) {
  const char* call = R"({"type":"function","function":{"name":"f","arguments":{"z":1,"a":2}}})";
  for (const char* content : {R"("content":null,)", R"("content":"",)", ""}) {
    const auto row = fmt::format(R"([{{"role":"assistant",{}"tool_calls":[{}]}}])", content, call);
    const auto messages = turns(row.c_str());
    EXPECT_EQ(messages[0].content, "") << row;
    EXPECT_EQ(dump_json(messages[0].extra["tool_calls"][0]), dump_json(OrderedJson::parse(call))) << row;
  }
  const auto nulls = turns(R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":null,"b":{"c":null,"d":[null]}}},"id":null}],"name":null}])");
  EXPECT_EQ(dump_json(nulls[0].extra), R"({"tool_calls":[{"function":{"name":"f","arguments":{"b":{"d":[null]}}}}]})");
  for (const char* row : {R"([{"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{}}"}])", R"([{"role":"assistant","function_call":{"name":"f","arguments":{}}}])",
                          R"([{"role":"assistant","tool_calls":"[{\"name\":\"f\",\"arguments\":{}}]"}])"}) {
    EXPECT_EQ(turns(row)[0].extra["tool_calls"][0]["function"]["name"], "f") << row;
  }
  EXPECT_TRUE(turns(R"([{"role":"assistant","content":"x","tool_calls":[]}])")[0].extra.is_null());
  expect_error(R"([{"from":"function_call","value":"call f"}])", "not valid JSON");
  expect_error(R"([{"role":"assistant","tool_calls":[{"id":"x"}]}])", "a tool call needs a function with a name");
}

TEST(Turns, TextsWithMarksOfSpeakers) {
  EXPECT_EQ(shown(turns_of_transcript("\n\nHuman: Hi\nHuman: no mark\n\nAssistant: Yo\n\nHuman: So?\n\nAssistant: Yes.")),
            "user:Hi\nHuman: no mark|assistant:Yo|user:So?|assistant:Yes.");
  EXPECT_EQ(shown(turns_of_transcript("### Human: Hi### Assistant: Yo### Human: So?")), "user:Hi|assistant:Yo|user:So?");
  EXPECT_EQ(shown(turns_of_transcript("SYSTEM: S\nUSER: Hi\nASSISTANT: Yo</s>\nFUNCTION RESPONSE: {}\nASSISTANT: Done <|endoftext|>")),
            "system:S|user:Hi|assistant:Yo|tool:{}|assistant:Done");
  EXPECT_EQ(shown(turns_of_transcript("\n\nHuman: Hi\n\nAssistant:")), "user:Hi");
  EXPECT_FALSE(is_transcript("A story: Human: Hi"));
  EXPECT_FALSE(is_transcript("Human: alone"));
  EXPECT_FALSE(is_transcript(""));
  EXPECT_TRUE(is_transcript("Human: Hi\nAssistant: Yo"));
}

TEST(Labels, BothSignsInAllSpellings) {
  for (const char* yes : {"true", "1", "1.0", R"("true")", R"("Yes")", R"("up")", R"("Thumbs Up")", R"("thumbs-up")", R"("like")", R"("GOOD")", R"("chosen")", R"(" 1 ")", R"("👍")"})
    EXPECT_EQ(label_of(OrderedJson::parse(yes)), true) << yes;
  for (const char* no : {"false", "0", "-1", "-1.0", R"("False")", R"("no")", R"("down")", R"("thumbs_down")", R"("dislike")", R"("bad")", R"("rejected")", R"("-1")", R"("undesirable")"})
    EXPECT_EQ(label_of(OrderedJson::parse(no)), false) << no;
  for (const char* none : {"null", "2", "0.5", R"("perhaps")", R"("")", "[]", "{}"}) EXPECT_EQ(label_of(OrderedJson::parse(none)), std::nullopt) << none;
}

}  // namespace
}  // namespace fettle::data
