// What is learnt of a conversation is what serving would have to generate, under every template of the
// folder.
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/chat/prepare.h"
#include "text/chat/turns.h"
#include "text/test_support.h"

namespace fettle {
namespace {

const fs::path templates = "tests/golden/text/templates";

ChatTemplate named(const std::string& name) {
  return {read_file(templates / (name + ".jinja")), {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, name};
}

const Tokenizer& tokenizer() {
  static const test::ByteTokenizer made({"<|im_start|>", "<|im_end|>", "</s>", "<s>", "<|eot_id|>"});
  return made;
}

Messages conversation(const char* json) {
  Messages messages;
  for (const auto& message : OrderedJson::parse(json)) messages.push_back(message_from_json(message, "row"));
  return messages;
}

/// The text with what is learnt in brackets.
std::string learnt(const TokenizedChat& chat) {
  std::string out;
  for (size_t i = 0; i < chat.ids.size(); ++i) {
    if (chat.assistant[i] != 0 && (i == 0 || chat.assistant[i - 1] == 0)) out += "«";
    out += tokenizer().bytes(chat.ids[i]);
    if (chat.assistant[i] != 0 && (i + 1 == chat.ids.size() || chat.assistant[i + 1] == 0)) out += "»";
  }
  return out;
}
std::string learnt(const char* name, const char* json, const RenderOptions& options = {}) {
  return learnt(tokenize_chat(tokenizer(), named(name), conversation(json), options));
}

/// Prompt and answer of the last message, as one row of its own.
std::string answered(const char* name, const char* json, bool* rendered = nullptr) {
  const ChatTemplate chat = named(name);
  const Messages messages = conversation(json);
  const size_t before = messages.size() - 1;
  const auto prompt = encode_chat(tokenizer(), chat, std::span(messages).first(before),
                                  prompt_options(chat, messages.back(), {}));
  const auto answer = tokenize_answer(tokenizer(), chat, messages, before, prompt, {});
  if (rendered != nullptr) *rendered = answer.rendered;
  return tokenizer().decode(prompt, false) + "«" + tokenizer().decode(answer.ids, false) + "»";
}

constexpr const char* call_and_answer = R"([{"role":"user","content":"W?"},
  {"role":"assistant","content":"","tool_calls":[{"id":"a1b2c3d4e","type":"function","function":{"name":"w","arguments":{"c":"B"}}}]},
  {"role":"tool","tool_call_id":"a1b2c3d4e","content":"<|call>5 C"},{"role":"assistant","content":"5."}])";

TEST(Turns, ResultsOfToolsInsideTheTurnAreNotLearnt) {
  EXPECT_EQ(learnt("results_in_turn", call_and_answer),
            "<s><|turn>user\nW?<turn|>\n<|turn>model\n«<|call>w{\"c\": \"B\"}<call|>»<|response>w:<|call>5 "
            "C<response|>"
            "«5.<turn|>\n»");
}

TEST(Turns, TwoEndsThatBeginAlikeAreToldApart) {
  EXPECT_EQ(learnt("closed_after_last", R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                                            {"role":"user","content":"c"},{"role":"assistant","content":"d"}])"),
            "<|user|>\na<|end|>\n<|assistant|>\n«b<|end|>\n»<|user|>\nc<|end|>\n<|assistant|>\n«d<|end|>\n<|"
            "closed|>»");
}

TEST(Turns, APromptThatIsNoPrefixOfTheWhole) {
  constexpr const char* row =
      R"([{"role":"system","content":"Be kind."},{"role":"user","content":"Is it so? Say yes."},
                                  {"role":"assistant","content":"yes"}])";
  EXPECT_EQ(learnt("system_in_last", row), "<s>[INST] Is it so? Say yes.[/INST]« yes</s>»");
  bool rendered = true;
  EXPECT_EQ(answered("system_in_last", row, &rendered),
            "<s>[INST] Be kind.\n\nIs it so? Say yes.[/INST]« yes</s>»");
  EXPECT_FALSE(rendered);
}

TEST(Turns, ThoughtsThatEarlierTurnsLoseAreCounted) {
  constexpr const char* row =
      R"([{"role":"user","content":"Q1"},{"role":"assistant","reasoning_content":"R1","content":"A1"},
                                  {"role":"user","content":"Q2"},{"role":"assistant","reasoning_content":"R2","content":"A2"}])";
  const auto chat = tokenize_chat(tokenizer(), named("opens_thought"), conversation(row));
  EXPECT_EQ(learnt(chat),
            "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n«A1<|im_end|>\n»<|im_start|>user\nQ2<|im_"
            "end|>\n"
            "<|im_start|>assistant\n<think>\n«R2\n</think>\n\nA2<|im_end|>\n»");
  EXPECT_EQ(chat.answers, 2);
  EXPECT_EQ(chat.unserved, 1);
}

