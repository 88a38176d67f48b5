#include "data/training/tokenize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "data/test_data.h"
#include "data/training/dataset.h"

namespace fettle::data {
namespace {

/// A byte is a token; 256 is BOS, 257 is EOS, spelled "</s>"; "\n\n" is one token (258), so that tokens can
/// merge across the end of a prompt.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool add_bos) : add_bos_(add_bos) {
    bos_ = 256;
    eos_ = 257;
  }
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const override {
    const std::array<Piece, 1> pieces{Piece{text, options.parse_special}};
    return encode_pieces(pieces, {.add_special = options.add_special}).ids;
  }
  Encoding encode_pieces(std::span<const Piece> pieces, PieceOptions options) const override {
    std::string text;
    std::vector<bool> parse;
    for (const auto& piece : pieces) {
      text += piece.text;
      parse.insert(parse.end(), piece.text.size(), piece.parse_special);
    }
    Encoding made;
    if (options.add_special && add_bos_) {
      made.ids.push_back(256);
      made.begins.push_back(0);
    }
    for (size_t at = 0; at < text.size();) {
      const std::string_view rest = std::string_view(text).substr(at);
      const bool end = rest.starts_with("</s>") && parse[at], merged = rest.starts_with("\n\n");
      made.ids.push_back(end ? 257 : merged ? 258 : static_cast<uint8_t>(rest[0]));
      made.begins.push_back(static_cast<int64_t>(at));
      at += end ? 4 : merged ? 2 : 1;
    }
    return made;
  }
  std::string decode(std::span<const int32_t> ids, bool) const override {
    std::string text;
    for (const int32_t id : ids) text += bytes(id);
    return text;
  }
  int32_t size() const override { return 259; }
  std::string token(int32_t id) const override { return bytes(id); }
  std::optional<int32_t> id(std::string_view) const override { return std::nullopt; }
  bool is_special(int32_t id) const override { return id == 256 || id == 257; }
  std::string bytes(int32_t id) const override {
    return id == 256   ? "<s>"
           : id == 257 ? "</s>"
           : id == 258 ? "\n\n"
                       : std::string(1, static_cast<char>(id));
  }
  std::string to_json() const override { return {}; }
  GgufVocabulary to_gguf() const override { return {}; }

 private:
  bool add_bos_;
};

/// The tokens as text, supervised ones in brackets: "Q[A][</s>]"; a weight other than 1 stands behind the
/// token.
std::string shown(const TokenSequence& sequence, const Tokenizer& tokenizer) {
  std::string text;
  for (size_t t = 0; t < sequence.ids.size(); ++t) {
    const float weight = sequence.weights[t];
    const std::string token = tokenizer.bytes(sequence.ids[t]);
    text += weight == 0 ? token : weight == 1 ? "[" + token + "]" : fmt::format("[{}*{}]", token, weight);
  }
  return text;
}

const ByteTokenizer plain{false}, with_bos{true};

/// Every turn is ROLE-LETTER ':' content ';', the generation prefix "A:".
ChatTemplate letters() {
  return ChatTemplate(
      "{% for m in messages %}{{ m.role[0] | upper }}:{{ m.content }};{% endfor %}{% if "
      "add_generation_prompt %}A:{% endif %}",
      Json::object());
}

Example example_of(const char* text) {
  return example_from_row(OrderedJson::parse(text), Format::automatic, {}, "row");
}

std::string sequence(const char* text, TokenizeOptions options, const Tokenizer& tokenizer = plain) {
  const auto chat = letters();
  std::string reason;
  bool truncated = false;
  const auto made =
      tokenize_sequence(example_of(text), tokenizer, options.raw ? nullptr : &chat, options, reason, truncated);
  return (made ? shown(*made, tokenizer) : "dropped: " + reason) + (truncated ? " (cut)" : "");
}

