
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "base/threads.h"
#include "data/files/unread_input.h"
#include "data/passes/binarize_rows.h"
#include "data/passes/convert_rows.h"
#include "data/passes/dedupe.h"
#include "data/passes/filter.h"
#include "data/passes/mix_rows.h"
#include "data/passes/show.h"
#include "data/passes/split_rows.h"
#include "data/passes/stats.h"
#include "data/signals/minhash.h"
#include "data/test_data.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

class Verbs : public testing::Test {
 protected:
  PassFiles files(const std::string& input, const std::string& name = "out.jsonl") const {
    return {{folder_.file("in.jsonl", input)}, folder_.path(name), folder_.path("rejected.jsonl")};
  }
  std::string output(const std::string& name = "out.jsonl") const { return read_file(folder_.path(name)); }
  static void expect_adds_up(const PassReport& report) {
    int64_t dropped = 0;
    for (const auto& [reason, count] : report.reasons) dropped += count;
    EXPECT_EQ(report.in, report.out + dropped) << to_text(report);
  }

  Folder folder_;
};

const char* chat_row =
    R"({"id":"c","conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Yo"}]})";

TEST_F(Verbs, ConvertWritesTheOtherFormatAndKeepsIds) {
  const auto report = convert_rows(
      files(std::string(chat_row) +
            "\n{\"id\":7,\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}\nbroken\n{\"x\":1}\n"),
      {});
  EXPECT_EQ(output(),
            R"({"id":"c","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"}]})"
            "\n"
            R"({"id":"7","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})"
            "\n");
  EXPECT_EQ(report.in, 4);
  EXPECT_EQ(report.reasons,
            (std::map<std::string, int64_t>{{"no known format", 1}, {"not valid JSON", 1}}));
  expect_adds_up(report);
  ConvertOptions judged;
  judged.to = Format::judged;
  convert_rows(files("{\"id\":7,\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n"), judged);
  EXPECT_EQ(output(),
            "{\"id\":\"7\",\"prompt\":\"q\",\"completion\":\"a\",\"label\":true}\n"
            "{\"id\":\"7-rejected\",\"prompt\":\"q\",\"completion\":\"b\",\"label\":false}\n");
}

TEST_F(Verbs, BinarizeWritesPairsAndCounts) {
  const std::string row =
      R"({"source":"flan","instruction":"Q","completions":[{"model":"m","response":"A","overall_score":9},
                             {"model":"n","response":"B","overall_score":4}]})";
  std::string one_line = row;
  one_line.erase(std::remove(one_line.begin(), one_line.end(), '\n'), one_line.end());
  const auto report = binarize_rows(files(one_line + "\n{\"instruction\":\"Q\",\"completions\":[]}\n"), {});
  const auto pair = OrderedJson::parse(output());
  EXPECT_EQ(pair["chosen"][1]["content"], "A");
  EXPECT_EQ(pair["rejected"][1]["content"], "B");
  EXPECT_EQ(pair["score_rejected"], 4.0);
  EXPECT_EQ(pair["prompt_id"].get<std::string>().size(), 64u);
  EXPECT_EQ(example_from_row(pair, Format::automatic, {}, "pair").kind, Example::Kind::pair);
  EXPECT_EQ(report.more["binarize"]["out"], 1);
  EXPECT_EQ(report.reasons.at("fewer than two scored completions"), 1);
  expect_adds_up(report);
}

TEST_F(Verbs, SplitKeepsEqualPromptsTogether) {
  std::string rows;
  for (int i = 0; i < 1000; ++i) {
    rows += fmt::format(
        "{{\"prompt\":\"Question {}\",\"completion\":\"a\"}}\n{{\"prompt\":\"QUESTION  "
        "{}\",\"completion\":\"b\"}}\n",
        i, i);
  }
  SplitOptions options;
  options.parts = {{folder_.path("eval.jsonl"), 0.1}};
  const auto report = split_rows(files(rows), options);
  EXPECT_EQ(report.out, 2000);
  RejectedRows none;
  const auto eval = read_rows({folder_.path("eval.jsonl")}, none);
  EXPECT_NEAR(static_cast<double>(eval.size()), 200, 60);
  EXPECT_EQ(read_rows({folder_.path("out.jsonl")}, none).size() + eval.size(), 2000u);
  ASSERT_EQ(eval.size() % 2, 0u);
  for (size_t i = 0; i < eval.size(); i += 2) {
    EXPECT_EQ(eval[i]["prompt"].get<std::string>().substr(9),
              eval[i + 1]["prompt"].get<std::string>().substr(10));
  }
  options.parts = {{folder_.path("eval.jsonl"), 1.2}};
  EXPECT_THROW(split_rows(files(rows), options), Error);
}

