#pragma once
// Open MPI, found when it is needed: fettle is built and starts without it. What is called of it is declared here, after the
// MPI 3.1 standard and Open MPI's mpi.h, whose handles are pointers to symbols of the library.
#include <cstddef>

namespace fettle::parallel {

/// The library's functions and handles; there for the rest of the process.
struct MpiLibrary {
  using Handle = void*;
  int (*init_thread)(int* argc, char*** argv, int required, int* provided);
  int (*finalize)();
  int (*abort)(Handle comm, int status);
  int (*comm_rank)(Handle comm, int* rank);
  int (*comm_size)(Handle comm, int* size);
  int (*comm_set_errhandler)(Handle comm, Handle handler);
  int (*error_string)(int code, char* text, int* length);
  int (*barrier)(Handle comm);
  int (*bcast)(void* data, int count, Handle type, int root, Handle comm);
  int (*gather)(const void* from, int count, Handle type, void* to, int to_count, Handle to_type, int root, Handle comm);
  int (*gatherv)(const void* from, int count, Handle type, void* to, const int* counts, const int* places, Handle to_type, int root,
                 Handle comm);
  int (*allgather)(const void* from, int count, Handle type, void* to, int to_count, Handle to_type, Handle comm);
  int (*allgatherv)(const void* from, int count, Handle type, void* to, const int* counts, const int* places, Handle to_type, Handle comm);
  int (*alltoall)(const void* from, int count, Handle type, void* to, int to_count, Handle to_type, Handle comm);
  int (*alltoallv)(const void* from, const int* counts, const int* places, Handle type, void* to, const int* to_counts,
                   const int* to_places, Handle to_type, Handle comm);
  Handle world, byte, errors_return;
};

constexpr int mpi_thread_funneled = 1;
constexpr size_t mpi_most_error_text = 256;

/// Loads it: $FETTLE_MPI_LIBRARY, else what the loader finds. Throws Error(io) that says what to install or to set.
const MpiLibrary& mpi_library();

}  // namespace fettle::parallel
