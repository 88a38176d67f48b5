#pragma once
// The rows that a pass judges at once, and what became of them: on the way from the rank that judged them to rank 0, too.
#include <string>
#include <string_view>
#include <vector>

#include "data/passes/pass.h"

namespace fettle::data {

struct PassBlock {
  std::vector<Row> rows;
  std::vector<Unreadable> unreadable;
  std::vector<Verdict> verdicts;             ///< of each row
  std::vector<uint8_t> repaired, read;       ///< of each row: its text was changed to be read; it could be read

  /// What was judged, without the rows.
  std::string packed() const;
  /// The verdicts of these rows, from what packed() made on another rank. Throws Error(io) when it is of other rows.
  void unpack(std::string_view packed);
};

/// What a rank counted, for rank 0, and added there.
std::string packed_columns(const ColumnReport& columns);
void merge_columns(ColumnReport& to, std::string_view packed);

}  // namespace fettle::data
