#include "data/files/csv.h"

#include <gtest/gtest.h>

#include "data/files/reader.h"
#include "data/files/splitter.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

/// "line:text" of each row, "line!problem" of what is none; the same for pieces of any size.
std::vector<std::string> rows_of(std::string_view bytes, uint64_t most = 1000) {
  std::vector<std::string> first;
  for (const size_t step : {bytes.size(), size_t{1}, size_t{3}, size_t{16}}) {
    std::vector<std::string> rows;
    CsvSplitter splitter(most, [&](ValueText&& piece) {
      rows.push_back(piece.problem.empty() ? fmt::format("{}:{}", piece.line, piece.text)
                                           : fmt::format("{}!{}", piece.line, piece.problem));
    });
    for (size_t at = 0; at < bytes.size(); at += step) splitter.feed(bytes.substr(at, step));
    splitter.finish("");
    if (step == bytes.size()) first = rows;
    EXPECT_EQ(rows, first) << "in steps of " << step;
  }
  return first;
}

using Rows = std::vector<std::string>;

TEST(Csv, QuotesHoldDelimitersLineEndsAndQuotes) {
  EXPECT_EQ(rows_of("question,answer\r\n\"a, b\",\"say \"\"x\"\"\r\nand go\"\r\nplain \"inner\" quote,z\r\n"),
            (Rows{R"(2:{"question":"a, b","answer":"say \"x\"\r\nand go"})",
                  R"(4:{"question":"plain \"inner\" quote","answer":"z"})"}));
}

TEST(Csv, EmptyCellsAreLeftOutAndQuotedOnesAreEmptyTexts) {
  EXPECT_EQ(rows_of("a,b,c\n1,,\"\"\n,,\n\nx,y,z"),
            (Rows{R"(2:{"a":"1","c":""})", "3:{}", R"(5:{"a":"x","b":"y","c":"z"})"}));
}

TEST(Csv, DelimitersAndLineEndsAreFound) {
  EXPECT_EQ(rows_of("a;b\n1,5;2\n"), (Rows{R"(2:{"a":"1,5","b":"2"})"}));
  EXPECT_EQ(rows_of("a\tb c\n\"x\ty\"\tz\n"), (Rows{R"(2:{"a":"x\ty","b c":"z"})"}));
  EXPECT_EQ(rows_of("text\n\"one, two\"\nthree\n"),
            (Rows{R"(2:{"text":"one, two"})", R"(3:{"text":"three"})"}));
  EXPECT_EQ(rows_of("a,b\r1,2\r3,4\r"), (Rows{R"(2:{"a":"1","b":"2"})", R"(3:{"a":"3","b":"4"})"}));
  EXPECT_EQ(rows_of("\"a;x\";\"b\"\n1;2\n"), (Rows{R"(2:{"a;x":"1","b":"2"})"}));
}

TEST(Csv, RaggedAndBrokenRowsAreNamedByTheirLine) {
  EXPECT_EQ(rows_of("a,b\n1\n1,2,3\n\"x\"y,2\nok,ok\n"),
            (Rows{"2!1 cells where the header has 2", "3!3 cells where the header has 2",
                  "4!text stands behind the closing quote of cell 1", R"(5:{"a":"ok","b":"ok"})"}));
  EXPECT_EQ(rows_of("a,b\n1,\"open\n2,3\n"), (Rows{"2!the file ends inside a quoted cell"}));
  const std::string longer = "a,b\n1,\"" + std::string(3000, 'x') + "\nmore\n7,8\n";
  const auto rows = rows_of(longer);
  EXPECT_EQ(rows.front(), "2!longer than 1000 bytes");
  EXPECT_EQ(rows.back(), R"(4:{"a":"7","b":"8"})");
}

TEST(Csv, WeightsLabelsAndTurnsAreNoTexts) {
  EXPECT_EQ(rows_of("completion,label,weight,score_chosen\n42,True,0.5,7\ntrue,yes,\"1\",nan\n"),
            (Rows{R"(2:{"completion":"42","label":true,"weight":0.5,"score_chosen":7})",
                  R"(3:{"completion":"true","label":"yes","weight":"1","score_chosen":"nan"})"}));
  EXPECT_EQ(
      rows_of("messages,text\n\"[{\"\"role\"\":\"\"user\"\"}]\",\"[{\"\"role\"\":1}]\"\n[{'role': 1}],x\n"),
      (Rows{R"(2:{"messages":[{"role":"user"}],"text":"[{\"role\":1}]"})",
            R"(3:{"messages":"[{'role': 1}]","text":"x"})"}));
}