std::string pair(const char* text, TokenizeOptions options, const Tokenizer& tokenizer = plain) {
  const auto chat = letters();
  std::string reason;
  bool truncated = false;
  const auto made =
      tokenize_pair(example_of(text), tokenizer, options.raw ? nullptr : &chat, options, reason, truncated);
  if (!made) return "dropped: " + reason + (truncated ? " (cut)" : "");
  return tokenizer.decode(made->prompt_ids, false) + " > " + tokenizer.decode(made->chosen_ids, false) +
         " < " + tokenizer.decode(made->rejected_ids, false) + (truncated ? " (cut)" : "");
}

constexpr const char* two_turns =
    R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                                      {"role":"user","content":"c"},{"role":"assistant","content":"d"}]})";

TEST(Tokenize, RawTextGetsEosOnceAndBosFromTheTokenizer) {
  const TokenizeOptions raw{.raw = true};
  EXPECT_EQ(sequence(R"({"prompt":"Q","completion":"A"})", raw), "Q[A][</s>]");
  EXPECT_EQ(sequence(R"({"prompt":"Q","completion":"A</s>"})", raw), "Q[A][</s>]");
  EXPECT_EQ(sequence(R"({"prompt":"Q","completion":"A"})", raw, with_bos), "<s>Q[A][</s>]");
  EXPECT_EQ(sequence(R"({"text":"ab"})", raw), "a[b][</s>]");
  EXPECT_EQ(sequence(R"({"text":"ab"})", raw, with_bos), "<s>[a][b][</s>]");
  EXPECT_EQ(pair(R"({"prompt":"Q","chosen":"A","rejected":"B"})", raw, with_bos), "<s>Q > A</s> < B</s>");
  EXPECT_EQ(pair(R"({"chosen":"Q: A","rejected":"Q: B"})", raw), "Q: >  A</s> <  B</s>");
}

TEST(Tokenize, TokensThatMergeAcrossTheBoundaryBelongToTheCompletion) {
  const TokenizeOptions raw{.raw = true};
  EXPECT_EQ(sequence(R"({"prompt":"Q\n","completion":"\nA"})", raw), "Q[\n\n][A][</s>]");
  EXPECT_EQ(pair(R"({"prompt":"Q\n","chosen":"\nA","rejected":"B"})", raw), "Q > \n\nA</s> < \nB</s>");
}

TEST(Tokenize, CompletionsAreWhatFollowsTheGenerationPrefix) {
  EXPECT_EQ(sequence(R"({"prompt":"q","completion":"x"})", {}), "U:q;A:[x][;]");
  EXPECT_EQ(sequence(two_turns, {}), "U:a;A:b;U:c;A:[d][;]");
  EXPECT_EQ(sequence(R"({"instruction":"q","input":"","output":"x"})", {}), "U:q;A:[x][;]");
  EXPECT_EQ(sequence(R"({"prompt":"q","chosen":"x","rejected":"y"})", {}), "U:q;A:[x][;]");
  EXPECT_EQ(sequence(R"({"messages":[{"role":"user","content":"q"}]})", {}), "dropped: no assistant turn");
  EXPECT_EQ(sequence(R"({"prompt":"q","completion":"x","label":false})", {}), "dropped: undesirable answer");
}

TEST(Tokenize, AssistantTurnsAndAll) {
  EXPECT_EQ(sequence(two_turns, {.train_on = TrainOn::assistant}), "U:a;A:[b][;]U:c;A:[d][;]");
  EXPECT_EQ(sequence(two_turns, {.train_on = TrainOn::all}),
            "U[:][a][;][A][:][b][;][U][:][c][;][A][:][d][;]");
}

TEST(Tokenize, WeightsOfMessagesRowsAndClassesMultiply) {
  const char* weighted =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0},
                             {"role":"user","content":"c"},{"role":"assistant","content":"d","weight":0.5}],"weight":4,"class":"gpt3"})";
  EXPECT_EQ(sequence(weighted, {.train_on = TrainOn::assistant, .class_weights = {{"gpt3", 0.25}}}),
            "U:a;A:b;U:c;A:[d*0.5][;*0.5]");
  EXPECT_EQ(sequence(weighted, {}), "U:a;A:b;U:c;A:[d*2][;*2]");
}

