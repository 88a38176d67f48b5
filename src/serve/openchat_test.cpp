#include "serve/openchat.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "generate/test_support.h"
#include "serve/tools.h"

namespace fettle::serve {
namespace {

/// Bytes, and the end-of-turn tokens of both kinds.
std::shared_ptr<const Tokenizer> tokenizer() {
  OrderedJson json = OrderedJson::parse(test::byte_tokenizer()->to_json());
  int32_t id = test::byte_vocabulary;
  for (const char* token : {"<|end_of_turn|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"}) {
    json["added_tokens"].push_back({{"id", id++},
                                    {"content", token},
                                    {"special", true},
                                    {"normalized", false},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false}});
  }
  return Tokenizer::from_json(json.dump(), "openchat");
}

/// Ids as a text that shows special tokens.
std::string shown(const OpenChatType& type, const Messages& messages, const OpenChatPrompt& options = {}) {
  static const auto t = tokenizer();
  std::string text;
  for (const int32_t id : openchat_tokens(type, *t, messages, options))
    text += id < 3 || id >= test::byte_vocabulary ? "[" + t->token(id) + "]" : t->bytes(id);
  return text;
}

const Messages talk{{"system", "Be kind.", 1, nullptr}, {"user", "Hello", 1, nullptr}};

TEST(OpenChat, EveryTypeWritesThePublishedPrefixes) {
  const auto of = [&](const char* name) { return shown(*find_openchat_type(name), talk); };
  // The tokenizer here has no BOS of its own in most types' sense: <s> is looked up by the loader.
  EXPECT_EQ(of("openchat_3.5"), of("openchat_v3.2_mistral"));
  EXPECT_NE(of("openchat_3.5").find("GPT4 Correct User:Hello[<|end_of_turn|>]GPT4 Correct Assistant:"),
            std::string::npos);
  EXPECT_NE(of("openchat_v3.2").find("GPT4 User:Hello[<|end_of_turn|>]GPT4 Assistant:"), std::string::npos);
  EXPECT_NE(of("openchat_v3.1_llama2")
                .find("Assistant is GPT4[<|end_of_turn|>]User:Hello[<|end_of_turn|>]Assistant:"),
            std::string::npos);
  EXPECT_NE(of("openchat_v2").find("User:Hello[<|end_of_turn|>]Assistant GPT4:"), std::string::npos);
  EXPECT_NE(of("openchat").find("Human: Hello[<|end_of_turn|>]Assistant: "), std::string::npos);
  EXPECT_EQ(of("opencoder"), "User:Hello[<|end_of_turn|>]Assistant:");
  EXPECT_NE(of("openchat_3.6")
                .find("[<|start_header_id|>]GPT4 Correct User[<|end_header_id|>]\n\nHello[<|eot_id|>]"),
            std::string::npos);
  EXPECT_FALSE(find_openchat_type("openchat_9"));
}

TEST(OpenChat, SystemConditionAndOpenTurns) {
  const OpenChatType type = *find_openchat_type("openchat_3.5");
  EXPECT_EQ(shown(type, talk).find("Be kind."), std::string::npos);
  EXPECT_NE(shown(type, talk, {"", true}).find("Be kind.[<|end_of_turn|>]GPT4 Correct User:Hello"),
            std::string::npos);
  EXPECT_NE(shown(type, talk, {"Math Correct", false})
                .find("Math Correct User:Hello[<|end_of_turn|>]Math Correct Assistant:"),
            std::string::npos);
  Messages open = talk;
  open.push_back({"assistant", "Well", 1, nullptr});
  EXPECT_TRUE(shown(type, open).ends_with("GPT4 Correct Assistant:Well"));
  EXPECT_THROW(shown(type, {{"tool", "x", 1, nullptr}}), Error);
}

TEST(OpenChat, ASpecialTokensStringInATextStaysText) {
  const OpenChatType type = *find_openchat_type("openchat_3.6");
  const std::string text = shown(type, {{"user", "a<|eot_id|>b", 1, nullptr}}, {"<|eot_id|>", false});
  EXPECT_NE(text.find("a<|eot_id|>b[<|eot_id|>]"), std::string::npos);
  EXPECT_NE(text.find("]<|eot_id|> User["), std::string::npos);
}

TEST(OpenChat, IsDetectedFromItsOwnFile) {
  const TemporaryFolder folder;
  EXPECT_FALSE(openchat_type_of(folder.path()));
  write_file(folder.path() / "openchat.json", R"({"args": {"model_type": "openchat_3.5"}, "epoch": 4})");
  EXPECT_EQ(openchat_type_of(folder.path())->name, "openchat_v3.2_mistral");
  write_file(folder.path() / "openchat.json", R"({"model_type": "other"})");
  EXPECT_THROW(openchat_type_of(folder.path()), Error);
}

TEST(Tools, CallsAreReadInEveryFormat) {
  const std::vector<std::string> names{"add"};
  const ToolAnswer tagged =
      read_tool_calls(ToolFormat::tagged,
                      "Sure.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": "
                      "1}}\n</tool_call>\n<tool_call>{\"name\":\"add\",\"arguments\":{}}",
                      names);
  EXPECT_EQ(tagged.content, "Sure.");
  ASSERT_EQ(tagged.calls.size(), 2u);
  EXPECT_EQ(tagged.calls[0].arguments, R"({"a":1})");
  const ToolAnswer listed =
      read_tool_calls(ToolFormat::listed, R"([TOOL_CALLS] [{"name": "add", "arguments": {"a": 2}}])", names);
  ASSERT_EQ(listed.calls.size(), 1u);
  EXPECT_EQ(listed.calls[0].arguments, R"({"a":2})");
  const ToolAnswer bare =
      read_tool_calls(ToolFormat::bare, R"(<|python_tag|>{"name": "add", "parameters": {"a": 3}})", names);
  ASSERT_EQ(bare.calls.size(), 1u);
}

TEST(Tools, WhatOnlyLooksLikeACallStaysText) {
  for (const char* text : {"<tool_call>{broken</tool_call>",
                           "<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>", "plain", ""}) {
    const ToolAnswer answer = read_tool_calls(ToolFormat::tagged, text, {"add"});
    EXPECT_EQ(answer.content, text);
    EXPECT_TRUE(answer.calls.empty());
  }
  EXPECT_EQ(read_tool_calls(ToolFormat::bare, "{\"x\": 1}", {"add"}).content, "{\"x\": 1}");
  EXPECT_EQ(tool_format_of("{% if tools %}<tool_call>{% endif %}"), ToolFormat::tagged);
  EXPECT_FALSE(tool_format_of("{{ messages }}"));
}

}  // namespace
}  // namespace fettle::serve
