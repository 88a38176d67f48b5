#include "data/rows/example.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/files/reader.h"
#include "data/rows/column_report.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

Example from(const char* text, Format format = Format::automatic, const Columns& columns = {}) {
  return example_from_row(OrderedJson::parse(text), format, columns, "rows.jsonl:7");
}

std::string error_of(const char* text, Format format = Format::automatic, const Columns& columns = {}) {
  try {
    from(text, format, columns);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\n  lacks: " << part;
}

/// "user:Hi|assistant:Yo", or the plain text in quotes.
std::string shown(const Content& content) {
  if (!content.is_chat) return "'" + content.text + "'";
  std::string text;
  for (const auto& message : content.messages)
    text += (text.empty() ? "" : "|") + message.role + ":" + message.content;
  return text;
}

std::string shown(const Example& example) {
  std::string text = shown(example.prompt) + " > " + shown(example.completion);
  if (example.kind == Example::Kind::pair) text += " < " + shown(example.rejected);
  if (example.kind == Example::Kind::judged) text += example.desirable ? " +" : " -";
  return text;
}

TEST(Example, ConversationsOfBothKinds) {
  const auto messages = from(
      R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo","weight":0.5}]})");
  EXPECT_EQ(messages.kind, Example::Kind::conversation);
  EXPECT_EQ(shown(messages.completion), "user:Hi|assistant:Yo");
  EXPECT_EQ(messages.completion.messages[1].weight, 0.5);
  for (const char* key : {"conversations", "items"}) {
    const std::string row =
        std::string("{\"") + key +
        R"(":[{"from":"system","value":"S"},{"from":"human","value":"Hi"},{"from":"gpt","value":"Yo","weight":0}]})";
    const auto sharegpt = from(row.c_str());
    EXPECT_EQ(shown(sharegpt.completion), "system:S|user:Hi|assistant:Yo");
    EXPECT_EQ(sharegpt.completion.messages[2].weight, 0.0);
  }
  // Many data sets put role and content under "conversations".
  EXPECT_EQ(shown(from(R"({"conversations":[{"role":"user","content":"Hi"}],"system":"S"})").completion),
            "system:S|user:Hi");
}

TEST(Example, AlpacaWithInputSystemAndHistory) {
  const auto plain = from(R"({"instruction":"Add","input":"1+1","output":"2"})");
  EXPECT_EQ(shown(plain), "user:Add\n1+1 > assistant:2");
  expect_contains(plain.prompt.text, "### Instruction:\nAdd\n\n### Input:\n1+1\n\n### Response:");
  EXPECT_EQ(
      shown(from(R"({"instruction":"Add","input":"","output":"2","system":"S","history":[["a","b"]]})")),
      "system:S|user:a|assistant:b|user:Add > assistant:2");
}

TEST(Example, PromptAndCompletionAsTextOrMessages) {
  EXPECT_EQ(shown(from(R"({"prompt":"Q","completion":"A"})")), "'Q' > 'A'");
  EXPECT_EQ(shown(from(R"({"prompt":[{"role":"user","content":"Q"}],"completion":"A"})")),
            "user:Q > assistant:A");
  EXPECT_EQ(shown(from(R"({"prompt":"Q","completion":[{"role":"assistant","content":"A"}],"system":"S"})")),
            "system:S|user:Q > assistant:A");
}

