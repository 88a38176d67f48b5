#pragma once
// What ranks that read the same files found in them: it has to be the same on all.
#include <functional>
#include <string>
#include <vector>

#include "data/rows/row.h"
#include "parallel/dealing.h"

namespace fettle::data {

/// Of one round.
struct RowsRead {
  int64_t rows = 0;
  std::string file;  ///< of the last row
  parallel::ReadingHash hash;
  void add(const std::vector<Row>& batch);
  void add(std::string_view text, const std::string& from);
};

/// Calls `work` on every rank, which says what it read. Throws AgreedError when one of them fails, or reads something else than
/// rank 0. Alone: calls it, no more.
void agree_on_rows(parallel::ProcessGroup& group, const std::function<void(RowsRead&)>& work);
/// Rank 0's size of a batch, which is so for all of its threads together.
uint64_t common_batch_bytes(parallel::ProcessGroup& group, uint64_t bytes_of_a_thread);

}  // namespace fettle::data
