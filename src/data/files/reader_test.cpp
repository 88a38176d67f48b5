#include "data/files/paths.h"
#include "data/files/reader.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/random.h"
#include "data/files/input.h"
#include "data/files/splitter.h"
#include "data/files/writer.h"
#include "data/test_data.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

struct ReadResult {
  std::vector<OrderedJson> rows;
  ReadReport report;
  std::map<std::string, int64_t> reasons;
  std::vector<Rejection> first;
};

ReadResult read(const std::vector<std::string>& paths, ReadOptions options = {}) {
  RejectedRows rejected;
  RowReader reader(paths, rejected, options);
  ReadResult result;
  std::vector<Row> batch;
  std::vector<OrderedJson> values;
  while (reader.next(batch, values)) std::move(values.begin(), values.end(), std::back_inserter(result.rows));
  result.report = reader.report();
  result.reasons = rejected.by_reason();
  result.first = rejected.first();
  EXPECT_EQ(result.report.rejected, rejected.count());
  EXPECT_EQ(result.report.rows, static_cast<int64_t>(result.rows.size()));
  return result;
}

std::string rows_text(const std::vector<OrderedJson>& rows) {
  std::string text;
  for (const auto& row : rows) text += dump_json(row) + "\n";
  return text;
}

TEST(Reader, ReadsLinesInOrderAndKeepsTheOrderOfKeys) {
  const Folder folder;
  const auto path = folder.file("a.jsonl", "{\"z\":1,\"a\":2}\r\n\n  {\"b\":[1,{\"c\":null}]}");
  const auto result = read({path});
  EXPECT_EQ(rows_text(result.rows), "{\"z\":1,\"a\":2}\n{\"b\":[1,{\"c\":null}]}\n");
  EXPECT_EQ(result.report.formats.at("jsonl"), 1);
}

TEST(Reader, ReadsArraysAndDocumentsOverManyLines) {
  const Folder folder;
  const auto array =
      folder.file("a.json", "\xEF\xBB\xBF [\n {\"a\": \"],[{\\\"\"},\n {\"b\": [[], {}]} ] \n");
  const auto document = folder.file("b.json", "{\n \"a\": 1\n}\n{\n \"b\": \"}\"\n}\n");
  const auto result = read({array, document});
  EXPECT_EQ(rows_text(result.rows), "{\"a\":\"],[{\\\"\"}\n{\"b\":[[],{}]}\n{\"a\":1}\n{\"b\":\"}\"}\n");
  EXPECT_EQ(result.report.formats, (std::map<std::string, int64_t>{{"json array", 1}, {"json", 1}}));
}

TEST(Reader, ABrokenLineIsRejectedWithItsPlaceAndTheRestIsRead) {
  const Folder folder;
  const auto path = folder.file("a.jsonl", "{\"a\":1}\n{\"a\":2\n[1]\n{\"a\":3}\n\"text\"\n{\"a\":4} x\n");
  const auto result = read({path});
  EXPECT_EQ(rows_text(result.rows), "{\"a\":1}\n{\"a\":3}\n");
  EXPECT_EQ(result.reasons,
            (std::map<std::string, int64_t>{{"not valid JSON", 2}, {"not a JSON object", 2}}));
  ASSERT_EQ(result.first.size(), 4u);
  EXPECT_EQ(result.first[0].line, 2);
  EXPECT_EQ(result.first[0].file, path);
  EXPECT_NE(result.first[0].detail.find(path + ":2"), std::string::npos);
}

TEST(Reader, RejectedRowsFileHoldsWhatWasRead) {
  const Folder folder;
  const auto path = folder.file("a.jsonl", "{\"a\":1}\n[1]\n{oops\n");
  {
    RejectedRows rejected(folder.path("rejected.jsonl"));
    EXPECT_EQ(read_rows({path}, rejected).size(), 1u);
    rejected.commit();
  }
  RejectedRows none;
  const auto rows = read_rows({folder.path("rejected.jsonl")}, none);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["row"], OrderedJson::parse("[1]"));
  EXPECT_EQ(rows[0]["line"], 2);
  EXPECT_EQ(rows[1]["text"], "{oops");
  EXPECT_EQ(rows[1]["reason"], "not valid JSON");
}

