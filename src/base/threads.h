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

}  // namespace fettle
