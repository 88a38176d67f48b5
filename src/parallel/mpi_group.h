#pragma once
// The group of all processes that mpirun or srun started, over Open MPI.
#include <memory>

#include "parallel/launch.h"
#include "parallel/process_group.h"

namespace fettle::parallel {

/// Loads and starts MPI; once a process. Throws Error(io) when it cannot be loaded, and when it does not see the ranks that
/// `launch` speaks of. Ends MPI when it is destroyed, which waits for the other members.
std::unique_ptr<ProcessGroup> make_mpi_group(const Launch& launch);

}  // namespace fettle::parallel