TEST_F(Verbs, MixWeighsAndShuffles) {
  std::string rows;
  for (int i = 0; i < 300; ++i) rows += fmt::format("{{\"id\":\"a{}\",\"text\":\"x\"}}\n", i);
  const auto first = folder_.file("a.jsonl", rows),
             second = folder_.file("b.jsonl", "{\"id\":\"b\",\"text\":\"y\"}\n");
  MixOptions options;
  options.sources = {{first, 0.5}, {second, 3}};
  const PassFiles to{{}, folder_.path("out.jsonl"), {}};
  const auto report = mix_rows(to, options);
  const auto once = output();
  EXPECT_EQ(report.more["sources"][1]["out"], 3);
  EXPECT_NEAR(static_cast<double>(report.out), 153, 35);
  mix_rows(to, options);
  EXPECT_EQ(output(), once);
  options.seed = 43;
  mix_rows(to, options);
  EXPECT_NE(output(), once);
}

TEST_F(Verbs, ExactDuplicatesGoAndTheFirstStays) {
  const std::string other =
      R"({"id":"m","messages":[{"role":"user","content":"H"},{"role":"assistant","content":"iYo"}]})";
  const auto report =
      dedupe_rows(files(std::string(chat_row) + "\n" + other + "\n{\"id\":\"t\",\"text\":\"HiYo\"}\n"), {});
  EXPECT_EQ(output(),
            std::string(chat_row) + "\n{\"id\":\"t\",\"text\":\"HiYo\"}\n");  // the number of texts differs
  EXPECT_EQ(report.reasons.at("exact duplicate"), 1);
  expect_adds_up(report);
}

TEST_F(Verbs, TheKeptRowCanBeTheBest) {
  DedupeOptions options;
  options.keep = DedupeOptions::Keep::best;
  options.clusters = folder_.path("clusters.jsonl");
  dedupe_rows(files("{\"id\":\"a\",\"text\":\"x\",\"score\":1}\n{\"id\":\"b\",\"text\":\"x\",\"score\":3}\n{"
                    "\"id\":\"c\",\"text\":\"x\"}\n{\"id\":\"d\",\"text\":\"y\"}\n"),
              options);
  EXPECT_EQ(output(), "{\"id\":\"b\",\"text\":\"x\",\"score\":3}\n{\"id\":\"d\",\"text\":\"y\"}\n");
  EXPECT_EQ(read_file(folder_.path("clusters.jsonl")), "{\"kept\":\"b\",\"dropped\":[\"a\",\"c\"]}\n");
}