TEST(Tokenize, LongRowsAreCutOrDropped) {
  const char* text = R"({"prompt":"qq","completion":"xyz"})";  // U:qq;A:xyz; is 11 tokens
  EXPECT_EQ(sequence(text, {.max_length = 9}), "U:qq;A:[x][y] (cut)");
  EXPECT_EQ(sequence(text, {.max_length = 11}), "U:qq;A:[x][y][z][;]");
  EXPECT_EQ(sequence(text, {.max_length = 0}), "U:qq;A:[x][y][z][;]");
  EXPECT_EQ(sequence(text, {.max_length = 7}), "dropped: nothing supervised after truncation (cut)");
  EXPECT_EQ(sequence(text, {.truncate = Truncate::keep_end, .max_length = 5}), ":[x][y][z][;] (cut)");
  EXPECT_EQ(sequence(text, {.truncate = Truncate::keep_end, .max_length = 3}), "y[z][;] (cut)");
  EXPECT_EQ(sequence(text, {.truncate = Truncate::drop, .max_length = 9}),
            "dropped: longer than max_length (cut)");
}

TEST(Tokenize, PairsShareOnePromptWhenCut) {
  const char* text = R"({"prompt":"qq","chosen":"xyz","rejected":"k"})";  // prompt 7, answers 4 and 2
  EXPECT_EQ(pair(text, {}), "U:qq;A: > xyz; < k;");
  EXPECT_EQ(pair(text, {.max_length = 10}), "U:qq;A: > xyz < k; (cut)");
  EXPECT_EQ(pair(text, {.max_length = 8}), "U:qq;A: > x < k (cut)");
  EXPECT_EQ(pair(text, {.max_length = 7}), "dropped: nothing supervised after truncation (cut)");
  EXPECT_EQ(pair(text, {.truncate = Truncate::keep_end, .max_length = 8}), "q;A: > xyz; < k; (cut)");
  EXPECT_EQ(pair(text, {.truncate = Truncate::keep_end, .max_length = 6}), ";A: > xyz < k; (cut)");
  EXPECT_EQ(pair(text, {.truncate = Truncate::drop, .max_length = 10}),
            "dropped: longer than max_length (cut)");
}

/// The system message stands in the last question alone: the prompt is no beginning of the whole.
ChatTemplate system_in_last() {
  return ChatTemplate(
      "{% for m in messages %}{% if m.role == 'user' %}U:{% if loop.last and messages[0].role == 'system' %}"
      "{{ messages[0].content }},{% endif %}{{ m.content }}?{% elif m.role == 'assistant' %}{{ m.content }};"
      "{% endif %}{% endfor %}",
      Json::object());
}

std::string under(const ChatTemplate& chat, const char* text, TokenizeOptions options) {
  std::string reason, all;
  bool truncated = false;
  for (const auto& example : supervised_rows(example_of(text), options)) {
    const auto made = tokenize_sequence(example, plain, &chat, options_of_rows(options), reason, truncated);
    all += (all.empty() ? "" : " | ") + (made ? shown(*made, plain) : "dropped: " + reason);
  }
  return all;
}

TEST(Tokenize, AnswersStandBehindThePromptThatServingBuilds) {
  const auto chat = system_in_last();
  const char* text = R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})";
  EXPECT_EQ(under(chat, text, {}), "U:S,q?[a][;]");
  EXPECT_EQ(under(chat, text, {.train_on = TrainOn::assistant}), "U:S,q?[a][;]");
  std::string reason;
  bool truncated = false;
  const auto pair = tokenize_pair(
      example_of(R"({"prompt":[{"role":"system","content":"S"},{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"a"}],
              "rejected":[{"role":"assistant","content":"b"}]})"),
      plain, &chat, {}, reason, truncated);
  ASSERT_TRUE(pair);
  EXPECT_EQ(plain.decode(pair->prompt_ids, false), "U:S,q?");
  EXPECT_EQ(plain.decode(pair->chosen_ids, false), "a;");
  EXPECT_EQ(plain.decode(pair->rejected_ids, false), "b;");
}

