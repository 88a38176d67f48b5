#include <gtest/gtest.h>

#include <set>

#include "base/random.h"
#include "base/threads.h"
#include "data/files/external_sort.h"
#include "data/passes/dedupe.h"
#include "data/passes/split_rows.h"
#include "data/signals/minhash.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

struct Item {
  uint64_t key;
  uint32_t value;
  bool operator<(const Item& other) const { return key < other.key || (key == other.key && value < other.value); }
};

TEST(ExternalSort, SortsWithManyRunsAsWithNone) {
  for (const size_t memory : {size_t{1} << 20, size_t{160}, size_t{1}}) {
    const TemporaryFolder folder;
    ExternalSort<Item> sort(folder.path(), "items", memory);
    Random random(4);
    std::vector<Item> wanted;
    for (uint32_t i = 0; i < 700; ++i) {
      wanted.push_back({random.below(100), i});
      sort.add(wanted.back());
    }
    std::sort(wanted.begin(), wanted.end());
    EXPECT_EQ(sort.runs() > 0, memory < 1000);
    Item item{};
    for (const auto& next : wanted) {
      ASSERT_TRUE(sort.next(item));
      ASSERT_EQ(item.key, next.key);
      ASSERT_EQ(item.value, next.value);
    }
    EXPECT_FALSE(sort.next(item));
  }
}

std::vector<uint32_t> shingles_of(std::string_view text, int words) {
  Shingler shingler(words);
  shingler.add(text);
  std::vector<uint32_t> set;
  shingler.take(set);
  return set;
}

TEST(Shingler, WordsEndAtWhiteSpaceAndCaseDoesNotCount) {
  // What stands just outside the ranges of capitals and of white space, before and behind the ASCII.
  const std::string letters = "abzABZ@[`{\x08\x0E\x1F!\x7F\x89\x8D\xA0\xC1\xDA\xFF" + std::string(1, '\0'), blanks = " \t\n\v\f\r";
  Random random(7);
  for (int round = 0; round < 500; ++round) {
    std::string text, plain;
    std::set<std::string> words;
    for (uint64_t count = random.below(20); count > 0; --count) {
      std::string word, lower;
      for (uint64_t left = 1 + random.below(20); left > 0; --left) {
        word += letters[random.below(letters.size())];
        lower += word.back() >= 'A' && word.back() <= 'Z' ? static_cast<char>(word.back() + 32) : word.back();
      }
      text += word;
      plain += lower;
      words.insert(lower);
      if (count == 1 && random.below(2) == 0) break;
      plain += ' ';
      for (uint64_t left = 1 + random.below(3); left > 0; --left) text += blanks[random.below(blanks.size())];
    }
    ASSERT_EQ(shingles_of(text, 1).size(), words.size()) << text;
    ASSERT_EQ(shingles_of(text, 1), shingles_of(plain, 1)) << text;
    ASSERT_EQ(shingles_of("  " + text, 5), shingles_of(plain, 5)) << text;
  }
}

std::string scored_row(const std::string& id, const std::string& text, double score = 0) {
  return dump_json(OrderedJson{{"id", id}, {"text", text}, {"score", score}}) + "\n";
}

std::vector<std::string> ids_in(const std::string& path) {
  RejectedRows none;
  std::vector<std::string> ids;
  for (const auto& value : read_rows({path}, none)) ids.push_back(value.at("id"));
  return ids;
}

