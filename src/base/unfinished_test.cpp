#include "base/unfinished.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/error.h"
#include "base/standard_output.h"

namespace fettle {
namespace {

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A child that makes things, says so, and waits to be killed.
class Child {
 public:
  explicit Child(const std::function<void()>& make_and_wait) {
    int ready[2];
    if (::pipe(ready) != 0) throw Error("pipe");
    process_ = ::fork();
    if (process_ == 0) {
      ready_ = ready[1];
      said = this;
      make_and_wait();
      ::_exit(0);
    }
    ::close(ready[1]);
    char byte = 0;
    while (::read(ready[0], &byte, 1) < 0) {
    }
    ::close(ready[0]);
  }
  ~Child() { kill(); }
  static void say_and_wait() {
    if (::write(said->ready_, "x", 1) == 1) ::pause();
  }
  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

 private:
  static inline Child* said = nullptr;
  pid_t process_ = 0;
  int ready_ = -1;
};

TEST(Unfinished, WhatAKilledProcessLeftGoesAndWhatAnotherWritesStays) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "rows.jsonl", model = folder.path() / "model";
  write_file(folder.path() / "mine.tmp-1-0123456789abcdef.txt", "not ours by its name");
  Child child([&] {
    AtomicFile rows(file);
    rows.write("half");
    const UnfinishedFolder made(model);
    write_file(made.path() / "config.json", "{}");
    Child::say_and_wait();
  });
  ASSERT_EQ(names_in(folder.path()).size(), 3U);
  remove_unfinished(folder.path());
  EXPECT_EQ(names_in(folder.path()).size(), 3U) << "what is being written was taken for a leftover";
  child.kill();
  ASSERT_EQ(names_in(folder.path()).size(), 3U);
  write_file(file, "whole");
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"mine.tmp-1-0123456789abcdef.txt", "rows.jsonl"}));
}

TEST(Unfinished, LeftoversOfEarlierVersionsGoWithTheirProcess) {
  const TemporaryFolder folder;
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  for (const pid_t process : {gone, ::getpid()}) {
    std::ofstream(folder.path() / fmt::format("a.jsonl.tmp-{}-0", process)) << "half";
    fs::create_directory(folder.path() / fmt::format("a.jsonl.writing-{}", process));
    std::ofstream(folder.path() / fmt::format("b.jsonl.tmp-{}-0", process)) << "of another target";
  }
  write_file(folder.path() / "a.jsonl", "whole");
  EXPECT_EQ(names_in(folder.path()).size(), 5U);
  EXPECT_FALSE(fs::exists(folder.path() / fmt::format("a.jsonl.tmp-{}-0", gone)));
  EXPECT_FALSE(fs::exists(folder.path() / fmt::format("a.jsonl.writing-{}", gone)));
}

TEST(Unfinished, TemporaryFoldersOfKilledProcessesGo) {
  const TemporaryFolder parent;
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  setenv("TMPDIR", parent.path().c_str(), 1);
  Child child([&] {
    const TemporaryFolder made;
    write_file(made.path() / "runs", "sorted");
    Child::say_and_wait();
  });
  child.kill();
  EXPECT_EQ(names_in(parent.path()).size(), 1U);
  {
    const TemporaryFolder next;
    EXPECT_EQ(names_in(parent.path()), std::vector<std::string>{next.path().filename().string()});
  }
  setenv("TMPDIR", (parent.path() / "none").c_str(), 1);
  EXPECT_THROW(TemporaryFolder{}, Error);
  kept.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", kept.c_str(), 1);
}

TEST(Unfinished, NamesCannotBeGuessedAndLongOnesFit) {
  const fs::path target = fs::path("/x") / std::string(250, 'n');
  EXPECT_NE(unfinished_name(target), unfinished_name(target));
  EXPECT_LE(unfinished_name(target).filename().string().size(), 255U);
  EXPECT_TRUE(is_half_written(unfinished_name(target)));
  EXPECT_FALSE(is_half_written("rows.tmp-me.jsonl"));
}