TEST(Tokenize, SplitTurnsMakeARowOfEachAnswer) {
  const auto chat = system_in_last();
  EXPECT_EQ(under(letters(), two_turns, {.train_on = TrainOn::assistant, .split_turns = true}),
            "U:a;A:[b][;] | U:a;A:b;U:c;A:[d][;]");
  const char* weighted = R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"q"},
      {"role":"assistant","content":"a","weight":0},{"role":"user","content":"r"},{"role":"assistant","content":"b","weight":0.5}]})";
  EXPECT_EQ(under(chat, weighted, {.split_turns = true}), "U:q?a;U:S,r?[b*0.5][;*0.5]");
  EXPECT_EQ(under(letters(), two_turns, {.train_on = TrainOn::all, .split_turns = true}),
            under(letters(), two_turns, {.train_on = TrainOn::all}));
  const auto rows = supervised_rows(example_of(two_turns), {.split_turns = true});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].id, example_of(two_turns).id + "-turn2");
}

TEST(Tokenize, ResultsOfToolsInACompletionAreNotLearnt) {
  const char* text = R"({"prompt":"q","completion":[{"role":"assistant","content":"x"},{"role":"tool","content":"t"},
                         {"role":"assistant","content":"y"}]})";
  EXPECT_EQ(under(letters(), text, {}), "U:q;A:[x][;]T:t;A:[y][;]");
}

TEST(Tokenize, AnswersInAFormThatServingNeverAsksForAreCounted) {
  const ChatTemplate drops(
      "{% for m in messages %}{{ m.role[0] | upper }}:{% if m.reasoning_content and loop.last %}({{ m.reasoning_content }})"
      "{% endif %}{{ m.content }};{% endfor %}{% if add_generation_prompt %}A:{% endif %}",
      Json::object());
  const char* text = R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"r"},
                         {"role":"user","content":"c"},{"role":"assistant","content":"d","reasoning_content":"s"}]})";
  std::string reason;
  bool truncated = false;
  const auto made = tokenize_sequence(example_of(text), plain, &drops, {.train_on = TrainOn::assistant}, reason, truncated);
  ASSERT_TRUE(made);
  EXPECT_EQ(shown(*made, plain), "U:a;A:[b][;]U:c;A:[(][s][)][d][;]");
  EXPECT_EQ(made->notes.answers, 2);
  EXPECT_EQ(made->notes.unserved, 1);
  EXPECT_EQ(under(drops, text, {.split_turns = true}), "U:a;A:[(][r][)][b][;] | U:a;A:b;U:c;A:[(][s][)][d][;]");
}

TEST(Tokenize, MissingTemplatesAndWrongKindsAreErrors) {
  std::string reason;
  bool truncated = false;
  EXPECT_THROW(
      tokenize_sequence(example_of(R"({"prompt":"q","completion":"x"})"), plain, nullptr, {}, reason, truncated),
      Error);
  EXPECT_THROW(tokenize_pair(example_of(R"({"prompt":"q","completion":"x"})"), plain, nullptr, {.raw = true}, reason,
                             truncated),
               Error);
  EXPECT_THROW(tokenize_sequence(example_of(two_turns), plain, nullptr, {.raw = true}, reason, truncated), Error);
}

