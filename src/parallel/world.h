#pragma once
// The group of the whole job, for the program: joined when a command asks for it, left when the program ends.
#include <string>

#include "parallel/process_group.h"

namespace fettle::parallel {

/// All ranks that mpirun or srun started; the empty group for a process that was started alone, for which nothing is loaded.
/// The first call joins, and gives a rank that would share its processors with others of this machine its part of them, unless
/// the number of threads was chosen (`threads_chosen`). Throws Error as make_mpi_group and read_launch do. One thread.
ProcessGroup& world(bool threads_chosen = false);
/// Null before the first call of world().
ProcessGroup* joined_world();
/// Waits for the other ranks and ends MPI; nothing where it was never joined.
void leave_world();

}  // namespace fettle::parallel