TEST_F(Verbs, NearDuplicatesAreExactlyThePairsAboveTheThreshold) {
  Random random(5);
  std::vector<std::string> texts;
  for (int base = 0; base < 40; ++base) {
    std::vector<std::string> words;
    for (int i = 0; i < 120; ++i) words.push_back(fmt::format("w{}", random.below(2000)));
    for (int copy = 0; copy < 4; ++copy) {
      auto changed = words;
      for (uint64_t edits = random.below(12); edits > 0; --edits)
        changed[random.below(changed.size())] = fmt::format("n{}", random.below(9999));
      std::string text;
      for (const auto& word : changed) text += word + " ";
      texts.push_back(text);
    }
  }
  std::string rows;
  for (size_t i = 0; i < texts.size(); ++i)
    rows += fmt::format("{{\"id\":\"{}\",\"text\":\"{}\"}}\n", i, texts[i]);
  DedupeOptions options;
  options.near = true;
  options.threshold = 0.6;
  const auto report = dedupe_rows(files(rows), options);
  expect_adds_up(report);

  // The same by comparing all pairs.
  std::vector<std::vector<uint32_t>> sets;
  for (const auto& text : texts) {
    Shingler shingler(options.shingle_words);
    shingler.add(text);
    shingler.take(sets.emplace_back());
  }
  std::vector<size_t> root(texts.size());
  for (size_t i = 0; i < root.size(); ++i) root[i] = i;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < sets.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (root[i] == root[j] || jaccard(sets[i], sets[j]) < options.threshold) continue;
        root[i] = root[j] = std::min(root[i], root[j]);
        changed = true;
      }
    }
  }
  int64_t kept = 0;
  for (size_t i = 0; i < root.size(); ++i) kept += root[i] == i;
  EXPECT_EQ(report.out, kept);
  EXPECT_GT(report.reasons.at("near duplicate"), 20);
  EXPECT_LT(report.out, 159);
}

TEST_F(Verbs, OutputDoesNotDependOnThreads) {
  std::string rows;
  for (int i = 0; i < 3000; ++i)
    rows += fmt::format("{{\"prompt\":\"p{}\",\"completion\":\"I cannot c{}\"}}\n", i % 700, i % 1100);
  const int before = threads();
  std::vector<std::string> outputs;
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    DedupeOptions near;
    near.near = true;
    dedupe_rows(files(rows), {});
    outputs.push_back(output() + read_file(folder_.path("rejected.jsonl")));
    dedupe_rows(files(rows), near);
    outputs.back() += output() + read_file(folder_.path("rejected.jsonl"));
  }
  set_threads(before);
  EXPECT_EQ(outputs[0], outputs[1]);
  EXPECT_EQ(outputs[0], outputs[2]);
}

TEST_F(Verbs, RejectedRowsStandInTheOrderOfTheInputForAnyNumberOfThreads) {
  const std::string filler(2000, 'x');
  std::string lines, cut = "[";
  for (int i = 0; i < 500; ++i) {
    const std::string row = fmt::format("{{\"id\":\"{}\",\"prompt\":\"p{}\",\"completion\":\"{}\"}}", i, i % 499, filler);
    lines += row + "\n";
    cut += row + ",\n";
  }
  cut += "{\"id\":\"half";
  const std::vector<std::string> inputs{folder_.file("a.json", cut), folder_.file("b.jsonl", lines)};
  const int before = threads();
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    dedupe_rows({inputs, folder_.path("out.jsonl"), folder_.path("rejected.jsonl")}, {});
    RejectedRows none;
    std::vector<std::string> places;
    for (const auto& row : read_rows({folder_.path("rejected.jsonl")}, none)) {
      const std::string file = row["file"];
      places.push_back(fmt::format("{}:{:06}", file, row["line"].get<int>()));
    }
    EXPECT_TRUE(std::is_sorted(places.begin(), places.end())) << count;
    EXPECT_EQ(places.size(), 502u);
  }
  set_threads(before);
}

TEST(MinHash, EstimatesJaccardAndBandsMeet) {
  std::vector<uint32_t> a, b;
  Random random(2);
  for (int i = 0; i < 1000; ++i) {
    const auto value = static_cast<uint32_t>(random());
    if (i < 900) a.push_back(value);
    if (i >= 100) b.push_back(value);
  }
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  EXPECT_DOUBLE_EQ(jaccard(a, b), 0.8);
  EXPECT_EQ(jaccard({}, {}), 1.0);
  double same = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto x = minhash(a, seed), y = minhash(b, seed);
    for (size_t i = 0; i < permutations; ++i) same += x[i] == y[i];
  }
  EXPECT_NEAR(same / (20 * permutations), 0.8, 0.03);
  const auto bands = Bands::for_threshold(0.8);
  EXPECT_LE(bands.bands * bands.rows, 128);
  EXPECT_GE(bands.rows, 6);
  EXPECT_EQ(Bands::for_threshold(0.05).rows, 1);
}