TEST(Example, PairsWithAnExplicitPrompt) {
  EXPECT_EQ(shown(from(R"({"prompt":"Q","chosen":"A","rejected":"B"})")), "'Q' > 'A' < 'B'");
  EXPECT_EQ(shown(from(R"({"conversations":[{"from":"human","value":"Q"}],"chosen":{"from":"gpt","value":"A"},
                           "rejected":{"from":"gpt","value":"B"}})")),
            "user:Q > assistant:A < assistant:B");
  EXPECT_EQ(shown(from(R"({"instruction":"Q","input":"x","chosen":"A","rejected":"B"})")),
            "'Q\nx' > 'A' < 'B'");
  EXPECT_EQ(shown(from(R"({"question":"Q","system":"S","chosen":"A","rejected":"B"})", Format::automatic,
                       {{"prompt", "question"}})),
            "system:S|user:Q > assistant:A < assistant:B");
  // The answers repeat the conversation.
  const char* whole =
      R"({"prompt":%,"chosen":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],
                          "rejected":[{"role":"user","content":"Q"},{"role":"assistant","content":"B"}],"messages":[]})";
  for (const char* prompt : {"\"Q\"", R"([{"role":"user","content":"Q"}])"}) {
    std::string row = whole;
    row.replace(row.find('%'), 1, prompt);
    EXPECT_EQ(shown(from(row.c_str())), "user:Q > assistant:A < assistant:B");
  }
}

TEST(Example, ImplicitPromptsAreTheLongestCommonBeginning) {
  EXPECT_EQ(shown(from(R"({"chosen":"Sky is blue","rejected":"Sky is green"})")),
            "'Sky is' > ' blue' < ' green'");
  EXPECT_EQ(shown(from(R"({"chosen":"Q: ab","rejected":"Q: ac"})")), "'Q: a' > 'b' < 'c'");
  EXPECT_EQ(shown(from(R"({"chosen":"ab","rejected":"abc"})")), "'a' > 'b' < 'bc'");
  EXPECT_EQ(shown(from("{\"chosen\":\"x\xC3\xA9\",\"rejected\":\"x\xC3\xA8\"}")),
            "'x' > '\xC3\xA9' < '\xC3\xA8'");
  EXPECT_EQ(shown(from(R"({"chosen":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],
                           "rejected":[{"role":"user","content":"Q"},{"role":"assistant","content":"B"}]})")),
            "user:Q > assistant:A < assistant:B");
}

TEST(Example, JudgedRows) {
  EXPECT_EQ(shown(from(R"({"prompt":"Q","completion":"A","label":false})")), "'Q' > 'A' -");
  EXPECT_EQ(shown(from(R"({"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"},
                           {"role":"user","content":"R"},{"role":"assistant","content":"B"}],"label":true})")),
            "user:Q|assistant:A|user:R > assistant:B +");
  EXPECT_EQ(shown(from(R"({"prompt":"Q","completion":"A","kto_tag":1})")), "'Q' > 'A' +");
  expect_contains(error_of(R"({"prompt":"Q","completion":"A","label":"perhaps"})"), "'label' should be true or false");
  expect_contains(error_of(R"({"prompt":"Q","completion":"A","label":null})"), "key 'label' is null");
  expect_contains(error_of(R"({"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],"label":null})"), "key 'label' is null");
  EXPECT_EQ(shown(from(R"({"question":"Q","response":"A","label":-1})")), "'Q' > 'A' -");
  const Columns threshold{{"label", "helpfulness >= 3"}};
  EXPECT_EQ(shown(from(R"({"prompt":"Q","response":"A","helpfulness":3,"correctness":1})", Format::automatic, threshold)), "'Q' > 'A' +");
  EXPECT_EQ(shown(from(R"({"prompt":"Q","response":"A","helpfulness":2.5,"correctness":1})", Format::automatic, threshold)), "'Q' > 'A' -");
}

TEST(Example, UltrafeedbackRowsBecomePairs) {
  const auto pair = from(R"({"instruction":"Q","completions":[{"response":"B","overall_score":3,"model":"m"},
                             {"response":"A","overall_score":8,"model":"n"}]})");
  EXPECT_EQ(shown(pair), "user:Q > assistant:A < assistant:B");
}

