#include "base/scarce.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"

namespace fettle {
namespace {

size_t mapped_bytes() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

/// Status of a child that runs `body` and may map `room` bytes more than it has; 200 and more: it was ended by a signal.
template <typename Body>
int status_with(size_t room, const Body& body) {
#if defined(__SANITIZE_ADDRESS__)
  return -1;  // its shadow memory is beyond every limit
#endif
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{mapped_bytes() + room, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &limit);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

#define SKIP_IF_UNLIMITED(status) \
  if ((status) < 0) GTEST_SKIP() << "no limits under the address sanitizer"

TEST(Scarce, MemoryIsAskedForWithoutBeingTaken) {
  const int status = status_with(size_t{64} << 20, [] {
    for (int i = 0; i < 100; ++i) require_memory(size_t{32} << 20);
    try {
      require_memory(size_t{1} << 30);
    } catch (const Error& error) {
      return std::string(error.what()).starts_with("out of memory") ? 7 : 0;
    }
    return 0;
  });
  SKIP_IF_UNLIMITED(status);
  EXPECT_EQ(status, 7);
}

TEST(Scarce, ThreadsThatCannotBeStartedAreAnError) {
  const int status = status_with(size_t{40} << 20, [] {
    std::string text;
    std::thread([&] {  // another team than the one that the tests have
      set_threads(64);
      try {
        parallel_for(64, 1, [](int64_t, int64_t) {});
      } catch (const Error& error) {
        text = error.what();
      }
    }).join();
    return text.find("--threads 1") == std::string::npos ? 0 : 7;
  });
  SKIP_IF_UNLIMITED(status);
  EXPECT_EQ(status, 7);
}

TEST(Scarce, ATeamThatWasStartedIsThere) {
  const auto count = [] { return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator()); };
  const int before = threads();
  set_threads(3);
  std::thread([&] {
    const auto alone = count();
    start_team();
    EXPECT_EQ(count(), alone + 2);
  }).join();
  set_threads(before);
}

TEST(Scarce, MemoryThatEndsWhereNoExceptionPassesEndsTheProcessWithStatusOne) {
  const auto end_with = [](auto thrown) {
    return [thrown] {
      end_tidily_without_memory();
      std::thread([thrown] { throw thrown; }).join();
      return 0;
    };
  };
  const int status = status_with(size_t{256} << 20, end_with(std::bad_alloc()));
  SKIP_IF_UNLIMITED(status);
  EXPECT_EQ(status, 1);
  EXPECT_EQ(status_with(size_t{256} << 20, end_with(Error("a mistake of ours"))), 200 + SIGABRT);
}

TEST(Scarce, TheErrorOfACallSaysIt) {
  try {
    errno = ENOMEM;
    fail_io("model.gguf", "cannot map");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "model.gguf: cannot map: out of memory");
  }
}

}  // namespace
}  // namespace fettle
