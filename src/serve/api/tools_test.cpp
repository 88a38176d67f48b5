#include "serve/api/tools.h"

#include <gtest/gtest.h>

namespace fettle::serve {
namespace {

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
