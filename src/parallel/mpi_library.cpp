#include "parallel/mpi_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "base/error.h"

namespace fettle::parallel {
namespace {

[[noreturn]] void cannot_load(const std::string& why) {
  throw Error(Error::Kind::io,
              fmt::format("MPI: this is one of several ranks, and Open MPI cannot be loaded: {}; install it on every machine (Debian: "
                          "libopenmpi3), name its library in FETTLE_MPI_LIBRARY, or start fettle without mpirun",
                          why));
}

/// Its plug-ins look for its symbols among the global ones.
void* open_library() {
  constexpr int how = RTLD_NOW | RTLD_GLOBAL;
  if (const char* path = std::getenv("FETTLE_MPI_LIBRARY"); path != nullptr && *path != '\0') {
    if (void* opened = ::dlopen(path, how)) return opened;
    cannot_load(::dlerror());
  }
  std::string why;
  for (const char* name : {"libmpi.so.40", "libmpi.so"}) {
    if (void* opened = ::dlopen(name, how)) return opened;
    why += (why.empty() ? "" : "; ") + std::string(::dlerror());
  }
  cannot_load(why);
}

void* symbol(void* library, const char* name) {
  void* found = ::dlsym(library, name);
  if (found == nullptr) cannot_load(fmt::format("it has no {}; fettle speaks to Open MPI 3 to 5, and this is another MPI", name));
  return found;
}

MpiLibrary load() {
  void* library = open_library();
  MpiLibrary mpi{};
  // The handles tell Open MPI from other implementations, and come first.
  mpi.world = symbol(library, "ompi_mpi_comm_world");
  mpi.byte = symbol(library, "ompi_mpi_byte");
  mpi.errors_return = symbol(library, "ompi_mpi_errors_return");
  const auto set = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol(library, name));
  };
  set(mpi.init_thread, "MPI_Init_thread");
  set(mpi.finalize, "MPI_Finalize");
  set(mpi.abort, "MPI_Abort");
  set(mpi.comm_rank, "MPI_Comm_rank");
  set(mpi.comm_size, "MPI_Comm_size");
  set(mpi.comm_set_errhandler, "MPI_Comm_set_errhandler");
  set(mpi.error_string, "MPI_Error_string");
  set(mpi.barrier, "MPI_Barrier");
  set(mpi.bcast, "MPI_Bcast");
  set(mpi.gather, "MPI_Gather");
  set(mpi.gatherv, "MPI_Gatherv");
  set(mpi.allgather, "MPI_Allgather");
  set(mpi.allgatherv, "MPI_Allgatherv");
  set(mpi.alltoall, "MPI_Alltoall");
  set(mpi.alltoallv, "MPI_Alltoallv");
  return mpi;
}

}  // namespace

const MpiLibrary& mpi_library() {
  static const MpiLibrary library = load();
  return library;
}

}  // namespace fettle::parallel
