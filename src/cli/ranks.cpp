#include "cli/ranks.h"

#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "parallel/agree.h"
#include "parallel/launch.h"
#include "parallel/world.h"

namespace fettle::cli {
namespace {

bool threads_chosen = false;

/// Of this process; one of its own where the environment makes no sense, which the command says when it asks for the ranks.
parallel::Launch launched() {
  try {
    return parallel::launch();
  } catch (const Error&) {
    return {};
  }
}

/// What every rank meets is said by rank 0, which ends the job meanwhile: true then.
bool rank_0_has_spoken() {
  const bool was_stopped = interrupted();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end) {
    if (interrupted() && !was_stopped) return true;  // mpirun's signal
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

}  // namespace

parallel::ProcessGroup& ranks() {
  parallel::ProcessGroup& group = parallel::world(threads_chosen);
  if (!group.leads()) set_log_level(LogLevel::error);
  return group;
}

bool speaks_of_its_call() {
  if (launched().rank == 0) return true;
  rank_0_has_spoken();
  return false;
}

void note_threads_chosen() { threads_chosen = true; }

void refuse_ranks(const std::string& what) {
  const parallel::Launch launch = parallel::launch();
  if (launch.size == 1) return;
  fail_usage("{}: was started as {} ranks by {}, and is the work of one process; start it without {} (docs/scale.md says what ranks share)", what,
             launch.size, launch.by, launch.by);
}

void check_one_process(const CLI::App& command) {
  std::string name = command.get_name();
  for (const CLI::App* above = command.get_parent(); above != nullptr; above = above->get_parent()) name = above->get_name() + " " + name;
  refuse_ranks(name);
}

void check_inputs_of_ranks(const std::vector<std::string>& inputs) {
  const parallel::Launch launch = parallel::launch();
  if (launch.size == 1) return;
  for (const auto& input : inputs) {
    const bool comes_once = input == "-" || (fs::exists(input) && !fs::is_regular_file(input) && !fs::is_directory(input));
    if (comes_once)
      fail_usage("{}: can be read only once, and {} ranks read it each; write it to a file first, or start without {}", input, launch.size,
                 launch.by);
  }
}

int report_error(const std::exception& error, const std::string& message, int status) {
  const parallel::Launch launch = launched();
  if (launch.size == 1) {
    log_line(LogLevel::error, message);
    return status;
  }
  parallel::ProcessGroup* group = parallel::joined_world();
  if (dynamic_cast<const parallel::AgreedError*>(&error) != nullptr) {
    if (launch.rank == 0) log_line(LogLevel::error, message);
    return status;
  }
  if (launch.rank > 0 && rank_0_has_spoken()) return status;
  log_line(LogLevel::error, launch.rank == 0 ? message : fmt::format("rank {} of {}: {}", launch.rank, launch.size, message));
  if (group != nullptr) group->abort(status);
  return status;
}

}  // namespace fettle::cli
