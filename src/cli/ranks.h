#pragma once
// Commands under mpirun or srun: which may be run by several ranks, and what the others say.
#include <string>
#include <vector>

#include "cli/command.h"
#include "parallel/process_group.h"

namespace fettle::cli {

/// As on_run, for a command that ranks run together: `run` asks ranks() for them. All other commands refuse several ranks.
template <typename State>
void on_run_by_ranks(CLI::App& command, std::shared_ptr<State> state, void (*run)(State&)) {
  command.callback([state, run] { run(*state); });
}

/// All ranks of the job; joined at the first call, where ranks other than 0 fall silent.
parallel::ProcessGroup& ranks();
/// Throws Error(usage) where several ranks were started and `what` is the work of one process.
void refuse_ranks(const std::string& what);
/// Throws Error(usage) where several ranks were started and one of the inputs can be read only once.
void check_inputs_of_ranks(const std::vector<std::string>& inputs);
/// False for ranks other than 0, whose call cannot be parsed for the same reason as rank 0's; waits until that has been said.
bool speaks_of_its_call();
/// --threads was given.
void note_threads_chosen();

/// Reports an error of this process as its rank has to, and ends the job where other ranks cannot know of it. Gives the status
/// to exit with.
int report_error(const std::exception& error, const std::string& message, int status);

}  // namespace fettle::cli