/// Hits equal those of searching the lower-cased text for one phrase after another. `shortest` and `longest` in letters.
void expect_same_hits(const std::vector<std::string>& letters, uint64_t shortest, uint64_t longest) {
  Random random(9);
  const auto word = [&](uint64_t size) {
    std::string text;
    for (uint64_t i = 0; i < size; ++i) text += letters[random.below(letters.size())];
    return text;
  };
  int64_t hits = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> phrases;
    for (int i = 0; i < 12; ++i) {
      const auto phrase = lower_case(word(shortest + random.below(longest - shortest + 1)));
      if (std::find(phrases.begin(), phrases.end(), phrase) == phrases.end()) phrases.push_back(phrase);
    }
    const PhraseMatcher matcher(phrases);
    const std::string text = word(1 + random.below(200)), lowered = lower_case(text);
    std::vector<int64_t> found(phrases.size(), 0), expected(phrases.size(), 0);
    matcher.find(text, [&](const PhraseMatcher::Hit& hit, std::string_view) {
      ++found[static_cast<size_t>(hit.phrase)];
      EXPECT_EQ(lowered.substr(static_cast<size_t>(hit.begin), static_cast<size_t>(hit.end - hit.begin)),
                phrases[static_cast<size_t>(hit.phrase)]);
    });
    for (size_t i = 0; i < phrases.size(); ++i) {
      for (size_t at = lowered.find(phrases[i]); at != std::string::npos;
           at = lowered.find(phrases[i], at + 1))
        ++expected[i];
    }
    hits += std::accumulate(expected.begin(), expected.end(), int64_t{0});
    EXPECT_EQ(found, expected) << text;
  }
  EXPECT_GT(hits, 50);
}

TEST(Phrases, FindsWhatSearchingOneByOneFinds) {
  expect_same_hits({"a", "b", "A", "B", " ", "é", "É"}, 1, 4);
  expect_same_hits({"a", "b", "A"}, 4, 4);
  expect_same_hits({"a", "B", "*"}, 4, 7);
  expect_same_hits({"k", "i", "K", "I", "\u212A", "\u0130"}, 4, 6);
  expect_same_hits({"言", "語", "a"}, 2, 5);
  expect_same_hits({"ω", "Ω", "\u2126", "ß", "\u1E9E", "x"}, 3, 5);
  expect_same_hits({"\xFF", "\xC4", "\xB0", "a", "A"}, 4, 6);
}

TEST(Phrases, TheFilterPassesMostTextsWithoutAPhrase) {
  const GramFilter filter({"lgbt", "as an ai language model", "对不起"});
  EXPECT_FALSE(filter.may_hold("As a model of the language, and then some."));
  EXPECT_FALSE(filter.may_hold("对不"));
  EXPECT_TRUE(filter.may_hold("well, As An AI LANGUAGE MODEL"));
  EXPECT_TRUE(filter.may_hold("xLGBT"));
  EXPECT_TRUE(filter.may_hold("我说对不起!"));
  EXPECT_TRUE(GramFilter({"abc"}).may_hold(""));
}

std::string utf8_of(uint32_t point) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3F)); };
  if (point < 0x800) return {static_cast<char>(0xC0 | point >> 6), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xE0 | point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | point >> 18), tail(12), tail(6), tail(0)};
}

/// What the filter relies on: a character that no lower-casing leads to keeps its bytes.
TEST(Phrases, OnlyTwoCharactersBeyondAsciiBecomeAsciiLetters) {
  for (uint32_t point = 0x80; point < 0x110000; ++point) {
    if (point >= 0xD800 && point < 0xE000) continue;
    const std::string character = utf8_of(point), lowered = lower_case(character);
    if (lowered == character) continue;
    const bool becomes_ascii = static_cast<uint8_t>(lowered[0]) < 0x80;
    EXPECT_EQ(becomes_ascii, point == 0x130 || point == 0x212A) << point;
    // So a phrase of that lower case alone is never known by its bytes, and every text may hold it.
    EXPECT_TRUE(becomes_ascii || GramFilter({lowered + lowered + lowered + lowered}).may_hold(character + character + character + character)) << point;
  }
}