TEST(Dataset, RowsComeInOrderWithTheirReport) {
  const Folder folder;
  const auto path =
      folder.file("a.jsonl",
                  "{\"prompt\":\"a\",\"completion\":\"1\",\"id\":\"A\"}\nbroken\n{\"prompt\":\"b\"}\n"
                  "{\"instruction\":\"c\",\"output\":\"3\",\"class\":\"x\"}\n{\"prompt\":\"too "
                  "long\",\"completion\":\"4\"}\n");
  const auto chat = letters();
  RejectedRows rejected;
  const auto set = load_sequences({{{path}}}, plain, &chat, {.max_length = 10}, 1, rejected);
  ASSERT_EQ(set.rows.size(), 2u);
  EXPECT_EQ(set.rows[0].id, "A");
  EXPECT_EQ(shown(set.rows[1], plain), "U:c;A:[3][;]");
  EXPECT_EQ(set.rows[1].group, 0);
  EXPECT_EQ(set.classes, (std::vector<std::string>{"x"}));
  EXPECT_EQ(set.report.rows, 4);
  EXPECT_EQ(set.report.kept, 2);
  EXPECT_EQ(set.report.tokens, 16);
  EXPECT_EQ(set.report.supervised_tokens, 4);
  EXPECT_EQ(set.report.formats, (std::map<std::string, int64_t>{{"alpaca", 1}, {"completion", 2}}));
  EXPECT_EQ(set.read.rejected, 1);
  EXPECT_EQ(rejected.by_reason(),
            (std::map<std::string, int64_t>{{"not valid JSON", 1},
                                            {"no known format", 1},
                                            {"nothing supervised after truncation", 1}}));
}

TEST(Dataset, NothingLeftIsAnErrorThatSaysWhy) {
  const Folder folder;
  const auto path = folder.file("a.jsonl", "{\"prompt\":\"b\"}\n{\"a\":1}\n");
  RejectedRows rejected;
  try {
    load_pairs({{{path}}}, plain, nullptr, {.raw = true}, 1, rejected);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("2 × no known format"), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find(path + ":1"), std::string::npos) << error.what();
  }
}

TEST(Dataset, WeightsChooseOrRepeatRows) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 400; ++i) text += fmt::format("{{\"prompt\":\"{}\",\"completion\":\"x\"}}\n", i);
  const auto path = folder.file("a.jsonl", text);
  RejectedRows rejected;
  const auto count = [&](double weight, uint64_t seed) {
    return load_sequences({{{path}, Format::automatic, {}, weight}}, plain, nullptr, {.raw = true}, seed,
                          rejected)
        .rows.size();
  };
  EXPECT_EQ(count(1, 1), 400u);
  EXPECT_EQ(count(3, 1), 1200u);
  EXPECT_NEAR(static_cast<double>(count(0.25, 1)), 100, 30);
  EXPECT_NEAR(static_cast<double>(count(1.5, 2)), 600, 40);
}

TEST(Dataset, PairsServeKto) {
  const Folder folder;
  const auto path = folder.file("a.jsonl", "{\"prompt\":\"q\",\"chosen\":\"x\",\"rejected\":\"y\"}\n");
  RejectedRows rejected;
  const auto set = load_judged({{{path}}}, plain, nullptr, {.raw = true}, 1, rejected);
  ASSERT_EQ(set.rows.size(), 2u);
  EXPECT_TRUE(set.rows[0].desirable);
  EXPECT_FALSE(set.rows[1].desirable);
  EXPECT_EQ(set.report.rows, 2);
}

TEST(Dataset, SourcesOfAConfig) {
  const auto sources = data_sources_from_json(
      Json::parse(
          R"(["a.jsonl", {"path":["b","c"],"format":"sharegpt","columns":{"items":"turns"},"weight":0.5}])"),
      "data");
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[1].paths, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(sources[1].format, Format::sharegpt);
  EXPECT_EQ(sources[1].weight, 0.5);
  EXPECT_THROW(data_sources_from_json(Json::parse(R"({"pth":"a"})"), "data"), Error);
  EXPECT_THROW(data_sources_from_json(Json::parse(R"({"format":"text"})"), "data"), Error);
  EXPECT_THROW(data_sources_from_json(Json::parse(R"({"path":"a","weight":-1})"), "data"), Error);
}

}  // namespace
}  // namespace fettle::data
