#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4frame.h>
#include <zlib.h>

#include <algorithm>

#include "base/random.h"
#include "data/files/reader.h"
#include "data/files/writer.h"
#include "data/parquet/codec.h"
#include "data/parquet/reader.h"
#include "data/parquet/values.h"
#include "data/parquet/writer.h"
#include "data/rows/example.h"
#include "data/rows/turns.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

const fs::path golden = fs::path(FETTLE_SOURCE_DIR) / "tests/golden/data/parquet";

std::vector<OrderedJson> read(const std::string& path, RejectedRows& rejected) {
  return read_rows({path}, rejected);
}

/// pyarrow shows every key of a structure; here the null ones are absent.
OrderedJson as_read(OrderedJson value) {
  remove_nulls(value, false);
  return value;
}

class Written : public testing::TestWithParam<const char*> {};

TEST_P(Written, ReadsWhatPyarrowReads) {
  RejectedRows rejected;
  const auto wanted = read((golden / (std::string(GetParam()) + ".jsonl")).string(), rejected);
  ReadReport report;
  const auto found = read_rows({(golden / (std::string(GetParam()) + ".parquet")).string()}, rejected, &report);
  EXPECT_EQ(rejected.count(), 0) << (rejected.count() > 0 ? rejected.first().front().detail : "");
  EXPECT_EQ(report.formats.at("parquet"), 1);
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].size(), wanted[i].size());
    for (const auto& [key, value] : wanted[i].items()) {
      // pyarrow shows 32-bit numbers with the digits of the 64-bit ones they become.
      if ((key == "single" || key == "split32") && value.is_number()) {
        ASSERT_EQ(found[i].at(key).get<float>(), value.get<float>());
      } else {
        ASSERT_EQ(as_read(found[i].at(key)), as_read(value)) << "row " << i << " " << key;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pyarrow, Written,
                         testing::Values("flat_snappy_v1", "flat_zstd_v2", "flat_none_plain", "nested_gzip_v1",
                                         "nested_zstd_v2", "nested_snappy_pages", "old_timestamps", "empty",
                                         "encodings_v1", "encodings_v2", "nested_brotli", "nested_lz4", "odd_types",
                                         "dictionary_given_up"));

TEST(Parquet, RowsComeBackAsTheyWereWritten) {
  const Folder folder;
  RejectedRows rejected;
  for (const char* name : {"nested_zstd_v2", "flat_snappy_v1"}) {
    const auto rows = read((golden / (std::string(name) + ".jsonl")).string(), rejected);
    const auto path = folder.path("copy.parquet");
    RowWriter writer(path);
    for (const auto& row : rows) writer.write(row);
    writer.commit();
    const auto back = read(path, rejected);
    ASSERT_EQ(back.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      for (const auto& [key, value] : rows[i].items()) {
        // Maps are objects here: their keys become columns, and a missing one is null.
        if (key == "tags" || key == "unsigned") continue;
        ASSERT_EQ(as_read(back[i].at(key)), as_read(value)) << "row " << i << " " << key;
      }
    }
  }
  EXPECT_EQ(rejected.count(), 0);
}

TEST(Parquet, CompressedAndCutFiles) {
  const Folder folder;
  const auto path = folder.path("rows.parquet.gz");
  const std::string bytes = read_file(golden / "flat_snappy_v1.parquet");
  gzFile packed = gzopen(path.c_str(), "wb");
  gzwrite(packed, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(packed);
  RejectedRows rejected;
  EXPECT_EQ(read(path, rejected).size(), 120u);
  const auto cut = folder.file("cut.parquet", std::string_view(bytes).substr(0, bytes.size() / 2));
  EXPECT_TRUE(read(cut, rejected).empty());
  EXPECT_EQ(rejected.by_reason().at("unreadable Parquet file"), 1);
}

TEST(Parquet, KeysOfTwoTypesAreAnError) {
  const Folder folder;
  RowWriter writer(folder.path("a.parquet"));
  writer.write(OrderedJson{{"prompt", "text"}});
  try {
    writer.write(OrderedJson{{"prompt", {1, 2}}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, 53), "prompt: holds text in one row and a list in another, ");
  }
  EXPECT_FALSE(fs::exists(folder.path("a.parquet")));
}

TEST(Parquet, MixedNumbersAndLateKeysFindTheirColumns) {
  const Folder folder;
  const auto path = folder.path("a.parquet");
  RowWriter writer(path);
  writer.write_text(R"({"a":1,"list":[]})");
  writer.write_text(R"({"a":2.5,"list":null,"late":{"x":true}})");
  writer.write_text(R"({"list":[null,"b"],"late":{"x":null}})");
  writer.commit();
  RejectedRows rejected;
  const auto rows = read(path, rejected);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0], OrderedJson::parse(R"({"a":1.0,"list":[],"late":null})"));
  EXPECT_EQ(rows[1], OrderedJson::parse(R"({"a":2.5,"list":null,"late":{"x":true}})"));
  EXPECT_EQ(rows[2], OrderedJson::parse(R"({"a":null,"list":[null,"b"],"late":{}})"));
}

