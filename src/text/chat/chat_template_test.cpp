// Where rendered text comes from, and which tokens a turn wrote.
#include "text/chat/chat_template.h"

#include <gtest/gtest.h>

#include "text/test_support.h"

namespace fettle {
namespace {

Message user(std::string text) {
  return {"user", std::move(text)};
}
Message assistant(std::string text, double weight = 1.0) {
  return {"assistant", std::move(text), weight};
}

std::string file(const std::string& name) {
  return read_file("tests/golden/text/templates/" + name + ".jinja");
}
ChatTemplate well_known(const std::string& name) {
  return {file(name), {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, name};
}

// "text of run" with its message, one after another.
std::string spans(const Rendered& rendered) {
  std::string out;
  for (const auto& run : rendered.runs) {
    out += fmt::format(
        "({}:{})", run.message,
        rendered.text.substr(static_cast<size_t>(run.begin), static_cast<size_t>(run.end - run.begin)));
  }
  return out;
}

std::string spans_of(const std::string& source, const Messages& messages, RenderOptions options = {}) {
  return spans(ChatTemplate(source, {{"bos_token", "<s>"}}).render(messages, options));
}

TEST(ChatTemplate, RunsNameTheMessage) {
  const Messages messages = {user("one"), assistant("two")};
  EXPECT_EQ(
      spans_of("{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}|{% endfor %}", messages),
      "(-1:<s><user>)(0:one)(-1:|<assistant>)(1:two)(-1:|)");
  EXPECT_EQ(spans_of("{{ messages[0].content + '-' + messages[1].content }}", messages),
            "(0:one)(-1:-)(1:two)");
}

TEST(ChatTemplate, RunsSurviveStringOperations) {
  const Messages messages = {user("  Ab, cd\nef  "), assistant("xy")};
  const auto spans_after = [&](const std::string& expression) {
    return spans_of(
        "{% set u = messages[0].content %}{% set a = messages[1].content %}{{ " + expression + " }}",
        messages);
  };
  EXPECT_EQ(spans_after("('<' ~ u ~ '>') | trim"), "(-1:<)(0:  Ab, cd\nef  )(-1:>)");
  EXPECT_EQ(spans_after("('  ' + u).strip() + '!'"), "(0:Ab, cd\nef)(-1:!)");
  EXPECT_EQ(spans_after("(u.strip() + a)[4:-1]"), "(0:cd\nef)(1:x)");
  EXPECT_EQ(spans_after("u | upper | trim"), "(0:AB, CD\nEF)");
  EXPECT_EQ(spans_after("u.split(',')[1] + '#'"), "(0: cd\nef  )(-1:#)");
  EXPECT_EQ(spans_after("u.strip().replace('cd', a) | title"), "(0:Ab, )(1:Xy)(0:\nEf)");
  EXPECT_EQ(spans_after("[a, '+', a] | join('-')"), "(1:xy)(-1:-+-)(1:xy)");
  EXPECT_EQ(spans_after("'-'.join([a, a])"), "(1:xy)(-1:-)(1:xy)");
  EXPECT_EQ(spans_after("'[%s]' % a"), "(-1:[)(1:xy)(-1:])");
  EXPECT_EQ(spans_after("'[{}:{:>4}]'.format('k', a)"), "(-1:[k:  )(1:xy)(-1:])");
  EXPECT_EQ(spans_after("(u | trim) | indent(2)"), "(0:Ab, cd)(-1:\n  )(0:ef)");
  EXPECT_EQ(spans_after("{'k': a, 'l': [u | trim]} | tojson"),
            "(-1:{\"k\": )(1:\"xy\")(-1:, \"l\": [)(0:\"Ab, cd\\nef\")(-1:]})");
  EXPECT_EQ(spans_after("[a]"), "(-1:[)(1:'xy')(-1:])");
  EXPECT_EQ(spans_after("a | reverse"), "(1:yx)");
  EXPECT_EQ(spans_after("a | first ~ '.'"), "(1:x)(-1:.)");
  EXPECT_EQ(spans_after("a * 2 ~ '.'"), "(1:xyxy)(-1:.)");
  EXPECT_EQ(spans_after("[a ~ '<|im_end|>'] | string"), "(-1:[)(1:'xy<|im_end|>')(-1:])");
}

TEST(ChatTemplate, RunsSurviveStatements) {
  const Messages messages = {user("one")};
  EXPECT_EQ(spans_of("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(messages[0].content) }}", messages),
            "(-1:<)(0:one)(-1:>)");
  EXPECT_EQ(spans_of("{% set b %}[{{ messages[0].content }}]{% endset %}{{ b | upper }}", messages),
            "(-1:[)(0:ONE)(-1:])");
  EXPECT_EQ(spans_of("{% filter upper %}a{{ messages[0].content }}{% endfilter %}", messages),
            "(-1:A)(0:ONE)");
  EXPECT_EQ(spans_of("{% for c in messages[0].content %}{{ c }}{% endfor %}", messages), "(0:one)");
}

TEST(ChatTemplate, OtherVariablesAndRolesAreTheirOwn) {
  RenderOptions options;
  options.variables["tools"] = {{{"name", "<|im_end|>"}}};
  EXPECT_EQ(spans_of("{{ tools[0].name }}.{{ messages[0].content }}", {user("u")}, options),
            "(-2:<|im_end|>)(-1:.)(0:u)");
  EXPECT_EQ(spans_of("{{ '<|' + messages[0].role + '|>' }}", {user("u")}), "(-1:<|user|>)");
  EXPECT_EQ(spans_of("{{ messages[0].role }}", {{"<|im_end|>", "u"}}), "(0:<|im_end|>)");
  Message call = assistant("");
  call.extra = {{"tool_calls", {{{"name", "f"}, {"arguments", {{"<|im_end|>", 1}}}}}}};
  EXPECT_EQ(spans_of("{{ messages[0].tool_calls[0].arguments | tojson }}", {call}),
            "(-1:{)(0:\"<|im_end|>\")(-1:: 1})");
}

TEST(ChatTemplate, MessagesFromJson) {
  const auto read = [](const char* text) { return message_from_json(OrderedJson::parse(text), "row 3"); };
  EXPECT_EQ(read(R"({"role": "user", "content": "x"})"), user("x"));
  EXPECT_EQ(read(R"({"role": "assistant", "content": "x", "weight": 0.5})"), assistant("x", 0.5));
  const Message parts =
      read(R"({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})");
  EXPECT_EQ(parts.content, "ab");
  EXPECT_EQ(dump_json(parts.extra), R"({"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})");
  const Message call = read(R"({"role": "assistant", "content": null, "tool_calls": [{"z": 1, "a": 2}]})");
  EXPECT_EQ(dump_json(call.extra), R"({"content":null,"tool_calls":[{"z":1,"a":2}]})");
  EXPECT_EQ(dump_json(message_to_json(call)),
            R"({"content":null,"role":"assistant","tool_calls":[{"a":2,"z":1}]})");
  EXPECT_EQ(message_from_json(message_to_json(user("x")), "again"), user("x"));
  for (const char* broken :
       {R"([])", R"({"content": "x"})", R"({"role": 1, "content": "x"})", R"({"role": "user"})",
        R"({"role": "user", "content": 5})", R"({"role": "user", "content": "x", "weight": -1})",
        R"({"role": "user", "content": [{"type": "image"}]})"}) {
    EXPECT_THROW(read(broken), Error) << broken;
  }
}

const test::ByteTokenizer& bytes_tokenizer() {
  static const test::ByteTokenizer tokenizer(
      {"<|im_start|>", "<|im_end|>", "</s>", "<s>", "<|end|>", "<|eot_id|>"});
  return tokenizer;
}

// The text with each turn in (), what the assistant wrote in [], by the tokens' marks.
std::string marked(const TokenizedChat& chat) {
  std::string out;
  int32_t turn = -1;
  bool inside = false;
  for (size_t i = 0; i < chat.ids.size(); ++i) {
    const bool assistant = chat.assistant[i] != 0;
    if (inside && (!assistant || chat.turn[i] != turn)) {
      out += "]";
      inside = false;
    }
    if (chat.turn[i] != turn) out += fmt::format("({})", turn = chat.turn[i]);
    if (assistant && !inside) {
      out += "[";
      inside = true;
    }
    out += bytes_tokenizer().bytes(chat.ids[i]);
  }
  return out + (inside ? "]" : "");
}

std::string marked(const ChatTemplate& chat, const Messages& messages, const RenderOptions& options = {}) {
  return marked(tokenize_chat(bytes_tokenizer(), chat, messages, options));
}

TEST(TokenizeChat, TurnsOfPrefixStableTemplates) {
  const Messages messages = {{"system", "S"}, user("a"), assistant("b"), user("c"), assistant("d")};
  EXPECT_EQ(marked(well_known("chatml"), messages),
            "(0)<|im_start|>system\nS<|im_end|>\n(1)<|im_start|>user\na<|im_end|>\n"
            "(2)<|im_start|>assistant\n[b<|im_end|>\n](3)<|im_start|>user\nc<|im_end|>\n"
            "(4)<|im_start|>assistant\n[d<|im_end|>\n]");
  EXPECT_EQ(marked(well_known("zephyr"), {user("a"), assistant("b")}),
            "(0)<|user|>\na</s>\n(1)<|assistant|>\n[b</s>\n]");
  EXPECT_EQ(marked(well_known("llama3"), {user("a"), assistant("b")}),
            "(0)<s><|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>"
            "(1)<|start_header_id|>assistant<|end_header_id|>\n\n[b<|eot_id|>]");
}

TEST(TokenizeChat, DefaultSystemMessageBelongsToTheFirstTurn) {
  const std::string text = marked(well_known("smollm2"), {user("a"), assistant("b")});
  EXPECT_EQ(text,
            "(0)<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n"
            "<|im_start|>user\na<|im_end|>\n(1)<|im_start|>assistant\n[b<|im_end|>\n]");
}

TEST(TokenizeChat, BosIsBeforeTheFirstTurn) {
  EXPECT_EQ(marked(well_known("openchat_3_5"), {user("a"), assistant("b")}),
            "<s>(0)GPT4 Correct User: a<|end_of_turn|>(1)GPT4 Correct Assistant:[ b<|end_of_turn|>]");
}

TEST(TokenizeChat, TemplatesThatRefuseOrChangePrefixes) {
  // Llama 2 takes the system message into the first user turn and refuses a prefix that is empty.
  EXPECT_EQ(
      marked(well_known("llama2"), {{"system", "S"}, user("a"), assistant("b"), user("c"), assistant("d")}),
      "(0)<s>[INST] <<SYS>>\nS(1)\n<</SYS>>\n\na [/INST](2)[ b </s>](3)<s>[INST] c [/INST](4)[ d </s>]");
  // EOS behind the last assistant message alone.
  EXPECT_EQ(marked(well_known("zephyr_gemma"), {user("a"), assistant("b"), user("c"), assistant("d")}),
            "(0)<s><|im_start|>user\na<|im_end|>\n(1)<|im_start|>assistant\n[b<|im_end|>\n]"
            "(2)<|im_start|>user\nc<|im_end|>\n(3)<|im_start|>assistant\n[d<|im_end|>\n</s>]");
  // The generation prefix holds text that a finished turn lacks.
  const ChatTemplate thinking(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt "
      "%}<assistant><think>{% endif %}",
      Json::object());
  EXPECT_EQ(marked(thinking, {user("a"), assistant("b"), user("c"), assistant("d")}),
            "(0)<user>a<|end|>(1)<assistant>[b<|end|>](2)<user>c<|end|>(3)<assistant>[d<|end|>]");
}

TEST(TokenizeChat, ReasoningThatAnEarlierTurnLoses) {
  const Messages messages = {user("q"), assistant("<think>\nh\n</think>\n\nA"), user("r"),
                             assistant("<think>\ni\n</think>\n\nB")};
  EXPECT_EQ(
      marked(well_known("qwen3_think"), messages),
      "(0)<|im_start|>user\nq<|im_end|>\n(1)<|im_start|>assistant\n[A<|im_end|>\n]"
      "(2)<|im_start|>user\nr<|im_end|>\n(3)<|im_start|>assistant\n[<think>\ni\n</think>\n\nB<|im_end|>\n]");
}

TEST(TokenizeChat, GenerationPromptIsNoTurnOfTheAssistant) {
  RenderOptions options;
  options.add_generation_prompt = true;
  EXPECT_EQ(marked(well_known("chatml"), {user("a")}, options),
            "(0)<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(marked(well_known("chatml"), {user("a"), assistant("b"), user("c")}, options),
            "(0)<|im_start|>user\na<|im_end|>\n(1)<|im_start|>assistant\n[b<|im_end|>\n](2)<|im_start|>"
            "user\nc<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(TokenizeChat, EmptyAnswersAndEmptyConversations) {
  EXPECT_EQ(marked(well_known("chatml"), {user(""), assistant("")}),
            "(0)<|im_start|>user\n<|im_end|>\n(1)<|im_start|>assistant\n[<|im_end|>\n]");
  EXPECT_EQ(marked(well_known("chatml"), {}), "");
  EXPECT_TRUE(tokenize_chat(bytes_tokenizer(), well_known("chatml"), {}).ids.empty());
}

TEST(TokenizeChat, SpecialTokensOfUsersStayText) {
  const Messages messages = {user("<|im_end|>"), assistant("</s>")};
  const TokenizedChat safe = tokenize_chat(bytes_tokenizer(), well_known("zephyr"), messages);
  EXPECT_EQ(std::count(safe.ids.begin(), safe.ids.end(), 257), 0);
  EXPECT_EQ(std::count(safe.ids.begin(), safe.ids.end(), 258), 2);  // the template's own </s> of both turns
  const TokenizedChat parsed = tokenize_chat(bytes_tokenizer(), well_known("zephyr"), messages, {}, true);
  EXPECT_EQ(std::count(parsed.ids.begin(), parsed.ids.end(), 257), 1);
  EXPECT_EQ(std::count(parsed.ids.begin(), parsed.ids.end(), 258), 3);
  EXPECT_EQ(safe.text, parsed.text);
}

TEST(TokenizeChat, WeightsFollowTheMessage) {
  const Messages messages = {user("a"), assistant("b", 0.25), user("c"), assistant("d", 0)};
  const TokenizedChat chat = tokenize_chat(bytes_tokenizer(), well_known("chatml"), messages);
  for (size_t i = 0; i < chat.ids.size(); ++i) {
    const float want = chat.turn[i] == 1 && chat.assistant[i] != 0 ? 0.25F : 0.0F;
    EXPECT_EQ(chat.weight[i], want) << i;
  }
}

// Byte-level BPE as a tokenizer.json describes it: 256 bytes, two merges, ChatML's tokens.
std::string small_tokenizer_json() {
  OrderedJson vocab;
  int extra = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const int character = plain ? byte : 256 + extra++;
    std::string utf8;
    if (character < 0x80) {
      utf8.push_back(static_cast<char>(character));
    } else {
      utf8.push_back(static_cast<char>(0xC0 | (character >> 6)));
      utf8.push_back(static_cast<char>(0x80 | (character & 0x3F)));
    }
    vocab[utf8] = byte;
  }
  vocab["us"] = 256;
  vocab["im"] = 257;
  OrderedJson special = OrderedJson::array();
  for (const auto& [id, token] : {std::pair(258, "<|im_start|>"), std::pair(259, "<|im_end|>")}) {
    special.push_back({{"id", id},
                       {"content", token},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
  }
  const OrderedJson whole = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", special},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocab},
        {"merges", {"u s", "i m"}}}}};
  return dump_json(whole);
}

TEST(TokenizeChat, WithARealTokenizer) {
  const auto tokenizer = Tokenizer::from_json(small_tokenizer_json(), "small");
  const ChatTemplate chat = ChatTemplate::of(*tokenizer);
  const TokenizedChat got = tokenize_chat(*tokenizer, chat, Messages{user("<|im_end|>"), assistant("\nus")});
  const int32_t newline = '\n', start = 258, end = 259, im = 257, us = 256;
  std::vector<int32_t> want = {start, us,  'e', 'r', newline, '<', '|',     im,   '_',
                               'e',   'n', 'd', '|', '>',     end, newline, start};
  for (const char c : std::string("assistant\n\n")) want.push_back(c);
  want.insert(want.end(), {us, end, newline});
  EXPECT_EQ(got.ids, want);
  // The prompt ends with the header's newline; the answer's own newline is the first that was written.
  const std::vector<uint8_t> written(got.assistant.end() - 4, got.assistant.end());
  EXPECT_EQ(written, std::vector<uint8_t>({1, 1, 1, 1}));
  EXPECT_EQ(std::count(got.assistant.begin(), got.assistant.end(), 1), 4);
  EXPECT_EQ(got.turn[15], 0);
  EXPECT_EQ(got.turn[16], 1);
  EXPECT_EQ(tokenize_chat(*tokenizer, chat, Messages{user("<|im_end|>")}, {}, true).ids,
            std::vector<int32_t>({start, us, 'e', 'r', newline, end, end, newline}));
}

TEST(ChatTemplate, OfATokenizer) {
  test::ByteTokenizer carries({"<s>"});
  carries.set_template("{{ messages[0].content }}!");
  EXPECT_EQ(ChatTemplate::of(carries).render(Messages{user("a")}).text, "a!");
  EXPECT_EQ(ChatTemplate::of(bytes_tokenizer()).render(Messages{user("a")}).text,
            "<|im_start|>user\na<|im_end|>\n");
  EXPECT_THROW(ChatTemplate::of(test::ByteTokenizer({"<s>"})), Error);
}

}  // namespace
}  // namespace fettle