TEST(Unfinished, AFolderIsThereWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "model", real = folder.path() / "real";
  {
    const UnfinishedFolder made(target);
    write_file(made.path() / "x", "1");
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
  fs::create_directory(real);
  fs::create_directory_symlink("real", target);
  UnfinishedFolder made(target);
  write_file(made.path() / "x", "1");
  made.commit();
  EXPECT_TRUE(fs::is_symlink(target));
  EXPECT_EQ(read_file(real / "x"), "1");
  UnfinishedFolder removed(target);
  fs::remove_all(removed.path());
  write_file(removed.path() / "y", "1");
  EXPECT_THROW(removed.commit(), Error);
  EXPECT_EQ(read_file(real / "x"), "1");
  write_file(folder.path() / "file", "kept");
  UnfinishedFolder wrong(folder.path() / "file");
  EXPECT_THROW(wrong.commit(), Error);
  EXPECT_EQ(read_file(folder.path() / "file"), "kept");
}

TEST(Links, AreWrittenAtTheirTargets) {
  const TemporaryFolder folder, other;
  const fs::path link = folder.path() / "link", second = folder.path() / "second";
  fs::create_symlink(other.path() / "rows", link);
  fs::create_symlink("link", second);
  write_file(second, "through two, to what was not there");
  EXPECT_TRUE(fs::is_symlink(link) && fs::is_symlink(second));
  EXPECT_EQ(read_file(other.path() / "rows"), "through two, to what was not there");
  EXPECT_EQ(names_in(other.path()).size(), 1U);
  write_file(link, "again");
  EXPECT_EQ(read_file(second), "again");
  fs::create_symlink("round", folder.path() / "round");
  EXPECT_THROW(write_file(folder.path() / "round", "x"), Error);
  EXPECT_TRUE(fs::is_symlink(folder.path() / "round"));
}

TEST(Links, ThatOthersPutIntoAnOpenFolderAreNotFollowed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a link away";
  const TemporaryFolder folder;
  const fs::path open = folder.path() / "open", target = folder.path() / "mine", link = open / "link";
  fs::create_directory(open);
  fs::permissions(open, fs::perms::all | fs::perms::sticky_bit);
  write_file(target, "mine");
  fs::create_symlink(target, link);
  write_file(link, "through my own");
  ASSERT_EQ(::lchown(link.c_str(), 65534, 65534), 0);
  EXPECT_THROW(write_file(link, "through another's"), Error);
  EXPECT_EQ(read_file(target), "through my own");
}

TEST(Links, ToDescriptorsOfTheProgramAreThatDescriptor) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "log";
  const Descriptor log(open_retrying(file, O_RDWR | O_CREAT));
  ASSERT_EQ(::write(log.get(), "before ", 7), 7);
  const std::string number = std::to_string(log.get());
  fs::create_symlink("/proc/self/fd/" + number, folder.path() / "link");
  fs::create_directory_symlink("/dev/fd", folder.path() / "fds");
  for (const fs::path& name : {fs::path("/dev/fd/" + number), fs::path("/proc/self/fd/" + number), folder.path() / "link",
                               folder.path() / "fds" / number, fs::path("/dev/../dev/fd/" + number),
                               fs::path(fmt::format("/proc/{}/fd/{}", ::getpid(), number))})
    write_file(name, "x");
  EXPECT_EQ(read_file(file), "before xxxxxx");
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link"));
  fs::create_symlink("/dev/stdout", folder.path() / "out");
  EXPECT_TRUE(is_standard_output(folder.path() / "out"));
  EXPECT_TRUE(is_standard_output("/dev//stdout"));
  EXPECT_FALSE(is_standard_output(file));
}

TEST(RegularFiles, APipeOrADeviceInTheirPlaceIsRefusedAndNotWaitedFor) {
  const TemporaryFolder folder;
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, fs::path("/dev/zero"), folder.path()}) {
    EXPECT_THROW(read_file(path), Error) << path;
    EXPECT_THROW(MappedFile{path}, Error) << path;
    EXPECT_THROW(read_start(path, 4), Error) << path;
  }
  write_file(folder.path() / "short", "GG");
  EXPECT_EQ(read_start(folder.path() / "short", 4), "GG");
}

}  // namespace
}  // namespace fettle