TEST(Csv, HeadersWithoutOrWithTheSameNamesAreRefused) {
  EXPECT_EQ(rows_of("a,b,a\n1,2,3\n4,5,6\n"), (Rows{"1!the table's header names the column 'a' twice"}));
  EXPECT_EQ(rows_of(",b\n0,2\n"), (Rows{"1!column 1 of the table has no name in the header (pandas writes "
                                        "its index so: use index=False)"}));
}

TEST(Csv, TablesAreKnownByTheirNameOrTheirContent) {
  const Folder folder;
  const auto read = [&](const std::string& name, std::string_view bytes) {
    RejectedRows rejected;
    ReadReport report;
    const auto rows = read_rows({folder.file(name, bytes)}, rejected, &report);
    return fmt::format("{}: {} rows, {} rejected", report.formats.begin()->first, rows.size(),
                       report.rejected);
  };
  EXPECT_EQ(read("a.csv", "\xEF\xBB\xBFtext\none\n"), "csv: 1 rows, 0 rejected");
  EXPECT_EQ(read("a.tsv", "q\ta\n1\t2\n"), "tsv: 1 rows, 0 rejected");
  EXPECT_EQ(read("b.csv", "{\"a\":1}\n"), "jsonl: 1 rows, 0 rejected");
  EXPECT_EQ(read("b.csv", "[{\"a\":1}]"), "json array: 1 rows, 0 rejected");
  EXPECT_EQ(read("rows", "prompt,completion\na,b\n\"c\",d\n"), "csv: 2 rows, 0 rejected");
  EXPECT_EQ(read("rows", "prompt\tcompletion\r\na\tb\r\n"), "tsv: 1 rows, 0 rejected");
  // Text that is no table stays what it was: lines that are no JSON.
  EXPECT_EQ(read("rows", "Well, hello\nYou, too\n"), "jsonl: 0 rows, 2 rejected");
  EXPECT_EQ(read("rows", "\"a\": 1, \"b\": 2}\n{\"a\":1}\n"), "jsonl: 1 rows, 1 rejected");
  EXPECT_EQ(read("rows", "oops,here\n{\"a\":1}\n"), "jsonl: 1 rows, 1 rejected");
  EXPECT_EQ(read("rows", "1,2\n3,4\n"), "jsonl: 0 rows, 2 rejected");
}

TEST(Wide, Utf16AndUtf32BecomeUtf8) {
  const Folder folder;
  const std::u32string text = U"{\"a\":\"Grüße 蓝 😀\"}\n{\"a\":\"x\"}\n";
  const auto encode = [&](int unit, bool big, bool mark) {
    std::string out;
    const auto put = [&](uint32_t value) {
      for (int i = 0; i < unit; ++i) out += static_cast<char>(value >> 8 * (big ? unit - 1 - i : i));
    };
    if (mark) put(0xFEFF);
    for (const char32_t c : text) {
      if (unit == 2 && c > 0xFFFF) {
        put(0xD800 + ((c - 0x10000) >> 10));
        put(0xDC00 + ((c - 0x10000) & 0x3FF));
      } else {
        put(c);
      }
    }
    return out;
  };
  for (const int unit : {2, 4}) {
    for (const bool big : {false, true}) {
      for (const bool mark : {false, true}) {
        RejectedRows rejected;
        ReadReport report;
        const auto rows = read_rows({folder.file("a.jsonl", encode(unit, big, mark))}, rejected, &report);
        ASSERT_EQ(rows.size(), 2u) << unit << big << mark;
        EXPECT_EQ(rows[0]["a"], "Grüße 蓝 😀");
        EXPECT_EQ(report.formats.begin()->first, fmt::format("jsonl, UTF-{}{}", unit * 8, big ? "BE" : "LE"));
        EXPECT_EQ(report.repaired, 0);
      }
    }
  }
  RejectedRows rejected;
  ReadReport report;
  using namespace std::string_view_literals;
  const auto rows = read_rows({folder.file("b.jsonl", "\xFF\xFE{\0\"\0a\0\"\0:\0\"\0\x00\xD8\"\0}\0\n\0"sv)},
                              rejected, &report);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["a"], "\xEF\xBF\xBD");
  EXPECT_EQ(report.repaired, 1);
}

}  // namespace
}  // namespace fettle::data
