#include "base/threads.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/scarce.h"

namespace fettle {
namespace {

int detect() {
  if (const char* text = std::getenv("FETTLE_THREADS"); text != nullptr && std::atoi(text) > 0) return std::atoi(text);
  cpu_set_t set;
  CPU_ZERO(&set);
  const int available = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
  return std::max(1, available);
}

int& setting() {
  static int value = [] {
    const int count = detect();
    omp_set_num_threads(count);
    return count;
  }();
  return value;
}

#ifdef __SANITIZE_THREAD__
// The thread sanitizer sees how threads of the standard library wait for each other, and not how libgomp's do.
thread_local bool in_team = false;

bool in_parallel() { return in_team; }

template <typename Work>
void run_team(int64_t pieces, const Work& work) {
  std::vector<std::thread> team;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    team.emplace_back([&work, piece] {
      in_team = true;
      work(piece);
    });
  }
  for (std::thread& thread : team) thread.join();
}
#else
bool in_parallel() { return omp_in_parallel() != 0; }

template <typename Work>
void run_team(int64_t pieces, const Work& work) {
  start_team();
  // Always the whole team, also for fewer pieces: libgomp ends the threads that a smaller team has no use for, and
  // starting them again takes longer than most of the work that comes through here.
#pragma omp parallel for schedule(static, 1) num_threads(threads())
  for (int64_t piece = 0; piece < pieces; ++piece) work(piece);
}
#endif

}  // namespace

int threads() { return setting(); }

void set_threads(int count) {
  setting() = std::max(1, count);
  omp_set_num_threads(setting());
}

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t pieces = std::min<int64_t>(threads(), (count + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1));
  if (pieces <= 1 || in_parallel()) {
    body(0, count);
    return;
  }
  std::exception_ptr error;
  std::mutex first;
  run_team(pieces, [&](int64_t piece) {
    try {
      body(count * piece / pieces, count * (piece + 1) / pieces);
    } catch (...) {
      const std::lock_guard lock(first);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

void sleep_when_idle(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  std::error_code unknown;
  // Not by the link itself, which would become the process's name.
  const auto program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  if (unknown || setenv("GOMP_SPINCOUNT", "1000", 0) != 0) return;
  execv(program.c_str(), argv);
}

}  // namespace fettle