TEST(Phrases, LowerCaseIsUnicodes) {
  EXPECT_EQ(lower_case("ÉÇß ΑΩ ЖЯ İ K"), "éçß αω жя i\xCC\x87 k");
  EXPECT_TRUE(PhraseMatcher({"LAMENTO NO PODER PROPORCIONARTE EL CÓDIGO"})
                  .any("… lamento no poder proporcionarte el código."));
  EXPECT_THROW(PhraseMatcher({""}), Error);
  EXPECT_EQ(phrase_list("wizardlm-unfiltered").size(), 154u);
  EXPECT_EQ(phrase_list("openchat").size(), 64u);
  EXPECT_THROW(phrase_list("openchap"), Error);
}

FilterOptions phrases(std::vector<std::string> list, std::vector<std::string> fields = {}) {
  FilterOptions options;
  options.phrases = std::move(list);
  options.phrase_fields = std::move(fields);
  return options;
}

TEST_F(Verbs, FilterByFieldAndSize) {
  const std::string rows =
      "{\"id\":\"1\",\"model\":\"Model: GPT-4\",\"text\":\"long enough\"}\n{\"id\":\"2\",\"text\":\"long "
      "enough\"}\n"
      "{\"id\":\"3\",\"model\":\"Model: GPT-4\",\"text\":\"é\"}\n";
  FilterOptions options;
  options.fields = {FieldRule::parse("model=Model: GPT-4")};
  options.min_characters = 2;
  const auto report = filter_rows(files(rows), options);
  EXPECT_EQ(output(), "{\"id\":\"1\",\"model\":\"Model: GPT-4\",\"text\":\"long enough\"}\n");
  EXPECT_EQ(report.reasons, (std::map<std::string, int64_t>{{"model is not 'Model: GPT-4'", 1},
                                                            {"fewer than 2 characters", 1}}));
  EXPECT_TRUE(FieldRule::parse("a!=b").negate);
  EXPECT_THROW(FieldRule::parse("a"), Error);
  FilterOptions turns;
  turns.min_turns = 3;
  EXPECT_EQ(filter_rows(files(chat_row), turns).out, 0);
}

TEST_F(Verbs, FilterByPhrasesDropsTheRowAndSaysWhere) {
  const std::string rows =
      "{\"id\":\"1\",\"instruction\":\"As an "
      "AI\",\"output\":\"fine\"}\n{\"id\":\"2\",\"instruction\":\"q\",\"output\":\"AS AN AI I cannot\"}\n";
  const auto report = filter_rows(files(rows), phrases({"as an ai", "bias"}));
  EXPECT_EQ(output(), "{\"id\":\"1\",\"instruction\":\"As an AI\",\"output\":\"fine\"}\n");
  RejectedRows none;
  const auto removed = read_rows({folder_.path("rejected.jsonl")}, none);
  EXPECT_EQ(removed[0]["detail"], "'as an ai' in output 1, at byte 0");
  EXPECT_EQ(removed[0]["row"]["id"], "2");
  const auto& use = report.more["phrases"][0];
  EXPECT_EQ(use["rows"], 1);
  EXPECT_EQ(use["alone"], 1);
  EXPECT_EQ(use["user_texts"], 1);
  EXPECT_EQ(use["refusals"], 1);
  EXPECT_EQ(filter_rows(files(rows), phrases({"as an ai"}, {"all"})).out, 0);
  EXPECT_EQ(filter_rows(files(rows), phrases({"as an ai"}, {"instruction"})).out, 1);
}

TEST_F(Verbs, DoubtfulPhrasesAreEstimated) {
  const auto report =
      filter_rows(files("{\"output\":\"This bias is a term of a linear map.\",\"instruction\":\"\"}\n"
                        "{\"output\":\"I cannot help: bias.\",\"instruction\":\"\"}\n{\"output\":\"A bias. I "
                        "cannot.\",\"instruction\":\"\"}\n"),
                  phrases({"bias"}));
  EXPECT_EQ(report.out, 0);
  EXPECT_EQ(report.more["phrases"][0]["refusals"], 1);
  EXPECT_EQ(report.more["doubtful_rows"], 3);
}

