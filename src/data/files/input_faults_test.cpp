// Inputs that change, cannot be looked at or cannot be read back; memory that is lacking; signals within a batch.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <new>
#include <thread>

#include "base/interrupt.h"
#include "base/threads.h"
#include "data/files/external_sort.h"
#include "data/files/input.h"
#include "data/files/paths.h"
#include "data/files/unread_input.h"
#include "data/files/writer.h"
#include "data/html/pages.h"
#include "data/parquet/writer.h"
#include "data/passes/convert_rows.h"
#include "data/passes/dedupe.h"
#include "data/passes/mix_rows.h"
#include "data/passes/split_rows.h"
#include "data/passes/stats.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

std::string rows(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i)
    text += fmt::format("{{\"id\":\"{}\",\"text\":\"row {} of some that say nearly, but not quite, the same thing {}\"}}\n", i, i, int64_t{i} * i);
  return text;
}

void expect_io(const std::function<void()>& work, const std::string& named, const std::string& part) {
  try {
    work();
    FAIL() << "no error, " << part << " was expected";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::io) << error.what();
    EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

/// Runs a pass whose second reading waits for `change`: its outputs are pipes, which are opened between the readings.
void between_readings(const Folder& folder, const std::function<void(const PassFiles&)>& pass, const std::string& input,
                      const std::function<void()>& change) {
  const std::string rejected = folder.path("rejected"), output = folder.path("output");
  for (const auto& pipe : {rejected, output}) ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::exception_ptr failed;
  std::thread reader([&] {
    const int first = ::open(rejected.c_str(), O_RDONLY);  // returns when the second reading begins
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // file times are coarse
    change();
    const int second = ::open(output.c_str(), O_RDONLY);
    char bytes[4096];
    for (const int pipe : {second, first}) {
      while (::read(pipe, bytes, sizeof bytes) > 0) continue;
      ::close(pipe);
    }
  });
  try {
    pass({{input}, output, rejected});
  } catch (...) {
    failed = std::current_exception();
  }
  reader.join();
  for (const auto& pipe : {rejected, output}) fs::remove(pipe);
  if (failed) std::rethrow_exception(failed);
}

TEST(ChangedInput, IsAnErrorOfEveryVerbThatReadsTwice) {
  const Folder folder;
  const std::string path = folder.path("in.jsonl");
  std::vector<std::pair<const char*, std::function<void(const PassFiles&)>>> passes;
  const auto dedupe = [&](auto set) {
    return [set](const PassFiles& files) {
      DedupeOptions options;
      set(options);
      dedupe_rows(files, options);
    };
  };
  passes.emplace_back("near", dedupe([](auto& options) { options.near = true; }));
  passes.emplace_back("longest", dedupe([](auto& options) { options.keep = DedupeOptions::Keep::longest; }));
  passes.emplace_back("clusters", dedupe([&](auto& options) { options.clusters = folder.path("clusters"); }));
  passes.emplace_back("large", dedupe([](auto& options) { options.one_reading = 0; }));
  passes.emplace_back("split", [&](const PassFiles& files) {
    SplitOptions options;
    options.by = "near";
    options.parts = {{folder.path("part.jsonl"), 0.2}};
    split_rows(files, options);
  });
  const std::vector<std::pair<const char*, std::function<void()>>> changes{
      {"grown", [&] { std::ofstream(path, std::ios::app) << rows(40, 4000); }},
      {"cut", [&] { fs::resize_file(path, fs::file_size(path) / 2); }},
      {"written over", [&] { std::ofstream(path) << rows(900, 940); }},
      {"same size", [&] { std::fstream(path, std::ios::in | std::ios::out).write(rows(1, 2).c_str(), 20); }},
      {"replaced", [&] { write_file(path, rows(0, 20)); }},
      {"gone", [&] { fs::remove(path); }},
      {"empty", [&] { fs::resize_file(path, 0); }}};
  for (const auto& [verb, pass] : passes) {
    for (const auto& [name, change] : changes) {
      SCOPED_TRACE(fmt::format("{}, {}", verb, name));
      write_file(path, rows(0, 40));
      expect_io([&, &change = change, &pass = pass] { between_readings(folder, pass, path, change); }, path, "changed while it was read");
      EXPECT_FALSE(fs::exists(folder.path("part.jsonl")));
      EXPECT_FALSE(fs::exists(folder.path("clusters")));
    }
    write_file(path, rows(0, 40));
    between_readings(folder, pass, path, [] {});
    fs::remove(folder.path("part.jsonl"));
    fs::remove(folder.path("clusters"));
  }
}

TEST(ChangedInput, FilesThatComeAndGo) {
  InputStates states;
  const FileState state{1, 2, 3, 4, 5};
  states.open("a", state);
  states.close("a", state, 7);
  states.read_again();
  expect_io([&] { states.open("b", state); }, "b", "not there at the first reading");
  expect_io([&] { states.finish(); }, "a", "is gone");
  states.open("a", state);
  expect_io([&] { states.close("a", state, 8); }, "a", "7 rows then, 8 now");
  expect_io([&] { states.close("a", {1, 2, 3, 4, 6}, 7); }, "a", "written to");
  expect_io([&] { states.open("a", {1, 9, 3, 4, 5}); }, "a", "another file");
  states.close("a", state, 7);
  states.finish();
}

TEST(ChangedInput, CutWhileItIsRead) {
  const Folder folder;
  const std::string lines = folder.file("in.jsonl", rows(0, 60'000)), table = folder.path("in.parquet");
  RowWriter writer(table);
  for (int i = 0; i < 20'000; ++i) writer.write({{"id", i}, {"text", fmt::format("{:08x}", i * 2654435761U)}});
  writer.commit();
  for (const auto& path : {lines, table}) {
    RejectedRows rejected;
    ReadOptions few;
    few.batch_bytes = 1;
    RowReader reader({path}, rejected, few);
    std::vector<Row> batch;
    ASSERT_TRUE(reader.next(batch));
    fs::resize_file(path, fs::file_size(path) / 3);
    expect_io([&] {
      while (reader.next(batch)) continue;
    }, path, "changed while it was read");
    EXPECT_EQ(rejected.count(), 0);
  }
}

TEST(Spilled, ARunThatIsShorterThanWhatWasWrittenIsNotItsEnd) {
  for (const bool cut : {true, false}) {
    const TemporaryFolder folder;
    ExternalSort<uint64_t> sort(folder.path(), "numbers", size_t{1} << 20);
    for (uint64_t i = 0; i < 400'000; ++i) sort.add(i * 0x9E3779B97F4A7C15ULL);
    ASSERT_EQ(sort.runs(), 3u);
    const fs::path run = folder.path() / "numbers1";
    if (cut) {
      fs::resize_file(run, fs::file_size(run) / 2 + 3);
    } else {  // a folder can be opened, but not read
      fs::remove(run);
      fs::create_directory(run);
    }
    expect_io([&] {
      for (uint64_t number = 0; sort.next(number);) continue;
    }, run.string(), cut ? "ends after" : "cannot read");
  }
  const TemporaryFolder folder;
  ExternalSort<uint64_t> nowhere(folder.path() / "missing", "numbers", 80);
  expect_io([&] {
    for (uint64_t i = 0; i < 100; ++i) nowhere.add(i);
  }, "missing", "cannot open");
}

#ifndef __SANITIZE_ADDRESS__  // it ends the process itself where memory is lacking
uint64_t mapped_bytes() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// How a pass ends with `room` more bytes of memory than the process has: 0 in peace, 1 for lack of memory, 2 an error of the
/// machine's, 3 another; in a process of its own.
int end_with_room(uint64_t room, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    set_threads(1);
    const rlimit limit{mapped_bytes() + room, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &limit);
    int status = 0;
    try {
      work();
    } catch (const std::bad_alloc&) {
      status = 1;
    } catch (const Error& error) {
      status = error.kind() == Error::Kind::io ? 2 : 3;
    }
    ::_exit(status);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

TEST(LackOfMemory, IsNoFaultOfARow) {
  const Folder folder;
  const std::string long_row = "{\"text\":\"" + std::string(size_t{3} << 20, 'x') + "\"}\n";
  const PassFiles files{{folder.file("in.jsonl", long_row)}, folder.path("out.jsonl"), ""};
  const std::vector<std::function<PassReport()>> passes{
      [&] {
        ConvertOptions text;
        text.to = Format::text;
        return convert_rows(files, text);
      },
      [&] { return dedupe_rows(files, {}); },
      [&] {
        DedupeOptions near;
        near.near = true;
        return dedupe_rows(files, near);
      },
      [&] {
        MixOptions mix;
        mix.sources = {{files.inputs[0], 1}};
        return mix_rows(files, mix);
      }};
  int lacking = 0;  // of all passes: what earlier tests have freed may be enough for one of them
  ::malloc_trim(0);
  for (const auto& pass : passes) {
    for (uint64_t room = 0; room <= 120; room += 12) {
      fs::remove(files.output);
      const int status = end_with_room(room << 20, [&] {
        const auto report = pass();
        if (report.in != 1 || report.out != 1) ::_exit(50);
      });
      ASSERT_TRUE(status == 0 || status == 1 || status == 2) << status << " with " << room << " MiB";
      EXPECT_EQ(fs::exists(files.output), status == 0);
      lacking += status != 0;
    }
  }
  EXPECT_GT(lacking, 0);
}
#endif

/// For the time of a test without the rights of root, who may look everywhere.
class Nobody {
 public:
  explicit Nobody(const fs::path& folder) : root_(::geteuid() == 0) {
    fs::permissions(folder, fs::perms::all);
    if (root_ && ::seteuid(65534) != 0) root_ = false;
  }
  ~Nobody() {
    if (root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool root_;
};

TEST(UnreadableFolders, AreNamedAndTheOthersAreRead) {
  const Folder folder;
  folder.file("in/a/rows.jsonl", rows(0, 3));
  folder.file("in/secret/rows.jsonl", rows(3, 6));
  folder.file("pages/page.html", "<h1>One</h1><p>Two");
  folder.file("pages/secret/page.html", "<h1>One</h1><p>Two");
  for (const char* name : {"in/secret", "pages/secret"}) fs::permissions(folder.path(name), fs::perms::none);
  {
    const Nobody nobody(folder.folder.path());
    for (const bool near : {false, true}) {
      DedupeOptions options;
      options.near = near;
      const auto report = dedupe_rows({{folder.path("in")}, folder.path("out.jsonl"), ""}, options);
      EXPECT_EQ(report.out, 3);
      ASSERT_EQ(report.more["unread"].size(), 1u);
      EXPECT_EQ(report.more["unread"][0]["file"], folder.path("in/secret"));
    }
    const auto stats = data_stats({folder.path("in")}, {});
    ASSERT_EQ(stats.unread.size(), 1u);
    EXPECT_EQ(stats.unread[0].file, folder.path("in/secret"));
    const auto pages = run_pages("look", {{folder.path("pages")}, folder.path("out.jsonl"), ""}, RowLayout::lines, [](const Page&, PageVerdict&) {});
    ASSERT_EQ(pages.more["unread"].size(), 1u);
    EXPECT_EQ(pages.more["unread"][0]["file"], folder.path("pages/secret"));
    expect_io([&] { expand_paths({folder.path("in")}); }, folder.path("in/secret"), "Permission denied");
    expect_io([&] { expand_paths({folder.path("in/secret/rows.jsonl")}); }, folder.path("in/secret/rows.jsonl"), "Permission denied");
  }
  for (const char* name : {"in/secret", "pages/secret"}) fs::permissions(folder.path(name), fs::perms::owner_all);
}

TEST(Signals, APassOverPagesStopsWithinABatch) {
  const Folder folder;
  for (int i = 0; i < 20; ++i) folder.file(fmt::format("pages/{}.html", i), "<p>text");
  catch_interrupts();
  const int before = threads();
  set_threads(1);
  int judged = 0;
  try {
    run_pages("look", {{folder.path("pages")}, folder.path("out.jsonl"), ""}, RowLayout::lines, [&](const Page&, PageVerdict&) {
      if (++judged == 3) std::raise(SIGINT);
    });
    ADD_FAILURE() << "went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::interrupted);
  }
  set_threads(before);
  EXPECT_TRUE(take_sigint());
  EXPECT_EQ(judged, 3);
  EXPECT_FALSE(fs::exists(folder.path("out.jsonl")));
}

TEST(Signals, AReaderThatWaitsForAPipeEnds) {
  const Folder folder;
  const std::string pipe = folder.path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  catch_interrupts();
  const int writer = ::open(pipe.c_str(), O_RDWR);
  std::thread reader([&] {
    RejectedRows rejected;
    RowReader rows({pipe}, rejected);
    std::vector<Row> batch;
    try {
      rows.next(batch);
      ADD_FAILURE() << "went on";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::interrupted);
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ::pthread_kill(reader.native_handle(), SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_EQ(::write(writer, "{\"text\":\"a\"}\n", 13), 13);  // should the signal have come before the reader waited
  ::close(writer);
  reader.join();
  EXPECT_TRUE(take_sigint());
}

}  // namespace
}  // namespace fettle::data
