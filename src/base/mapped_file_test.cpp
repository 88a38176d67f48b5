// Files that others cut, rewrite or replace while they are mapped.
#include "base/mapped_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <thread>

#include "base/error.h"

namespace fettle {
namespace {

constexpr size_t page = 4096;

uint64_t sum_of(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), uint64_t{0}, [](uint64_t sum, std::byte b) { return sum + std::to_integer<uint64_t>(b); });
}

void expect_named(const std::function<void()>& check, const fs::path& path) {
  try {
    check();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::io);
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("changed while it was read"), std::string::npos) << error.what();
  }
}

TEST(MappedFile, OneThatIsCutIsAnErrorAndNoSignal) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "weights";
  write_file(path, std::string(64 * page, 'w'));
  const MappedFile file(path);
  check_mapped(file);
  EXPECT_EQ(sum_of(file.bytes().first(page)), page * 'w');
  fs::resize_file(path, page);
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) readers.emplace_back([&] { sum_of(file.bytes()); });
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(sum_of(file.bytes().last(page)), 0u);
  expect_named([&] { check_mapped(file); }, path);
  // Growing again does not bring back what was read.
  fs::resize_file(path, 64 * page);
  EXPECT_THROW(check_mapped(file), Error);
}

TEST(MappedFile, CutWithinItsLastPageIsAnErrorToo) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "small";
  write_file(path, std::string(100, 'w'));
  const MappedFile file(path);
  fs::resize_file(path, 50);
  EXPECT_EQ(sum_of(file.bytes()), 50u * 'w');
  expect_named([&] { check_mapped(file); }, path);
}

TEST(MappedFile, ReplacedUnderItsNameStaysWhatItWas) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "rows";
  write_file(path, std::string(2 * page, 'a'));
  const MappedFile file(path);
  write_file(path, "b");
  EXPECT_EQ(sum_of(file.bytes()), 2 * page * 'a');
  check_mapped(file);
}

TEST(MappedFile, TheFileIsFoundByAnAddressInIt) {
  const TemporaryFolder folder;
  const fs::path first = folder.path() / "first", second = folder.path() / "second";
  write_file(first, std::string(3 * page, '1'));
  write_file(second, std::string(3 * page, '2'));
  auto one = std::make_unique<MappedFile>(first);
  const MappedFile two(second);
  MappedMemory both, other;
  both.add(one->bytes().data() + page);
  both.add(two.bytes().data());
  other.add(two.bytes().data() + 2 * page);
  const int elsewhere = 0;
  both.add(&elsewhere);
  check_mapped(&elsewhere);
  both.check();
  fs::resize_file(first, page);
  expect_named([&] { both.check(); }, first);
  expect_named([&] { check_mapped(one->bytes().data() + 2 * page); }, first);
  other.check();
  one.reset();
  expect_named([&] { both.check(); }, first);  // still mapped: it is watched
}

TEST(MappedFile, ManyComeAndGo) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "one";
  write_file(path, std::string(page, 'x'));
  for (int round = 0; round < 20000; ++round) {
    const MappedFile file(path);
    if (round % 1000 == 0) check_mapped(file);
  }
  EXPECT_THROW(MappedFile(folder.path()), Error);
  EXPECT_THROW(MappedFile(folder.path() / "none"), Error);
}

}  // namespace
}  // namespace fettle