TEST_F(Verbs, FilterCanTakeOnlyTheExchangeOrItsWeight) {
  const std::string row =
      R"({"id":"x","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"I cannot"},{"role":"user","content":"b"},{"role":"assistant","content":"ok"}]})";
  auto options = phrases({"i cannot"});
  options.on_phrase = FilterOptions::OnPhrase::drop_pair;
  filter_rows(files(row), options);
  EXPECT_EQ(output(),
            R"({"id":"x","messages":[{"role":"user","content":"b"},{"role":"assistant","content":"ok"}]})"
            "\n");
  options.on_phrase = FilterOptions::OnPhrase::zero_weight;
  filter_rows(files(row), options);
  EXPECT_EQ(OrderedJson::parse(output())["messages"][1]["weight"], 0);
  options.on_phrase = FilterOptions::OnPhrase::drop_pair;
  options.phrases = {"i cannot", "ok"};
  EXPECT_EQ(filter_rows(files(row), options).reasons.at("phrase"), 1);
}

TEST_F(Verbs, PublishedListsRemoveTheRowsThatPythonFinds) {
  FETTLE_NEED_SHARED_DATA();
  const Json golden = read_json("tests/golden/data/phrase_counts.json");
  for (const auto& [name, lists] : golden.items()) {
    for (const auto& [list, count] : lists.items()) {
      PassFiles real{{(shared_data() / "conversations" / name).string()}, folder_.path("out.jsonl"), {}};
      const auto report = filter_rows(real, phrases(phrase_list(list)));
      EXPECT_EQ(report.in - report.out, count.get<int64_t>()) << name << " " << list;
    }
  }
}

TEST_F(Verbs, StatsCountAndMeasure) {
  const auto input = folder_.file(
      "s.jsonl",
      std::string(chat_row) +
          "\nbroken\n{\"text\":\"abc\",\"source\":\"web\"}\n{\"text\":\"abc\",\"source\":\"web\"}\n");
  const auto report = data_stats({input}, {});
  EXPECT_EQ(report.rows, 3);
  EXPECT_EQ(report.rejected, 1);
  EXPECT_EQ(report.equal_texts, 1);
  EXPECT_EQ(report.formats, (std::map<std::string, int64_t>{{"sharegpt", 1}, {"text", 2}}));
  EXPECT_EQ(report.groups.at("source").at("web"), 2);
  EXPECT_EQ(report.characters.total, 10);
  EXPECT_EQ(report.turns.most, 2);
  EXPECT_FALSE(to_text(report).empty());
  EXPECT_EQ(to_json(report)["roles"]["user"], 1);
  const auto d = Distribution::of({{5, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}});
  EXPECT_EQ(d.median, 3);
  EXPECT_EQ(d.p99, 5);
  EXPECT_EQ(d.histogram, (std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {2, 2}, {4, 2}}));
}

TEST_F(Verbs, TraceGoesThroughThePasses) {
  const auto source = folder_.file(
      "raw/in.jsonl",
      "{\"prompt\":\"q\",\"completion\":\"a\"}\n{\"prompt\":\"q2\",\"completion\":\"I cannot\"}\n");
  const PassFiles first{{source}, folder_.path("run/messages.jsonl"), folder_.path("run/r1.jsonl")};
  const PassFiles second{
      {folder_.path("run/messages.jsonl")}, folder_.path("run/final.jsonl"), folder_.path("run/r2.jsonl")};
  write_file(folder_.path("run/convert.json"), dump_json(to_json(convert_rows(first, {}))));
  write_file(folder_.path("run/filter.json"), dump_json(to_json(filter_rows(second, phrases({"i cannot"})))));
  RejectedRows none;
  const auto rows = read_rows({folder_.path("run/final.jsonl")}, none);
  ASSERT_EQ(rows.size(), 1u);
  const auto kept = trace_row(rows[0]["id"].get<std::string>(), {folder_.path("run")});
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].outcome + " " + kept[0].file, "source " + source);
  EXPECT_EQ(kept[1].verb + " " + kept[1].outcome, "convert changed");
  EXPECT_EQ(kept[2].verb + " " + kept[2].outcome, "filter kept");
  const auto removed = read_rows({folder_.path("run/r2.jsonl")}, none);
  const auto lost = trace_row(removed[0]["id"].get<std::string>(), {folder_.path("run")});
  ASSERT_EQ(lost.size(), 3u);
  EXPECT_EQ(lost[2].outcome, "dropped");
  EXPECT_EQ(lost[2].reason, "phrase");
  EXPECT_THROW(trace_row("nobody", {folder_.path("run")}), Error);
  EXPECT_NE(to_text(lost).find("dropped"), std::string::npos);
  EXPECT_EQ(to_json(lost).size(), 3u);
}