TEST(Dedupe, ClustersAreThoseOfDatasketch) {
  const auto golden = read_json(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/data/near_duplicates.json");
  const Folder folder;
  std::string rows;
  for (size_t i = 0; i < golden["texts"].size(); ++i) rows += scored_row(std::to_string(i), golden["texts"][i]);
  const PassFiles files{{folder.file("in.jsonl", rows)}, folder.path("out.jsonl"), {}};
  std::set<std::set<int>> wanted;
  for (const auto& cluster : golden["clusters"]) wanted.insert(cluster.get<std::set<int>>());
  std::string first;
  for (const size_t memory : {size_t{1} << 20, size_t{1} << 10}) {
    for (const int count : {1, 2}) {
      const int before = threads();
      set_threads(count);
      DedupeOptions options;
      options.near = true;
      options.threshold = golden["threshold"];
      options.shingle_words = golden["words"];
      options.clusters = folder.path("clusters.jsonl");
      options.sort_memory = memory;
      const auto report = dedupe_rows(files, options);
      set_threads(before);
      RejectedRows none;
      std::set<std::set<int>> found;
      size_t dropped = 0;
      for (const auto& cluster : read_rows({options.clusters.string()}, none)) {
        std::set<int> members{std::stoi(cluster["kept"].get<std::string>())};
        for (const auto& id : cluster["dropped"]) members.insert(std::stoi(id.get<std::string>()));
        dropped += members.size() - 1;
        found.insert(members);
      }
      EXPECT_EQ(found, wanted);
      EXPECT_EQ(report.in - report.out, static_cast<int64_t>(dropped));
      const std::string bytes = read_file(folder.path("out.jsonl"));
      if (first.empty()) first = bytes;
      EXPECT_TRUE(bytes == first);
    }
  }
}

TEST(Dedupe, OneReadingAndTwoFindTheSame) {
  const Folder folder;
  Random random(9);
  std::string rows;
  for (int i = 0; i < 500; ++i) rows += scored_row(std::to_string(i), "text " + std::to_string(random.below(200)));
  rows += "{broken\n" + scored_row("last", "text 1");
  const PassFiles files{{folder.file("in.jsonl", rows)}, folder.path("out.jsonl"), {}};
  DedupeOptions options;
  const auto one = dedupe_rows(files, options);
  const auto kept = ids_in(folder.path("out.jsonl"));
  options.one_reading = 0;
  options.sort_memory = 512;
  const auto two = dedupe_rows(files, options);
  EXPECT_EQ(ids_in(folder.path("out.jsonl")), kept);
  EXPECT_EQ(one.reasons, two.reasons);
  EXPECT_EQ(one.in, 502);
}

TEST(Dedupe, TheLongestOrTheBestStays) {
  const Folder folder;
  const std::string base = "one two three four five six seven eight nine ten eleven twelve thirteen";
  const std::string rows = scored_row("a", base, 1) + scored_row("b", base + " fourteen", 9) + scored_row("c", base + " fourteen fifteen", 3);
  const PassFiles files{{folder.file("in.jsonl", rows)}, folder.path("out.jsonl"), {}};
  DedupeOptions options;
  options.near = true;
  options.keep = DedupeOptions::Keep::longest;
  dedupe_rows(files, options);
  EXPECT_EQ(ids_in(folder.path("out.jsonl")), std::vector<std::string>{"c"});
  options.keep = DedupeOptions::Keep::best;
  dedupe_rows(files, options);
  EXPECT_EQ(ids_in(folder.path("out.jsonl")), std::vector<std::string>{"b"});
  options.keep = DedupeOptions::Keep::first;
  dedupe_rows(files, options);
  EXPECT_EQ(ids_in(folder.path("out.jsonl")), std::vector<std::string>{"a"});
}

/// Rows that differ from one another, each written twice: with the ids of the first writing those are kept.
std::vector<std::string> kept_of_two_copies(const std::vector<std::string>& bodies, const DedupeOptions& options) {
  const Folder folder;
  std::string rows;
  for (const char* copy : {"first", "again"}) {
    for (size_t i = 0; i < bodies.size(); ++i) rows += fmt::format("{{\"id\":\"{}{}\",{}}}\n", copy, i, bodies[i]);
  }
  dedupe_rows({{folder.file("in.jsonl", rows)}, folder.path("out.jsonl"), {}}, options);
  return ids_in(folder.path("out.jsonl"));
}

TEST(Dedupe, WhatStandsBesideTheTextsCounts) {
  const std::string turns = R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  const auto call = [](const char* city) {
    return fmt::format(R"("messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":"","tool_calls":[{{"type":"function",)"
                       R"("function":{{"name":"f","arguments":{{"city":"{}"}}}}}}]}}])", city);
  };
  const std::vector<std::string> bodies{
      turns,
      turns + R"(,"tools":[{"type":"function","function":{"name":"f"}}])",
      turns + R"(,"tools":[{"type":"function","function":{"name":"g"}}])",
      turns + R"(,"chat_template_kwargs":{"thinking":true})",
      turns + R"(,"class":"good")",
      turns + R"(,"label":true)",
      turns + R"(,"label":false)",
      call("Bern"),
      call("Rome"),
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","reasoning_content":"why"}])",
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0},{"role":"user","content":"r"},{"role":"assistant","content":"b"}])",
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"},{"role":"assistant","content":"b"}])"};
  std::vector<std::string> wanted;
  for (size_t i = 0; i < bodies.size(); ++i) wanted.push_back(fmt::format("first{}", i));
  DedupeOptions options;
  EXPECT_EQ(kept_of_two_copies(bodies, options), wanted);
  options.one_reading = 0;
  EXPECT_EQ(kept_of_two_copies(bodies, options), wanted);
  options.near = true;
  options.threshold = 1;
  EXPECT_EQ(kept_of_two_copies(bodies, options), wanted);
}