TEST(Parquet, ConversationsComeBackAsTheyWereWritten) {
  const Folder folder;
  const std::vector<std::string> texts{
      R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"one","weight":0},{"role":"assistant","content":"two"}]})",
      R"({"messages":[{"role":"user","content":"Bern?"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"city":"Bern"}}},{"function":{"name":"g","arguments":{"at":"x"}}}]}],"tools":[{"name":"f","p":{"city":{"type":"string"}}},{"name":"g","p":{"at":{"type":"string"}}}]})",
      R"({"messages":[{"role":"user","content":"Now?"},{"role":"assistant","content":"10"}],"tools":[{"name":"now","none":{},"within":{"none":{}}}]})"};
  RowWriter writer(folder.path("chats.parquet"));
  for (const auto& text : texts) writer.write_text(text);
  writer.commit();
  RejectedRows rejected;
  const auto rows = read(folder.path("chats.parquet"), rejected);
  ASSERT_EQ(rows.size(), texts.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto written = example_from_row(OrderedJson::parse(texts[i]), Format::automatic, {}, "row");
    const auto back = example_from_row(rows[i], Format::automatic, {}, "row");
    EXPECT_EQ(back.completion, written.completion) << dump_json(rows[i]);
    EXPECT_EQ(dump_json(back.variables), dump_json(written.variables));
    EXPECT_EQ(back.id, written.id);
  }
}

TEST(Parquet, ManyPagesAndTypedColumns) {
  const Folder folder;
  const auto path = folder.path("a.parquet");
  std::vector<ColumnType> columns{{ColumnType::int32, "n", {}},
                                  {ColumnType::list, "ids", {{ColumnType::int32, "", {}}}},
                                  {ColumnType::list, "mask", {{ColumnType::boolean, "", {}}}}};
  ParquetWriter writer(path, columns, {{"metadata_json", "{\"model_type\":\"x\"}"}});
  Random random(3);
  std::vector<std::vector<int64_t>> wanted;
  for (int row = 0; row < 3000; ++row) {
    writer.put_integer(0, 0, row);
    auto& ids = wanted.emplace_back();
    for (int i = 0; i < row % 700; ++i) ids.push_back(static_cast<int64_t>(random.below(32000)));
    for (size_t i = 0; i < ids.size(); ++i) {
      writer.put_integer(1, i > 0, ids[i]);
      writer.put_integer(2, i > 0, ids[i] % 2);
    }
    if (ids.empty()) {
      writer.put_null(1, 0, 1);
      writer.put_null(2, 0, 1);
    }
    writer.end_row();
  }
  writer.commit();
  const MappedFile file(path);
  ParquetReader reader(file.text(), path);
  EXPECT_EQ(reader.metadata().at(0).second, "{\"model_type\":\"x\"}");
  EXPECT_EQ(reader.rows(), 3000);
  for (size_t row = 0; row < wanted.size(); ++row) {
    std::string text;
    ASSERT_TRUE(reader.next(text));
    const auto value = OrderedJson::parse(text);
    ASSERT_EQ(value["n"], row);
    ASSERT_EQ(value["ids"], OrderedJson(wanted[row]));
    for (size_t i = 0; i < wanted[row].size(); ++i) ASSERT_EQ(value["mask"][i], wanted[row][i] % 2 == 1);
  }
  std::string text;
  EXPECT_FALSE(reader.next(text));
}