TEST(Example, TextAndCommonKeys) {
  const auto example =
      from(R"({"text":"T","id":12,"weight":2,"class":"gpt4","tools":"[{\"z\":1,\"a\":2}]"})");
  EXPECT_EQ(shown(example.completion), "'T'");
  EXPECT_EQ(example.id, "12");
  EXPECT_EQ(example.weight, 2.0);
  EXPECT_EQ(example.class_label, "gpt4");
  EXPECT_EQ(dump_json(example.variables["tools"]), R"([{"z":1,"a":2}])");
  EXPECT_EQ(dump_json(from(R"({"text":"T","tools":[{"name":"f","p":{"x":null,"default":null}}]})").variables), R"({"tools":[{"name":"f","p":{"default":null}}]})");
  EXPECT_EQ(dump_json(from(R"({"text":"T","functions":[{"name":"f"}]})").variables), R"({"tools":[{"type":"function","function":{"name":"f"}}]})");
  expect_contains(error_of(R"({"text":"T","tools":{"a":1}})"), "key 'tools' should be a list of tools");
  EXPECT_EQ(from(R"({"condition":"x","text":"T"})").class_label, "x");
  expect_contains(error_of(R"({"text":"T","weight":-1})"), "'weight' should be a number >= 0");
}

TEST(Example, IdsComeFromContentAlone) {
  const auto a = from(R"({"prompt":"Q","completion":"A"})"),
             b = from(R"({"completion":"A","other":1,"prompt":"Q"})");
  EXPECT_EQ(a.id.size(), 16u);
  EXPECT_EQ(a.id, b.id);
  EXPECT_NE(a.id, from(R"({"prompt":"QA","completion":"B"})").id);
  EXPECT_NE(a.id, from(R"({"prompt":"Q","completion":"A","label":true})").id);
}

TEST(Example, ErrorsNameTheKeyAndTheNearest) {
  expect_contains(error_of(R"({"prompt":"Q","chosn":"A","rejected":"B"})"), "rows.jsonl:7");
  expect_contains(error_of(R"({"prompt":"Q","chosn":"A","rejected":"B"})"), "did you mean it by 'chosn'?");
  expect_contains(error_of(R"({"mesages":[]})"), "did you mean it by 'mesages'?");
  expect_contains(error_of(R"({"a":1})"), "no known data format has the keys 'a'");
  expect_contains(error_of(R"({"instruction":"Q","outputs":"A"})", Format::alpaca),
                  "key 'output' is missing, did you mean 'outputs'?");
  expect_contains(error_of(R"({"conversations":[{"from":"humen","value":"x"}]})"),
                  "conversations[0]: 'humen' is no role");
  expect_contains(error_of(R"({"prompt":3,"completion":"x"})"),
                  "key 'prompt' should be text or a list of messages");
  expect_contains(error_of(R"({"text":null})", Format::text), "key 'text' is null");
  expect_contains(error_of(R"({"messages":[{"role":"user","content":"x"}],"label":true})"),
                  "no assistant turn");
  expect_contains(error_of(R"({"text":"x"})", Format::automatic, {{"promt", "q"}}), "did you mean 'prompt'?");
  EXPECT_THROW(format_from_name("sharegbt"), Error);
  EXPECT_EQ(format_from_name("kto"), Format::judged);
}

TEST(Example, OneRuleForEmptyAnswers) {
  const auto reason = [](const char* text) -> std::string {
    try {
      from(text);
    } catch (const Error& error) {
      return reason_of(error);
    }
    return "read";
  };
  for (const char* answer : {R"("")", R"("  \n")"}) {
    for (const auto& [row, key] : std::vector<std::pair<std::string, std::string>>{{R"({"prompt":"Q","completion":%})", "completion"},
                                                                                   {R"({"instruction":"Q","output":%})", "output"},
                                                                                   {R"({"question":"Q","answer":%})", "answer"},
                                                                                   {R"({"prompt":"Q","chosen":%,"rejected":"B"})", "chosen"},
                                                                                   {R"({"prompt":"Q","chosen":"A","rejected":%})", "rejected"},
                                                                                   {R"({"prompt":"Q","completion":%,"label":true})", "completion"},
                                                                                   {R"({"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":%}]})", "content"},
                                                                                   {R"({"conversations":[{"from":"human","value":"Q"},{"from":"gpt","value":%}]})", "value"},
                                                                                   {R"({"prompt":"Q","answers":[{"answer":%,"rank":1},{"answer":"B","rank":2}]})", "answers"},
                                                                                   {R"({"prompt":"Q","response_a":%,"response_b":"B","winner":"a"})", "response_a"}}) {
      std::string text = row;
      text.replace(text.find('%'), 1, answer);
      EXPECT_EQ(reason(text.c_str()), "empty answer ('" + key + "')") << text;
    }
  }
  EXPECT_EQ(reason(R"({"prompt":"Q","completion":null})"), "no value ('completion')");
  EXPECT_EQ(reason(R"({"messages":null})"), "no value ('messages')");
  EXPECT_EQ(reason(R"({"messages":[]})"), "no turns ('messages')");
  EXPECT_EQ(reason(R"({"text":" "})"), "empty text ('text')");
  EXPECT_EQ(reason(R"({"instruction":"Q","input":null,"output":"A"})"), "read");
}

TEST(Example, TiesAndUnfitVotesAreNamed) {
  expect_contains(error_of(R"j({"prompt":"Q","response_a":"A","response_b":"B","winner":"tie (bothbad)"})j"), "judged equal");
  expect_contains(error_of(R"({"prompt":"Q","response_0":"A","response_1":"B","better_response_id":2})"), "the answers are 'response_0' and 'response_1'");
  expect_contains(error_of(R"({"prompt":"Q","answers":["A","B"]})"), "a pair needs two");
  expect_contains(error_of(R"({"prompt":"Q","answers":["A","B"],"scores":[1]})"), "should be a list of 2 numbers");
  EXPECT_EQ(shown(from(R"({"instruction":"Q","output_1":"A","output_2":"B","preference":2})")), "'Q' > 'B' < 'A'");
  EXPECT_EQ(shown(from(R"({"prompt":"Q","responses":["A","B"],"ranks":[2,1]})")), "'Q' > 'B' < 'A'");
}

TEST(Example, WhatWasReadIsSaid) {
  RowUse use;
  example_from_row(OrderedJson::parse(R"({"system":"S","question":"Q","chosen":"A","rejected":"B","note":"x"})"), Format::automatic, {}, "row", &use);
  EXPECT_EQ(use.mappings, std::vector<std::string>{"question → prompt"});
  std::sort(use.columns.begin(), use.columns.end());
  EXPECT_EQ(use.columns, (std::vector<std::string>{"chosen", "question", "rejected", "system"}));
  ColumnReport report;
  report.add(OrderedJson::parse(R"({"system":"S","question":"Q","chosen":"A","rejected":"B","note":"x"})"), use);
  EXPECT_EQ(report.to_json()["columns_ignored"], OrderedJson({{"note", 1}}));
  EXPECT_TRUE(report.warnings().empty());
  RowUse guess;
  const auto row = OrderedJson::parse(R"({"riddle":"Q","chosen":"It is A","rejected":"It is B"})");
  example_from_row(row, Format::automatic, {}, "row", &guess);
  report.add(row, guess);
  ASSERT_EQ(report.warnings().size(), 1u);
  expect_contains(report.warnings()[0], "riddle 1");
}

TEST(Example, PromptsOfRowsWithAndWithoutAnswers) {
  const auto prompt = [](const char* text) { return shown(prompt_from_row(OrderedJson::parse(text), Format::automatic, {}, "row").prompt); };
  EXPECT_EQ(prompt(R"({"prompt":"Q"})"), "'Q'");
  EXPECT_EQ(prompt(R"({"question":"Q","system_prompt":"S"})"), "system:S|user:Q");
  EXPECT_EQ(prompt(R"({"instruction":"Add","input":"1+1"})"), "user:Add\n1+1");
  EXPECT_EQ(prompt(R"({"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":""}]})"), "user:Q");
  EXPECT_EQ(prompt(R"({"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"},{"role":"user","content":"R"}]})"), "user:Q|assistant:A|user:R");
  EXPECT_EQ(prompt(R"({"chosen":"\n\nHuman: Q\n\nAssistant: A","rejected":"\n\nHuman: Q\n\nAssistant: B"})"), "user:Q");
  EXPECT_EQ(prompt(R"({"conversations":[{"from":"human","value":"Q"}],"chosen":{"from":"gpt","value":"A"},"rejected":{"from":"gpt","value":"B"}})"), "user:Q");
  EXPECT_THROW(prompt(R"({"messages":[{"role":"assistant","content":"A"}]})"), Error);
  EXPECT_THROW(prompt(R"({"a":1})"), Error);
}

TEST(Example, RowsRoundTripThroughEveryFormatThatHoldsThem) {
  const auto chat = from(
      R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                             {"role":"user","content":"c"},{"role":"assistant","content":"d"}],"weight":0.5,"class":"k"})");
  for (const Format format : {Format::messages, Format::sharegpt}) {
    auto back = example_from_row(example_to_row(chat, format), format, {}, "again");
    EXPECT_EQ(back.completion, chat.completion) << format_name(format);
    EXPECT_EQ(back.id, chat.id);
    EXPECT_EQ(back.weight, 0.5);
    EXPECT_EQ(back.class_label, "k");
  }
  for (const Format format : {Format::alpaca, Format::completion}) {
    const auto back = example_from_row(example_to_row(chat, format), format, {}, "again");
    EXPECT_EQ(shown(back), "system:S|user:a|assistant:b|user:c > assistant:d") << format_name(format);
  }
  const auto pair = from(R"({"prompt":"Q","chosen":"A","rejected":"B"})");
  EXPECT_EQ(shown(example_from_row(example_to_row(pair, Format::pair), Format::automatic, {}, "again")),
            "'Q' > 'A' < 'B'");
  EXPECT_THROW(example_to_row(chat, Format::pair), Error);
  EXPECT_THROW(example_to_row(from(R"({"text":"T"})"), Format::messages), Error);
}

