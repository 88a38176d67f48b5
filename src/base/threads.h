#pragma once
// The one pool of threads: OpenMP's, which the matrix-product library uses too.
#include <cstdint>
#include <functional>

namespace fettle {

/// Threads that parallel work may use: set_threads(), else $FETTLE_THREADS, else the processors this process may run on.
int threads();
void set_threads(int count);

/// Calls body(begin, end) on disjoint pieces of [0, count) that cover it, in parallel when count exceeds `grain` (the
/// smallest piece). Pieces depend on count, grain and threads() alone, never on timing. An exception in a piece is rethrown
/// here once all pieces have ended. Nested calls run serially.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

/// Makes idle threads sleep after about 10 µs instead of libgomp's 3 ms, where the environment says nothing of it
/// (GOMP_SPINCOUNT or OMP_WAIT_POLICY). libgomp reads that before main begins, so the process executes its program
/// once more; call this first in main, which it may never return to. Without effect where that cannot be done.
/// Source: libgomp's manual, GOMP_SPINCOUNT.
void sleep_when_idle(char** argv);

}  // namespace fettle
