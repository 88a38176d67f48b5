#include "base/scarce.h"

#include <omp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "base/error.h"
#include "base/threads.h"

namespace fettle {
namespace {

constexpr size_t spare = size_t{16} << 20;  ///< what starting threads and reporting errors takes, with room

bool can_get(size_t bytes) {
  void* const got = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) return false;
  ::munmap(got, bytes);
  return true;
}

/// Threads that wait until all are there, to see whether all can be there.
class TrialTeam {
 public:
  ~TrialTeam() {
    if (count_ > 0) pthread_mutex_unlock(&gate_);
    for (int i = 0; i < count_; ++i) {
      pthread_join(trials_[i].thread, nullptr);
      // A thread that was joined may count against the limit of processes for a moment more.
      for (int tries = 0; tries < 1000 && ::syscall(SYS_tgkill, ::getpid(), trials_[i].id, 0) == 0; ++tries) ::usleep(50);
    }
  }
  /// 0, or the error of the thread that could not be started.
  int start(int count) {
    trials_ = std::make_unique<Trial[]>(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      if (i == 0) pthread_mutex_lock(&gate_);
      trials_[i].gate = &gate_;
      const int problem = pthread_create(&trials_[i].thread, nullptr, &wait, &trials_[i]);
      if (problem != 0 && i == 0) pthread_mutex_unlock(&gate_);
      if (problem != 0) return problem;
      ++count_;
    }
    return 0;
  }

 private:
  struct Trial {
    pthread_mutex_t* gate;
    pthread_t thread;
    pid_t id;
  };
  static void* wait(void* own) {
    auto& trial = *static_cast<Trial*>(own);
    trial.id = ::gettid();
    pthread_mutex_lock(trial.gate);
    pthread_mutex_unlock(trial.gate);
    return nullptr;
  }
  pthread_mutex_t gate_ = PTHREAD_MUTEX_INITIALIZER;
  std::unique_ptr<Trial[]> trials_;
  int count_ = 0;
};

[[noreturn]] void end_with(std::string_view message) noexcept {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(1);
}

std::terminate_handler usual_end = nullptr;

[[noreturn]] void end_of_program() noexcept {
  if (const auto thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
      end_out_of_memory();
    } catch (...) {
    }
  } else if (!can_get(spare)) {
    end_out_of_memory();  // not even the exception could be made
  } else if (std::uncaught_exceptions() > 0) {
    // In flight where none may pass, and not to be looked at: destructors in the JSON library take memory.
    end_with("error: ended by an error where none can be handled, most likely out of memory\n");
  }
  if (usual_end != nullptr) usual_end();
  std::abort();
}

}  // namespace

void require_memory(size_t bytes) {
  if (!can_get(bytes)) throw Error(Error::Kind::io, fmt::format("out of memory: {} bytes more are needed", bytes));
}

void start_team() {
  thread_local int started = 1;
  const int wanted = threads();
  if (wanted <= started || omp_in_parallel() != 0) return;
  {
    TrialTeam team;
    if (const int problem = team.start(wanted - 1); problem != 0)
      throw Error(Error::Kind::io, fmt::format("threads: {} cannot be started, out of memory or of processes ({}); use fewer, as with --threads 1",
                                               wanted, std::strerror(problem)));
    require_memory(spare);
  }
#pragma omp parallel num_threads(wanted)
  {
    asm volatile("" ::: "memory");  // the compiler leaves out a region that does nothing
  }
  started = wanted;
}

void end_out_of_memory() noexcept { end_with("error: out of memory\n"); }

void end_tidily_without_memory() { usual_end = std::set_terminate(end_of_program); }

}  // namespace fettle
