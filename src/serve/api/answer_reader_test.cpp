#include "serve/api/answer_reader.h"

#include <gtest/gtest.h>

#include "generate/test_support.h"

namespace fettle::serve {
namespace {

const ThoughtMarks think{"<think>", "</think>"};

/// The same text, whole and byte by byte, must come apart in the same way.
AnswerParts read_both(const AnswerForm& form, std::string_view text) {
  const AnswerParts whole = read_answer(form, text);
  AnswerReader reader(form);
  AnswerParts sum;
  for (const char c : text) {
    const AnswerParts some = reader.push({&c, 1});
    sum.thoughts += some.thoughts;
    sum.content += some.content;
    sum.thought_bytes = std::max(sum.thought_bytes, some.thought_bytes);
    EXPECT_TRUE(some.calls.empty());
  }
  const AnswerParts rest = reader.finish();
  EXPECT_EQ(sum.thoughts + rest.thoughts, whole.thoughts) << text;
  EXPECT_EQ(sum.content + rest.content, whole.content) << text;
  EXPECT_EQ(std::max(sum.thought_bytes, rest.thought_bytes), whole.thought_bytes) << text;
  EXPECT_EQ(rest.calls.size(), whole.calls.size()) << text;
  return whole;
}

TEST(AnswerReader, ThoughtsStandAtTheBeginningAlone) {
  AnswerForm form;
  form.thoughts = think;
  const AnswerParts both = read_both(form, "\n<think>\n\nHm.\n\nSo.\n</think>\n\nYes </think>.");
  EXPECT_EQ(both.thoughts, "Hm.\n\nSo.");
  EXPECT_EQ(both.content, "Yes </think>.");
  EXPECT_EQ(both.thought_bytes, std::string_view("\n<think>\n\nHm.\n\nSo.\n</think>").size());
  EXPECT_EQ(read_both(form, "No <think>thought</think>").content, "No <think>thought</think>");
  EXPECT_EQ(read_both(form, "<thin").content, "<thin");
  EXPECT_EQ(read_both(form, "<think>cut of").thoughts, "cut of");
  EXPECT_EQ(read_both(form, "<think></think>a").content, "a");
  EXPECT_EQ(read_both(form, "").content, "");
  form.begins_in_thought = true;
  const AnswerParts opened = read_both(form, "\nHm.</think>Yes.");
  EXPECT_EQ(opened.thoughts, "Hm.");
  EXPECT_EQ(opened.content, "Yes.");
}

TEST(AnswerReader, CallsComeAfterThoughtsAndText) {
  AnswerForm form;
  form.thoughts = think;
  form.tools = ToolFormat::tagged;
  form.tool_names = {"f"};
  const AnswerParts all = read_both(form,
                                    "<think>Look.</think>Let me see. \n<tool_call>\n{\"name\": \"f\", "
                                    "\"arguments\": {\"x\": 1}}\n</tool_call>");
  EXPECT_EQ(all.thoughts, "Look.");
  EXPECT_EQ(all.content, "Let me see.");
  ASSERT_EQ(all.calls.size(), 1u);
  EXPECT_EQ(all.calls[0].arguments, "{\"x\":1}");
  EXPECT_EQ(read_both(form, "a < b <tool_cal ").content, "a < b <tool_cal ");
  EXPECT_EQ(read_both(form, "<tool_call>{\"name\":\"g\"}</tool_call>").content,
            "<tool_call>{\"name\":\"g\"}</tool_call>");
  form.tools = ToolFormat::bare;
  EXPECT_EQ(read_both(form, "{\"name\":\"f\",\"parameters\":{}}").calls.size(), 1u);
  EXPECT_EQ(read_both(form, "just text").content, "just text");
}

TEST(AnswerReader, CallsNestedBeyondTheLimitStayText) {
  AnswerForm form;
  form.tools = ToolFormat::bare;
  form.tool_names = {"f"};
  const std::string deep = "{\"name\":\"f\",\"parameters\":" + std::string(100000, '[');
  EXPECT_EQ(read_answer(form, deep).content, deep);
  const std::string closed = deep + std::string(100000, ']') + "}";
  EXPECT_EQ(read_answer(form, closed).content, closed);
}

TEST(AnswerReader, MarksComeFromTheTemplateAndThePromptMayOpenThem) {
  const auto tokenizer = test::byte_tokenizer();
  EXPECT_FALSE(thought_marks_of("{{ messages }}", *tokenizer));
  EXPECT_EQ(thought_marks_of("{{ c.split('</think>')[-1] }}", *tokenizer)->open, "<think>");
  EXPECT_EQ(thought_marks_of("[THINK]{{ t }}[/THINK]", *tokenizer)->close, "[/THINK]");
  EXPECT_TRUE(opens_thought(think, "assistant\n<think>\n"));
  EXPECT_FALSE(opens_thought(think, "assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(opens_thought(think, ""));
}

}  // namespace
}  // namespace fettle::serve