TEST(Turns, ThoughtsInTheContentBecomeTheTemplatesField) {
  constexpr const char* begin = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n<think>\n";
  for (const char* row :
       {R"([{"role":"user","content":"Q"},{"role":"assistant","content":"<think>\nR\n</think>\n\nA"}])",
        R"([{"role":"user","content":"Q"},{"role":"assistant","reasoning":"R","content":"A"}])",
        R"([{"role":"user","content":"Q"},{"role":"assistant","thinking":"R","content":"A"}])",
        R"([{"role":"user","content":"Q"},{"role":"assistant","thoughts":"R","content":"A"}])"}) {
    EXPECT_EQ(learnt("opens_thought", row), std::string(begin) + "«R\n</think>\n\nA<|im_end|>\n»") << row;
    EXPECT_EQ(answered("opens_thought", row), std::string(begin) + "«R\n</think>\n\nA<|im_end|>\n»") << row;
  }
}

TEST(Turns, AnAnswerWithoutAThoughtStandsBehindAPromptWithThinkingOff) {
  constexpr const char* row = R"([{"role":"user","content":"Q"},{"role":"assistant","content":"A"}])";
  constexpr const char* want =
      "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n«A<|im_end|>\n»";
  EXPECT_EQ(learnt("opens_thought", row), want);
  EXPECT_EQ(answered("opens_thought", row), want);
}

TEST(Turns, ArgumentsAsTextAndAsMappingAreOneText) {
  const auto row = [](const char* arguments) {
    return fmt::format(R"([{{"role":"user","content":"Q"}},{{"role":"assistant","content":null,"tool_calls":[
      {{"type":"function","function":{{"name":"f","arguments":{}}}}},
      {{"type":"function","function":{{"name":"g","arguments":{{}}}}}}]}}])",
                       arguments);
  };
  const std::string mapping = learnt("opens_thought", row(R"({"a": 1})").c_str());
  EXPECT_EQ(mapping, learnt("opens_thought", row(R"("{\"a\":1}")").c_str()));
  EXPECT_TRUE(mapping.ends_with(
      "</think>\n\n«\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"
      "\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call><|im_end|>\n»"))
      << mapping;
}

TEST(Turns, CallsThatTheTemplateDoesNotWriteAreRefused) {
  try {
    learnt("chatml", call_and_answer);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("messages[1]: has tool calls"), std::string::npos)
        << error.what();
  }
}

TEST(Turns, PartsStayPartsWhereTheTemplateReadsThem) {
  constexpr const char* parts =
      R"([{"role":"user","content":[{"type":"text","text":"Hi "},{"type":"text","text":"you"}]},
                                    {"role":"assistant","content":"Hello"}])";
  EXPECT_EQ(learnt("parts", parts), "[user]Hiyou</s>[assistant]«Hello</s>»");
  EXPECT_EQ(learnt("chatml", parts),
            "<|im_start|>user\nHi you<|im_end|>\n<|im_start|>assistant\n«Hello<|im_end|>\n»");
  // A text is one part where the template writes nothing else.
  EXPECT_EQ(learnt("parts", R"([{"role":"user","content":"Hi "},{"role":"assistant","content":"Yo"}])"),
            "[user]Hi</s>[assistant]«Yo</s>»");
}

std::vector<std::pair<std::string, std::string>> conversations() {
  return {
      {"question", R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"},
      {"turns",
       R"([{"role":"system","content":"S"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                    {"role":"user","content":"c"},{"role":"assistant","content":"d"}])"},
      {"no system", R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                        {"role":"user","content":"c"},{"role":"assistant","content":"d"}])"},
      {"empty answers", R"([{"role":"user","content":"a"},{"role":"assistant","content":""},
                            {"role":"user","content":"c"},{"role":"assistant","content":""}])"},
      {"thoughts",
       R"([{"role":"user","content":"a"},{"role":"assistant","reasoning_content":"r","content":"b"},
                       {"role":"user","content":"c"},{"role":"assistant","reasoning_content":"s","content":"d"}])"},
      {"inline",
       R"([{"role":"user","content":"a"},{"role":"assistant","content":"<think>\nr\n</think>\n\nb"}])"},
      {"parts", R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"z"}]},
                    {"role":"assistant","content":[{"type":"text","text":"b"}]}])"},
      {"call", call_and_answer},
      {"parallel", R"([{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[
          {"id":"a1b2c3d4e","type":"function","function":{"name":"f","arguments":{"x":1}}},
          {"id":"a1b2c3d4f","type":"function","function":{"name":"g","arguments":"{\"y\":2}"}}]},
        {"role":"tool","tool_call_id":"a1b2c3d4e","name":"f","content":"1"},
        {"role":"tool","tool_call_id":"a1b2c3d4f","name":"g","content":"2"},
        {"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}])"},
      {"shared text",
       R"([{"role":"user","content":"<|user|>\n<|im_end|></s>"},{"role":"assistant","content":"<|end|>\n<|"},
                          {"role":"user","content":"<turn|>"},{"role":"assistant","content":"\n\n b \n"}])"},
  };
}