TEST(Parquet, RunsOfLevelsComeBack) {
  Random random(11);
  for (int width = 1; width <= 5; ++width) {
    for (int round = 0; round < 50; ++round) {
      std::vector<uint8_t> values;
      while (values.size() < 300) {
        const auto value = static_cast<uint8_t>(random.below(uint64_t{1} << width));
        values.insert(values.end(), 1 + random.below(random.below(3) == 0 ? 40 : 3), value);
      }
      const std::string bytes = encode_runs(values, width);
      RunDecoder decoder(bytes, width);
      for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(decoder.next("runs"), values[i]) << width << " " << i;
    }
  }
}

TEST(Parquet, TheThreeMeaningsOfLz4) {
  const std::string text = std::string(1000, 'a') + "the rest of it";
  std::string block(2000, '\0'), frame(4000, '\0');
  const auto pack = [&](std::string_view part) {
    block.resize(2000);
    block.resize(static_cast<size_t>(LZ4_compress_default(part.data(), block.data(), static_cast<int>(part.size()), 2000)));
    return block;
  };
  const auto number = [](size_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8), static_cast<char>(value)};
  };
  const auto size = static_cast<int64_t>(text.size());
  EXPECT_EQ(parquet_uncompress(7, pack(text), size, "raw"), text);
  EXPECT_EQ(parquet_uncompress(5, pack(text), size, "raw"), text);
  // Hadoop: stretches of blocks, with their sizes.
  const std::string first = pack(text.substr(0, 400)), second = pack(text.substr(400, 300)), third = pack(text.substr(700));
  const std::string hadoop = number(700) + number(first.size()) + first + number(second.size()) + second + number(text.size() - 700) +
                             number(third.size()) + third;
  EXPECT_EQ(parquet_uncompress(5, hadoop, size, "hadoop"), text);
  EXPECT_THROW(parquet_uncompress(5, hadoop.substr(0, hadoop.size() - 3), size, "hadoop"), Error);
  EXPECT_THROW(parquet_uncompress(7, hadoop, size, "hadoop"), Error);
  frame.resize(LZ4F_compressFrame(frame.data(), frame.size(), text.data(), text.size(), nullptr));
  EXPECT_EQ(parquet_uncompress(5, frame, size, "frame"), text);
}

TEST(Parquet, EncryptedColumnsAreRefusedByName) {
  for (const auto& [name, found] : {std::pair("encrypted_column", "column 'b' is encrypted"), std::pair("encrypted_footer", "is an encrypted Parquet file")}) {
    RejectedRows rejected;
    EXPECT_TRUE(read((golden / (std::string(name) + ".parquet")).string(), rejected).empty());
    ASSERT_EQ(rejected.count(), 1);
    EXPECT_NE(rejected.first()[0].detail.find(found), std::string::npos) << rejected.first()[0].detail;
  }
}

TEST(Parquet, DamagedFilesAreErrorsNotCrashes) {
  const Folder folder;
  Random random(5);
  for (const char* name : {"flat_snappy_v1", "nested_zstd_v2", "nested_gzip_v1", "encodings_v1", "nested_brotli", "nested_lz4",
                           "odd_types"}) {
    const std::string whole = read_file(golden / (std::string(name) + ".parquet"));
    for (int round = 0; round < 300; ++round) {
      std::string bytes = whole;
      for (int i = 0; i < 3; ++i) bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      try {
        ParquetReader reader(bytes, "damaged");
        std::string text;
        for (int rows = 0; rows < 1000 && reader.next(text, 1 << 20); ++rows) text.clear();
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace fettle::data
