#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/threads.h"
#include "base/yaml.h"

namespace fettle {
namespace {

TEST(Error, NamesTheNearest) {
  EXPECT_EQ(nearest_name("learning_rat", {"learning_rate", "batch_size"}), "learning_rate");
  EXPECT_EQ(nearest_name("zzz", {"learning_rate", "batch_size"}), "");
}

TEST(File, AtomicWriteReplacesWholeOrNotAtAll) {
  TemporaryFolder folder;
  const auto path = folder.path() / "a.txt";
  write_file(path, "old");
  {
    AtomicFile file(path);
    file.write("half");
  }
  EXPECT_EQ(read_file(path), "old");
  AtomicFile file(path);
  file.write("whole new");
  file.commit();
  EXPECT_EQ(read_file(path), "whole new");
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++entries;
  EXPECT_EQ(entries, 1u);
}

TEST(File, PipesAndDevicesTakeTheBytesAndStayWhatTheyAre) {
  const TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { std::getline(std::ifstream(pipe), got); });
  {
    AtomicFile file(pipe);
    file.write("rows");
    file.commit();
  }
  reader.join();
  EXPECT_EQ(got, "rows");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST(File, ErrorsNameThePath) {
  try {
    read_file("/nonexistent/file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/nonexistent/file"), std::string::npos);
    EXPECT_EQ(error.kind(), Error::Kind::io);
  }
}

TEST(File, ReplaceFolder) {
  TemporaryFolder folder;
  write_file(folder.path() / "made/x", "1");
  replace_folder(folder.path() / "made", folder.path() / "target");
  write_file(folder.path() / "made/y", "2");
  replace_folder(folder.path() / "made", folder.path() / "target");
  EXPECT_FALSE(fs::exists(folder.path() / "target/x"));
  EXPECT_EQ(read_file(folder.path() / "target/y"), "2");
}

TEST(Hash, IsStable) {
  EXPECT_EQ(hash_hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_NE(Hasher().add("a").add("b").hex(), Hasher().add("ab").hex());
}

// Known-answer vectors of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Random, PhiloxKnownAnswers) {
  EXPECT_EQ(philox(0, 0, 0), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Threads, CoversEveryIndexOnceAndRethrows) {
  std::vector<std::atomic<int>> hits(1001);
  parallel_for(1001, 10, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
  });
  for (const auto& hit : hits) EXPECT_EQ(hit.load(), 1);
  EXPECT_THROW(parallel_for(100, 1, [](int64_t, int64_t) { throw Error("x"); }), Error);
}

// A thread that is ended and started again costs more than a small product.
TEST(Threads, StayWhenAPieceOfWorkIsSmall) {
  const int before = threads();
  set_threads(4);
  std::mutex mutex;
  std::set<pid_t> seen;
  for (const int64_t pieces : {4, 2, 3, 4, 2, 4, 3, 4}) {
    parallel_for(pieces, 1, [&](int64_t, int64_t) {
      const std::lock_guard lock(mutex);
      seen.insert(::gettid());
    });
  }
  set_threads(before);
#ifndef __SANITIZE_THREAD__  // under which every call has threads of its own
  EXPECT_LE(seen.size(), 4U);
#endif
}

TEST(Json, ErrorsNameThePlace) {
  EXPECT_THROW(parse_json(std::string(100000, '['), "deep"), Error);
  try {
    parse_json("{\n\"a\": 1,\n}", "file.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("file.json"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos);
  }
  EXPECT_EQ(json_get_or<int>(Json::object(), "a", 3, "x"), 3);
  EXPECT_THROW(json_get<int>(Json{{"a", "b"}}, "a", "x"), Error);
}

TEST(Progress, HumanUnits) {
  EXPECT_EQ(human_bytes(1.5e9), "1.50 GB");
  EXPECT_EQ(human_seconds(3720), "1 h 02 min");
  EXPECT_EQ(human_count(12345), "12.3k");
}

TEST(Yaml, ScalarsLinesAndSet) {
  auto document = parse_yaml("a: 5.0e-7\nb: {c: [1, yes, \"2\"], d: true}\ne: ~\n", "x.yaml");
  EXPECT_DOUBLE_EQ(document.value["a"].get<double>(), 5.0e-7);
  EXPECT_EQ(document.value["b"]["c"][0], 1);
  EXPECT_EQ(document.value["b"]["c"][1], "yes");
  EXPECT_EQ(document.value["b"]["c"][2], "2");
  EXPECT_TRUE(document.value["e"].is_null());
  EXPECT_EQ(document.place("b.c"), "x.yaml:2");
  set_by_path(document.value, "b.d=1e-3");
  set_by_path(document.value, "f.g=text");
  EXPECT_DOUBLE_EQ(document.value["b"]["d"].get<double>(), 1e-3);
  EXPECT_EQ(document.value["f"]["g"], "text");
  EXPECT_THROW(set_by_path(document.value, "a.x=1"), Error);
  EXPECT_THROW(parse_yaml("a: 1\na: 2\n", "x"), Error);
  EXPECT_THROW(parse_yaml("a: [1\n", "x"), Error);
  EXPECT_THROW(parse_yaml("a: [{p\xe1th: b}]\n", "x"), Error);
  EXPECT_THROW(parse_yaml("a: b\xff\n", "x"), Error);
  // Small files that would take all memory or all day.
  std::string bomb = "a0: &a0 [x]\n", deep(100000, '['), keys, list, nested;
  for (int i = 1; i < 40; ++i) bomb += fmt::format("a{}: &a{} [*a{}, *a{}]\n", i, i, i - 1, i - 1);
  for (int i = 0; i < 100000; ++i) keys += fmt::format("k{}: 1\n", i);
  for (int i = 0; i < 400000; ++i) list += "- 1\n";
  for (int i = 0; i < 50000; ++i) nested += "- ";
  for (const std::string& text : {bomb, deep, list, "[" + std::string(1000000, ','), std::string(100000, '{'), nested})
    EXPECT_THROW(parse_yaml(text, "x"), Error) << text.substr(0, 40);
  EXPECT_EQ(parse_yaml(keys, "x").value.size(), 100000U);
}

TEST(Json, NumbersAreThoseThatTheirTypeHolds) {
  const Json value = parse_json(R"({"a": 2048.0, "b": 2048.5, "c": 1e92, "d": true, "e": -1, "f": 18446744073709551615, "g": "7", "h": 3})", "x");
  EXPECT_EQ(json_get<int32_t>(value, "a", "x"), 2048);
  EXPECT_EQ(json_get<int64_t>(value, "e", "x"), -1);
  EXPECT_EQ(json_get<uint64_t>(value, "f", "x"), ~uint64_t{0});
  EXPECT_EQ(json_get<double>(value, "h", "x"), 3.0);
  for (const char* key : {"b", "c", "d", "f", "g"}) EXPECT_THROW(json_get<int64_t>(value, key, "x"), Error) << key;
  EXPECT_THROW(json_get<uint32_t>(value, "e", "x"), Error);
  EXPECT_THROW(json_get<int8_t>(value, "a", "x"), Error);
  for (const char* key : {"d", "g"}) EXPECT_THROW(json_get<double>(value, key, "x"), Error) << key;
}

}  // namespace
}  // namespace fettle
