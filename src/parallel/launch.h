#pragma once
// Who started this process, and as which of how many: read from the environment, before any library is loaded.
#include <functional>
#include <string>

namespace fettle::parallel {

struct Launch {
  int rank = 0, size = 1;
  std::string by;  ///< "mpirun", "srun", …; empty for a process that was started alone
};

/// Open MPI's, MPICH's and Slurm's variables. A batch script's own shell under Slurm has no ranks: `srun` makes them. Throws
/// Error(usage) for variables that are no numbers or do not fit each other. `get`: the value of a variable, or null.
Launch read_launch(const std::function<const char*(const char*)>& get);
/// Of this process. Thread-safe as long as nobody changes the environment.
Launch launch();

}  // namespace fettle::parallel
