#include "base/threads.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <system_error>

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

}  // namespace

int threads() { return setting(); }

void set_threads(int count) {
  setting() = std::max(1, count);
  omp_set_num_threads(setting());
}

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t pieces = std::min<int64_t>(threads(), (count + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1));
  if (pieces <= 1 || omp_in_parallel()) {
    body(0, count);
    return;
  }
  start_team();
  std::exception_ptr error;
  // Always the whole team, also for fewer pieces: libgomp ends the threads that a smaller team has no use for, and
  // starting them again takes longer than most of the work that comes through here.
#pragma omp parallel for schedule(static, 1) num_threads(threads())
  for (int64_t piece = 0; piece < pieces; ++piece) {
    try {
      body(count * piece / pieces, count * (piece + 1) / pieces);
    } catch (...) {
#pragma omp critical(fettle_parallel_for_error)
      if (!error) error = std::current_exception();
    }
  }
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