TEST(Example, PairsAsSupervisedAndJudgedRows) {
  const auto pair = from(R"({"prompt":"Q","chosen":"A","rejected":"B"})");
  EXPECT_EQ(shown(*as_supervised(pair)), "'Q' > 'A'");
  const auto judged = as_judged(pair);
  ASSERT_EQ(judged.size(), 2u);
  EXPECT_EQ(shown(judged[0]), "'Q' > 'A' +");
  EXPECT_EQ(shown(judged[1]), "'Q' > 'B' -");
  EXPECT_FALSE(as_supervised(judged[1]).has_value());
}

TEST(Example, RealFilesAreDetected) {
  FETTLE_NEED_SHARED_DATA();
  const std::map<std::string, Format> formats{{"conversations/alpaca_en_demo.json", Format::alpaca},
                                              {"conversations/dpo_en_demo.json", Format::pair},
                                              {"conversations/kto_en_demo.json", Format::judged},
                                              {"conversations/sharegpt_dummy.json", Format::sharegpt},
                                              {"conversations/ultrafeedback_pairs_train.jsonl", Format::pair},
                                              {"text/c4_demo.jsonl", Format::text}};
  for (const auto& [name, format] : formats) {
    RejectedRows rejected;
    int64_t line = 0;
    for (const auto& row : read_rows({(shared_data() / name).string()}, rejected)) {
      ++line;
      ASSERT_EQ(detect_format(row, {}, name), format) << name << ":" << line;
      Example example;
      try {
        example = example_from_row(row, Format::automatic, {}, name);
      } catch (const RowError& error) {
        EXPECT_TRUE(error.reason().starts_with("empty answer")) << error.what();  // two of the thousand pairs
        continue;
      }
      if (example.kind == Example::Kind::pair) {
        EXPECT_FALSE(example.prompt.text.empty() && example.prompt.messages.empty());
        EXPECT_EQ(example.completion.is_chat, example.rejected.is_chat);
      }
    }
    EXPECT_GT(line, 0);
  }
}

}  // namespace
}  // namespace fettle::data
