#pragma once
// Memory and threads that other libraries take without looking whether they got them: asked for before.
#include <cstddef>

namespace fettle {

/// Throws Error(io) "out of memory" where this process could not get `bytes` more now: under a limit (RLIMIT_AS, RLIMIT_DATA), or where the
/// system promises no more. Takes nothing. Thread-safe.
void require_memory(size_t bytes);

/// Makes the calling thread's team of threads() threads, which libgomp would end the program for where one cannot be started.
/// Throws Error(io) instead. Costs something once per calling thread and each time that threads() grows.
void start_team();

/// Says "out of memory" on standard error and ends the process with status 1, without taking memory.
[[noreturn]] void end_out_of_memory() noexcept;

/// From now on memory that runs out where no exception can pass (a thread's start, a destructor) ends the process by
/// end_out_of_memory() instead of abort(). For main alone.
void end_tidily_without_memory();

}  // namespace fettle
