#pragma once
// Rows that ranks make of the same inputs, in one file in the inputs' order.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/spill_file.h"
#include "data/files/writer.h"
#include "parallel/dealing.h"

namespace fettle::data {

/// Each rank writes one text for each row that is its own, in their order: they wait in the system's temporary folder until
/// commit() brings them to rank 0, whose file appears whole or not at all. Alone: straight into the file.
class RankedWriter {
 public:
  /// `block`: how many rows after one another are one rank's.
  RankedWriter(parallel::ProcessGroup& group, const fs::path& path, int64_t block);

  bool is_mine(int64_t row) const { return dealing_.is_mine(row); }
  void write_text(std::string_view json_text);
  /// `rows`: how many there were, of all ranks. Every rank calls it.
  void commit(int64_t rows);

 private:
  std::string next_text();

  parallel::ProcessGroup& group_;
  parallel::Dealing dealing_;
  int64_t block_;
  std::optional<RowWriter> writer_;
  std::optional<TemporaryFolder> folder_;
  std::optional<SpillFile> waiting_;
};

/// Throws AgreedError where these files are not the same on every rank. Reads them; alone nothing.
void check_same_files(parallel::ProcessGroup& group, const std::vector<std::string>& paths);

}  // namespace fettle::data