TEST(Reader, AnArrayCutInTheMiddleKeepsWhatCouldBeRead) {
  const Folder folder;
  const auto cut = read({folder.file("cut.json", "[{\"a\":1},{\"a\":2},{\"a\":\"thr")});
  EXPECT_EQ(cut.rows.size(), 2u);
  EXPECT_EQ(cut.report.rejected, 1);
  const auto missing = read({folder.file("missing.json", "[{\"a\":1},{\"a\":2}\n")});
  EXPECT_EQ(missing.rows.size(), 2u);
  EXPECT_EQ(missing.report.rejected, 1);
  const auto more = read({folder.file("more.json", "[{\"a\":1}]\n{\"b\":1}")});
  EXPECT_EQ(more.rows.size(), 1u);
  EXPECT_EQ(more.reasons.count("text after the end of the array"), 1u);
}

TEST(Reader, EmptyFilesGiveNoRows) {
  const Folder folder;
  const auto result =
      read({folder.file("a.jsonl", ""), folder.file("b.jsonl", " \n\n"), folder.file("c.json", "[]")});
  EXPECT_TRUE(result.rows.empty());
  EXPECT_EQ(result.report.rejected, 0);
  EXPECT_EQ(result.report.files.size(), 3u);
}

class Compressed : public testing::TestWithParam<const char*> {};

TEST_P(Compressed, RoundTripsAndCutFilesKeepTheirBeginning) {
  const Folder folder;
  const std::string name = std::string("a.jsonl") + GetParam();
  constexpr int count = 20000;
  {
    RowWriter writer(folder.path(name));
    Random random(3);
    for (int i = 0; i < count; ++i) writer.write(OrderedJson{{"i", i}, {"r", random()}});
    writer.commit();
  }
  const auto whole = read({folder.path(name)});
  ASSERT_EQ(whole.rows.size(), static_cast<size_t>(count));
  EXPECT_EQ(whole.rows[count - 1]["i"], count - 1);
  EXPECT_EQ(whole.report.rejected, 0);
  EXPECT_NE(whole.report.formats.begin()->first.find(", "), std::string::npos);

  const std::string bytes = read_file(folder.path(name));
  const auto twice = read({folder.file("twice" + name, bytes + bytes)});
  EXPECT_EQ(twice.rows.size(), static_cast<size_t>(2 * count));
  EXPECT_EQ(twice.report.rejected, 0);

  const auto cut = read({folder.file("cut" + name, bytes.substr(0, bytes.size() * 2 / 3))});
  EXPECT_GT(cut.rows.size(), static_cast<size_t>(count / 3));
  EXPECT_EQ(cut.report.rejected, 1);
  EXPECT_NE(cut.reasons.begin()->first.find("in the middle"), std::string::npos);

  std::string damaged = bytes;
  for (size_t i = damaged.size() / 2; i < damaged.size() / 2 + 64; ++i)
    damaged[i] = static_cast<char>(~damaged[i]);
  const auto broken = read({folder.file("damaged" + name, damaged)});
  EXPECT_GT(broken.report.rejected, 0);
  EXPECT_LT(broken.rows.size(), static_cast<size_t>(count));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Compressed, testing::Values(".gz", ".zst"));

TEST(Reader, JsonArraysAreWrittenAndReadBack) {
  const Folder folder;
  for (const int count : {0, 1, 3}) {
    RowWriter writer(folder.path("a.json"));
    for (int i = 0; i < count; ++i) writer.write(OrderedJson{{"i", i}});
    writer.commit();
    EXPECT_EQ(OrderedJson::parse(read_file(folder.path("a.json"))).size(), static_cast<size_t>(count));
    EXPECT_EQ(read({folder.path("a.json")}).rows.size(), static_cast<size_t>(count));
  }
}

