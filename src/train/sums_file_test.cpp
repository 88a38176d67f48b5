#include "train/sums_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"

namespace fettle::train {
namespace {

struct Sums : ::testing::Test {
  TemporaryFolder folder;
  fs::path path = folder.path() / "below" / "a.sums";
  const std::string key = "0123456789abcdef";

  std::vector<double> stored(const std::string& under) const { return SumsFile(path, under).stored(); }
  void write_two_blocks() const {
    SumsFile file(path, key);
    file.append(std::vector<double>{1.5, -2.5});
    file.append(std::vector<double>{3.5});
  }
};

TEST_F(Sums, WhatWasAppendedIsThereAgain) {
  write_two_blocks();
  EXPECT_EQ(stored(key), (std::vector<double>{1.5, -2.5, 3.5}));
  SumsFile(path, key).append(std::vector<double>{4.5});
  EXPECT_EQ(stored(key), (std::vector<double>{1.5, -2.5, 3.5, 4.5}));
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(Sums, AnotherKeyStartsAnew) {
  write_two_blocks();
  EXPECT_TRUE(stored("fedcba9876543210").empty());
}

TEST_F(Sums, EveryCutKeepsTheBlocksBeforeIt) {
  write_two_blocks();
  const std::string whole = read_file(path);
  const size_t first = key.size() + 8 + 16 + 32;
  for (size_t size = 0; size < whole.size(); ++size) {
    write_file(path, whole.substr(0, size));
    const size_t expected = size >= first ? 2 : 0;
    ASSERT_EQ(stored(key).size(), expected) << size;
    SumsFile(path, key).append(std::vector<double>{7.5});
    ASSERT_EQ(stored(key).size(), expected + 1) << size;
    ASSERT_EQ(stored(key).back(), 7.5) << size;
  }
}

TEST_F(Sums, EveryChangedByteEndsWhatIsRead) {
  write_two_blocks();
  const std::string whole = read_file(path);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    write_file(path, changed);
    ASSERT_EQ(stored(key).size(), at < key.size() + 8 + 16 + 32 ? 0u : 2u) << at;
  }
}

TEST_F(Sums, ASecondWriterLeavesTheFileAlone) {
  SumsFile first(path, key);
  first.append(std::vector<double>{1.5});
  {
    SumsFile second(path, key);
    EXPECT_EQ(second.stored(), std::vector<double>{1.5});
    second.append(std::vector<double>{9.5});
    second.clear();
  }
  first.append(std::vector<double>{2.5});
  EXPECT_EQ(stored(key), (std::vector<double>{1.5, 2.5}));
}

}  // namespace
}  // namespace fettle::train
