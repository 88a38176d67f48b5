#include "text/chat/openchat.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace fettle {
namespace {

/// Bytes, and the end-of-turn tokens of both kinds. Texts begin with <s>.
const Tokenizer& tokenizer() {
  static const auto made = [] {
    OrderedJson vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}}, added = OrderedJson::array();
    for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
    int id = 259;
    for (const char* token : {"<|end_of_turn|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"})
      vocabulary[token] = id++;
    for (const char* token :
         {"<unk>", "<s>", "</s>", "<|end_of_turn|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"})
      added.push_back({{"id", vocabulary[token]}, {"content", token}, {"special", true}, {"normalized", false},
                       {"single_word", false}, {"lstrip", false}, {"rstrip", false}});
    const OrderedJson begins = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
    const OrderedJson text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const OrderedJson json = {
        {"version", "1.0"}, {"added_tokens", added}, {"normalizer", nullptr}, {"pre_tokenizer", nullptr},
        {"post_processor",
         {{"type", "TemplateProcessing"},
          {"single", {begins, text}},
          {"pair", {begins, text}},
          {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}}},
        {"decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}},
        {"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"byte_fallback", true}, {"fuse_unk", false},
                   {"vocab", vocabulary}, {"merges", OrderedJson::array()}}}};
    return Tokenizer::from_json(json.dump(), "openchat");
  }();
  return *made;
}

/// Ids as a text that shows special tokens.
std::string shown(const char* name, const Messages& messages, const OpenChatPrompt& options = {}) {
  std::string text;
  for (const int32_t id : openchat_tokens(openchat_type(name), tokenizer(), messages, options))
    text += id < 3 || id >= 259 ? "[" + tokenizer().token(id) + "]" : tokenizer().bytes(id);
  return text;
}

const Messages talk{{"system", "Be kind."}, {"user", "Hello"}};

TEST(OpenChat, EveryTypeWritesThePublishedPrefixes) {
  EXPECT_EQ(shown("openchat_3.5", talk),
            "[<s>]GPT4 Correct User:Hello[<|end_of_turn|>]GPT4 Correct Assistant:");
  EXPECT_EQ(shown("openchat_3.5", talk), shown("openchat_v3.2_mistral", talk));
  EXPECT_EQ(shown("openchat_v3.2", talk), "[<s>]GPT4 User:Hello[<|end_of_turn|>]GPT4 Assistant:");
  EXPECT_EQ(shown("openchat_v3.1_llama2", talk),
            "[<s>]Assistant is GPT4[<|end_of_turn|>]User:Hello[<|end_of_turn|>]Assistant:");
  EXPECT_EQ(shown("openchat_v2", talk), "[<s>]User:Hello[<|end_of_turn|>]Assistant GPT4:");
  EXPECT_EQ(shown("openchat_llama2", talk), "[<s>]User:Hello[<|end_of_turn|>]Assistant:");
  EXPECT_EQ(shown("openchat", talk), "[<s>]Human: Hello[<|end_of_turn|>]Assistant: ");
  EXPECT_EQ(shown("openchat_8192", talk), shown("openchat", talk));
  EXPECT_EQ(shown("opencoder", talk), "User:Hello[<|end_of_turn|>]Assistant:");
  EXPECT_EQ(shown("openchat_3.6", talk),
            "[<s>][<|start_header_id|>]GPT4 Correct User[<|end_header_id|>]\n\nHello[<|eot_id|>]"
            "[<|start_header_id|>]GPT4 Correct Assistant[<|end_header_id|>]\n\n");
  EXPECT_EQ(find_openchat_type("openchat_9"), nullptr);
  EXPECT_THROW(openchat_type("openchat_9"), Error);
}

TEST(OpenChat, SystemConditionAndOpenTurns) {
  EXPECT_EQ(shown("openchat_3.5", talk, {"", true}),
            "[<s>]Be kind.[<|end_of_turn|>]GPT4 Correct User:Hello[<|end_of_turn|>]GPT4 Correct Assistant:");
  EXPECT_EQ(shown("openchat_3.5", talk, {"Math Correct", false}),
            "[<s>]Math Correct User:Hello[<|end_of_turn|>]Math Correct Assistant:");
  EXPECT_EQ(shown("openchat_3.6", {{"system", " Be kind.\n"}, {"user", "\nHello "}}, {"", true}),
            "[<s>][<|start_header_id|>]System[<|end_header_id|>]\n\nBe kind.[<|eot_id|>]"
            "[<|start_header_id|>]GPT4 Correct User[<|end_header_id|>]\n\nHello[<|eot_id|>]"
            "[<|start_header_id|>]GPT4 Correct Assistant[<|end_header_id|>]\n\n");
  Messages open = talk;
  open.push_back({"assistant", "Well"});
  EXPECT_TRUE(shown("openchat_3.5", open).ends_with("GPT4 Correct Assistant:Well"));
  EXPECT_THROW(shown("openchat_3.5", {{"tool", "x"}}), Error);
}

TEST(OpenChat, ASpecialTokensStringInATextStaysText) {
  const std::string text = shown("openchat_3.6", {{"user", "a<|eot_id|>b"}}, {"<|eot_id|>", false});
  EXPECT_NE(text.find("a<|eot_id|>b[<|eot_id|>]"), std::string::npos);
  EXPECT_NE(text.find("]<|eot_id|> User["), std::string::npos);
}

TEST(OpenChat, IsDetectedFromItsOwnFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(openchat_type_of(folder.path()), nullptr);
  write_file(folder.path() / "openchat.json", R"({"args": {"model_type": "openchat_3.5"}, "epoch": 4})");
  EXPECT_EQ(openchat_type_of(folder.path())->name, "openchat_v3.2_mistral");
  write_file(folder.path() / "openchat.json", R"({"model_type": "other"})");
  EXPECT_THROW(openchat_type_of(folder.path()), Error);
}

}  // namespace
}  // namespace fettle