TEST(Dedupe, TheSizeOfAWeightAndTheIdOfACallDoNotCount) {
  const Folder folder;
  const auto call = [](const char* id) {
    return fmt::format(R"({{"id":"{0}","messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":"","tool_calls":[{{"id":"{0}",)"
                       R"("type":"function","function":{{"name":"f","arguments":{{}}}}}}]}}]}})" "\n", id);
  };
  const std::string rows = R"({"id":"a","prompt":"q","completion":"x"})" "\n" R"({"id":"b","prompt":"q","completion":"x","weight":0.5})" "\n"
                           R"({"id":"c","prompt":"q","completion":"x","tools":[]})" "\n" + call("d") + call("e");
  dedupe_rows({{folder.file("in.jsonl", rows)}, folder.path("out.jsonl"), {}}, {});
  EXPECT_EQ(ids_in(folder.path("out.jsonl")), (std::vector<std::string>{"a", "d"}));
}

TEST(Dedupe, TheBestNeedsAScore) {
  const Folder folder;
  const PassFiles files{{folder.file("in.jsonl", scored_row("a", "x") + scored_row("b", "x"))}, folder.path("out.jsonl"), {}};
  DedupeOptions options;
  options.keep = DedupeOptions::Keep::best;
  options.score_field = "scroe";
  EXPECT_THROW(dedupe_rows(files, options), Error);
}

TEST(Split, NearDuplicatesNeverStraddle) {
  const auto golden = read_json(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/data/near_duplicates.json");
  const Folder folder;
  std::string rows;
  for (size_t i = 0; i < golden["texts"].size(); ++i) rows += scored_row(std::to_string(i), golden["texts"][i]);
  const PassFiles files{{folder.file("in.jsonl", rows)}, folder.path("train.jsonl"), {}};
  SplitOptions options;
  options.parts = {{folder.path("eval.jsonl"), 0.4}};
  options.by = "near";
  options.threshold = golden["threshold"];
  split_rows(files, options);
  const auto list = ids_in(folder.path("eval.jsonl"));
  const std::set<std::string> held(list.begin(), list.end());
  EXPECT_GT(held.size(), 10u);
  EXPECT_LT(held.size(), golden["texts"].size() - 10);
  for (const auto& cluster : golden["clusters"]) {
    size_t inside = 0;
    for (const auto& member : cluster) inside += held.count(std::to_string(member.get<int>()));
    EXPECT_TRUE(inside == 0 || inside == cluster.size());
  }
}

}  // namespace
}  // namespace fettle::data