TEST(Show, RolesAndHarmlessText) {
  const auto example =
      example_from_row(OrderedJson::parse(R"({"id":"x","prompt":"q\u001b[2J","chosen":"a","rejected":"b"})"),
                       Format::automatic, {}, "row");
  EXPECT_EQ(
      show_example(example, false),
      "id x · preference pair\n[user]\nq\\x1b[2J\n[assistant (chosen)]\na\n[assistant (rejected)]\nb\n");
  EXPECT_NE(show_example(example, true).find("\x1b[36m"), std::string::npos);
  OrderedJson removed{{"file", "a.jsonl"}, {"line", 7}, {"reason", "phrase"}, {"detail", "'as an ai' in output 1"}, {"id", "r"},
                      {"row", {{"text", "As an AI"}}}};
  EXPECT_EQ(show_rejection(removed, false), "removed: phrase · 'as an ai' in output 1 · a.jsonl:7\n");
  EXPECT_EQ(removed, OrderedJson({{"text", "As an AI"}, {"id", "r"}}));
  EXPECT_EQ(show_rejection(removed, false), "");
  OrderedJson broken{{"file", "a.jsonl"}, {"reason", "not valid JSON"}, {"text", "{\x1b"}};
  EXPECT_EQ(show_rejection(broken, false), "removed: not valid JSON · a.jsonl\n{\\x1b\n");
  EXPECT_TRUE(broken.is_null());
}

TEST(UnreadInputs, AreNamedAndTheOthersAreWritten) {
  const Folder folder;
  const auto good = folder.file("good.jsonl", "{\"text\":\"a\"}\n{\"text\":\n"), junk = folder.file("junk.jsonl", "junk\nmore\n"),
             cut = folder.file("cut.gz", "\x1f\x8b\x08"), zip = folder.file("zip", "PK\x03\x04"), empty = folder.file("empty.jsonl", "");
  const PassFiles files{{good, junk, cut, zip, empty}, folder.path("out.jsonl"), folder.path("rejected.jsonl")};
  for (const bool near : {false, true}) {
    DedupeOptions options;
    options.near = near;
    const auto report = dedupe_rows(files, options);
    EXPECT_EQ(report.out, 1);
    EXPECT_EQ(report.in, 5);  // what could not be opened is no row
    const auto json = to_json(report);
    ASSERT_EQ(json["unread"].size(), 3u) << json.dump();
    EXPECT_EQ(json["unread"][0]["file"], cut);
    EXPECT_EQ(json["unread"][1]["file"], junk);
    EXPECT_EQ(json["unread"][2]["file"], zip);
    const std::string text = unread_text("dedupe", json);
    EXPECT_TRUE(text.starts_with("dedupe: of 3 inputs nothing could be read; what the others hold is written\n")) << text;
    EXPECT_NE(text.find("a zip archive"), std::string::npos) << text;
  }
  const auto none = dedupe_rows({{zip}, folder.path("none.jsonl"), ""}, {});
  EXPECT_EQ(none.out, 0);
  // There are no others.
  EXPECT_TRUE(unread_text("dedupe", to_json(none)).starts_with("dedupe: of 1 input nothing could be read\n"));
  EXPECT_EQ(unread_text("dedupe", to_json(dedupe_rows({{good}, folder.path("one.jsonl"), ""}, {}))), "");
  EXPECT_TRUE(fs::exists(folder.path("none.jsonl")));
}

}  // namespace
}  // namespace fettle::data