TEST(Reader, InvalidUtf8AndPythonsJsonAreRepairedAndCounted) {
  const Folder folder;
  const auto path =
      folder.file("a.jsonl",
                  "{\"a\":\"x\xFFy\xE2\x82z\"}\n{\"a\":\"\\ud83d!\"}\n{\"a\":NaN,\"b\":[-Infinity,1]}\n"
                  "{\"a\":\"\\ud83d\\ude00 NaN \\\\ud83d\"}\n");
  const auto result = read({path});
  EXPECT_EQ(
      rows_text(result.rows),
      "{\"a\":\"x\xEF\xBF\xBDy\xEF\xBF\xBDz\"}\n{\"a\":\"\xEF\xBF\xBD!\"}\n{\"a\":null,\"b\":[null,1]}\n"
      "{\"a\":\"\xF0\x9F\x98\x80 NaN \\\\ud83d\"}\n");
  EXPECT_EQ(result.report.repaired, 3);
}

TEST(Reader, MaximalSubpartsAreReplacedAsUnicodeSays) {
  // Unicode 15, table 3-8: the bytes 61 F1 80 80 E1 80 C2 62 80 63 80 BF 64.
  EXPECT_EQ(unicode::lossy("a\xF1\x80\x80\xE1\x80\xC2"
                                 "b\x80"
                                 "c\x80\xBF"
                                 "d"),
            "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
            "b\xEF\xBF\xBD"
            "c\xEF\xBF\xBD\xEF\xBF\xBD"
            "d");
  // Table 3-9: surrogates are ill-formed byte by byte.
  EXPECT_EQ(unicode::lossy("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(unicode::character_boundary("a\xE2\x82\xAC", 3), 1u);
  EXPECT_EQ(unicode::count_characters("a\xE2\x82\xAC"), 2);
}

TEST(Reader, LongRowsAreRejectedWithoutBeingKept) {
  const Folder folder;
  const std::string text = "{\"a\":1}\n{\"a\":\"" + std::string(3 << 20, 'x') + "\"}\n{\"a\":2}\n";
  ReadOptions options;
  options.max_row_bytes = 1 << 20;
  const auto lines = read({folder.file("a.jsonl", text)}, options);
  EXPECT_EQ(lines.rows.size(), 2u);
  EXPECT_EQ(lines.reasons.count("longer than 1048576 bytes"), 1u);
  EXPECT_EQ(lines.first[0].line, 2);
  const auto array =
      read({folder.file("a.json", "[{\"a\":1},{\"a\":\"" + std::string(3 << 20, 'x') + "\"},{\"a\":2}]")},
           options);
  EXPECT_EQ(array.rows.size(), 2u);
  EXPECT_EQ(array.report.rejected, 1);
}

TEST(Reader, DeepNestingIsRejected) {
  const Folder folder;
  const auto result = read(
      {folder.file("a.jsonl", "{\"a\":" + std::string(100000, '[') + "\n{\"a\":" + std::string(600, '[') +
                                  std::string(600, ']') + "}\n{\"a\":[[1]]}\n")});
  EXPECT_EQ(result.rows.size(), 1u);
  EXPECT_EQ(result.report.rejected, 2);
}

TEST(Reader, BigNumbersAndRepeatedKeys) {
  const Folder folder;
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  many += "\"k0\":\"again\",\"k99\":\"again\"}\n";
  const auto result = read({folder.file(
      "a.jsonl", "{\"a\":1,\"a\":2,\"n\":18446744073709551615,\"big\":123456789012345678901234}\n" + many)});
  ASSERT_EQ(result.rows.size(), 2u);
  EXPECT_EQ(result.rows[0]["a"], 2);
  EXPECT_EQ(result.rows[0]["n"], 18446744073709551615u);
  EXPECT_DOUBLE_EQ(result.rows[0]["big"].get<double>(), 123456789012345678901234.0);
  EXPECT_EQ(result.rows[1].size(), 100u);
  EXPECT_EQ(result.rows[1]["k0"], "again");
  EXPECT_EQ(result.rows[1]["k99"], "again");
}

TEST(Reader, FoldersAndPatternsInAStableOrder) {
  const Folder folder;
  folder.file("d/b.jsonl", "{\"i\":2}\n");
  folder.file("d/a/x.json.gz", "[{\"i\":1}]");
  folder.file("d/notes.txt", "not data");
  folder.file("d/c.ndjson", "{\"i\":3}\n");
  EXPECT_EQ(rows_text(read({folder.path("d")}).rows), "{\"i\":1}\n{\"i\":2}\n{\"i\":3}\n");
  EXPECT_EQ(rows_text(read({folder.path("d/*.??json")}).rows), "{\"i\":3}\n");
  EXPECT_THROW(expand_paths({folder.path("d/*.csv")}), Error);
  EXPECT_THROW(expand_paths({folder.path("missing.jsonl")}), Error);
  fs::create_directory(folder.path("empty"));
  EXPECT_THROW(expand_paths({folder.path("empty")}), Error);
}

TEST(Reader, RowsKnowTheirLineAndNumber) {
  const Folder folder;
  const auto first = folder.file("a.json", "[\n\n{\"a\":\n1},\n{\"b\":1}]");
  const auto second = folder.file("b.jsonl", "{\"c\":1}\nbad\n{\"d\":1}\n");
  RejectedRows rejected;
  RowReader reader({first, second}, rejected);
  std::vector<Row> batch;
  std::vector<OrderedJson> values;
  ASSERT_TRUE(reader.next(batch, values));
  ASSERT_EQ(batch.size(), 4u);
  EXPECT_EQ(batch[0].where(), first + ":3");
  EXPECT_EQ(batch[1].line, 5);
  EXPECT_EQ(batch[3].where(), second + ":3");
  EXPECT_EQ(batch[3].number, 4);
  EXPECT_FALSE(reader.next(batch, values));
}

TEST(Splitter, PiecesDoNotDependOnHowTheBytesCome) {
  const std::vector<std::string> texts{"{\"a\":\"\\\"\"}\n\n[1,2]\n x\n",
                                       "[ {\"a\":\"]\\\\\"} , 2,[3,[4]]\n,\"x\"] y",
                                       "{\n\"a\":1}{\"b\":[\n2]}\n", "\xEF\xBB\xBF\xEF\xBB\xBF[1, 2]\n"};
  for (const auto& text : texts) {
    std::vector<std::string> whole;
    for (size_t step = text.size(); step >= 1; --step) {
      std::vector<std::string> pieces;
      Splitter splitter(1000, [&](ValueText&& piece) {
        pieces.push_back(std::to_string(piece.line) + piece.text + "|" + piece.problem);
      });
      for (size_t at = 0; at < text.size(); at += step)
        splitter.feed(std::string_view(text).substr(at, step));
      splitter.finish("");
      if (whole.empty()) whole = pieces;
      EXPECT_EQ(pieces, whole) << "in steps of " << step;
    }
  }
}

TEST(Reader, RealFiles) {
  FETTLE_NEED_SHARED_DATA();
  const auto folder = shared_data() / "conversations";
  const std::map<std::string, size_t> counts{{"alpaca_en_demo.json", 999},
                                             {"alpaca_5_percent.json", 3111},
                                             {"dpo_en_demo.json", 300},
                                             {"kto_en_demo.json", 300},
                                             {"sharegpt_dummy.json", 500},
                                             {"ultrafeedback_pairs_train.jsonl", 1000},
                                             {"ultrafeedback_pairs_eval.jsonl", 200},
                                             {"self_instruct_seed_tasks.jsonl", 175}};
  for (const auto& [name, count] : counts) {
    const auto result = read({(folder / name).string()});
    EXPECT_EQ(result.rows.size(), count) << name;
    EXPECT_EQ(result.report.rejected, 0) << name;
  }
  const std::string path = (folder / "alpaca_en_demo.json").string();
  EXPECT_EQ(OrderedJson(read({path}).rows), OrderedJson::parse(read_file(path)));
}

}  // namespace
}  // namespace fettle::data
