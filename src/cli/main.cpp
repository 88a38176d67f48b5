// The program: parses the command line and runs one command. Nothing below cli/ and serve/ prints or exits.
#include <sys/mman.h>

#include <csignal>
#include <system_error>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/scarce.h"
#include "base/threads.h"
#include "cli/command.h"
#include "cli/ranks.h"
#include "parallel/world.h"

namespace fettle::cli {
namespace {

bool json_flag = false;

/// Every command, in the order that --help shows them.
void add_commands(CLI::App& app) {
  add_pull_command(app);
  add_info_command(app);
  add_run_command(app);
  add_train_command(app);
  add_generate_command(app);
  add_chat_command(app);
  add_serve_command(app);
  add_verb_command(app, verbs::judge_verb());
  add_verb_command(app, verbs::score_verb());
  add_verb_command(app, verbs::tokenize_verb());
  add_data_command(app);
  add_verb_command(app, verbs::export_verb());
  add_verb_command(app, verbs::diff_verb());
  add_doctor_command(app);
  add_bench_command(app);
}

int status_of(const Error& error) { return error.kind() == Error::Kind::usage ? 2 : 1; }

/// Parses the command line and runs the command; the status of a call that does not parse.
int parse_and_run(int argc, char** argv) {
  CLI::App app{"fettle takes a pre-trained language model and conversations, and ends with an aligned, evaluated, served chat model."};
  app.name("fettle");
  app.set_version_flag("--version", FETTLE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.get_formatter()->column_width(34);
  app.footer("`fettle COMMAND --help` shows a command's options and examples. Start with `fettle run recipes/starter.yaml`.");
  bool quiet = false;
  int thread_count = 0;
  app.add_flag("--quiet", quiet, "No progress and no log lines on standard error");
  app.add_flag("--json", json_flag, "Reports as JSON");
  app.add_option("--threads", thread_count, "Threads to use (default: the processors this process may run on)")
      ->check(CLI::Range(1, 4096));
  app.parse_complete_callback([&] {
    if (quiet) set_log_level(LogLevel::error);
    if (thread_count > 0) {
      set_threads(thread_count);
      note_threads_chosen();
    }
  });
  add_commands(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (!speaks_of_its_call()) return error.get_exit_code() == 0 ? 0 : 2;
    const int status = app.exit(error, std::cout, std::cerr);
    if (status == 0) return 0;
    const std::string hint = did_you_mean(app, argc, argv);
    if (!hint.empty()) std::cerr << hint << '\n';
    return 2;
  }
}

int run_reporting(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const Error& error) {
    return report_error(error, error.what(), status_of(error));
  } catch (const std::bad_alloc&) {
    end_out_of_memory();
  } catch (const fs::filesystem_error& error) {
    return report_error(error, fmt::format("{}: {}", error.path1().string(), error.code().message()), 1);
  } catch (const std::system_error& error) {
    const bool no_thread = error.code() == std::errc::resource_unavailable_try_again;
    return report_error(error, fmt::format("{}{}", no_thread ? "a thread cannot be started, out of memory or of processes: " : "", error.what()), 1);
  } catch (const std::exception& error) {
    return report_error(error, error.what(), 1);
  }
}

int run(int argc, char** argv) {
  const int status = run_reporting(argc, argv);
  parallel::leave_world();
  return status;
}

}  // namespace

bool json_output() { return json_flag; }

}  // namespace fettle::cli

namespace {

/// Before the libraries of the program set themselves up, which none of them can say if memory ends there.
void check_room_to_start() {
  constexpr size_t needed = size_t{12} << 20;
  void* const got = ::mmap(nullptr, needed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) fettle::end_out_of_memory();
  ::munmap(got, needed);
}
[[gnu::section(".preinit_array"), gnu::used]] void (*const check_first)() = check_room_to_start;

}  // namespace

/// Before the constructors of anything static, which take memory too.
__attribute__((constructor(101))) static void before_all() { fettle::end_tidily_without_memory(); }

int main(int argc, char** argv) {
  fettle::sleep_when_idle(argv);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is an error of the write
  fettle::catch_interrupts();
  return fettle::cli::run(argc, argv);
}