/// No learnt token stands on a character that another message or a variable brought.
void expect_own_characters(const ChatTemplate& chat, std::span<const Message> messages,
                           const TokenizedChat& made) {
  const Rendered rendered = chat.render(messages);
  std::vector<int32_t> source;
  for (const auto& run : rendered.runs) source.resize(static_cast<size_t>(run.end), run.message);
  size_t at = 0;
  for (size_t t = 0; t < made.ids.size(); ++t) {
    const size_t size = tokenizer().bytes(made.ids[t]).size();
    for (size_t c = at; c < at + size && made.assistant[t] != 0; ++c)
      ASSERT_TRUE(source[c] == -1 || source[c] == made.turn[t])
          << "character " << c << " of " << rendered.text;
    at += size;
  }
  ASSERT_EQ(at, rendered.text.size());
}

/// Answers counted and answers that serving would ask for in another form.
std::pair<int64_t, int64_t> check_conversation(const ChatTemplate& chat, const Messages& messages) {
  TokenizedChat made;
  try {
    made = tokenize_chat(tokenizer(), chat, messages);
  } catch (const Error&) {
    return {0, 0};  // the template refuses it, as it would when serving
  }
  expect_own_characters(chat, messages, made);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    const auto history = std::span(messages).first(i), through = std::span(messages).first(i + 1);
    std::vector<int32_t> prompt, whole;
    try {
      prompt = encode_chat(tokenizer(), chat, history, prompt_options(chat, messages[i], {}));
      whole = encode_chat(tokenizer(), chat, through);
    } catch (const Error&) {
      continue;
    }
    TokenizedAnswer answer;
    try {
      answer = tokenize_answer(tokenizer(), chat, through, i, prompt, {});
    } catch (const Error&) {
      continue;  // said by name, and not learnt
    }
    const bool stands =
        whole.size() >= prompt.size() && std::equal(prompt.begin(), prompt.end(), whole.begin());
    EXPECT_EQ(answer.rendered, stands);
    if (stands) {
      prompt.insert(prompt.end(), answer.ids.begin(), answer.ids.end());
      EXPECT_EQ(prompt, whole);
      prompt.resize(prompt.size() - answer.ids.size());
    }
    std::vector<int32_t> turn;
    size_t first = made.ids.size();
    for (size_t t = 0; t < made.ids.size(); ++t) {
      if (made.assistant[t] == 0 || made.turn[t] != static_cast<int32_t>(i)) continue;
      first = std::min(first, t);
      turn.push_back(made.ids[t]);
    }
    if (made.unserved > 0 || turn.empty()) continue;
    EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), made.ids.begin(),
                           made.ids.begin() + static_cast<std::ptrdiff_t>(first)))
        << "turn " << i;
    answer.ids.resize(std::min(answer.ids.size(), turn.size()));
    EXPECT_EQ(turn, answer.ids) << "turn " << i;
  }
  return {made.answers, made.unserved};
}

TEST(Turns, UnderEveryTemplateTheAnswerIsWhatServingGenerates) {
  int64_t answers = 0, unserved = 0;
  for (const auto& entry : fs::directory_iterator(templates)) {
    if (entry.path().extension() != ".jinja") continue;
    const ChatTemplate chat(read_file(entry.path()), {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, "template");
    for (const auto& [name, json] : conversations()) {
      SCOPED_TRACE(entry.path().filename().string() + ", " + name);
      const auto [some, off] = check_conversation(chat, conversation(json.c_str()));
      answers += some;
      unserved += off;
    }
  }
  EXPECT_GT(answers, 300);
  EXPECT_LT(unserved, answers / 6);
}

}  // namespace
}  // namespace fettle
