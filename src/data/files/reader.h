#pragma once
// Rows out of data files: JSONL, a JSON array, either compressed with gzip or zstd, Parquet.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/files/input_states.h"
#include "data/rows/rejected.h"
#include "data/rows/row.h"

namespace fettle::data {

struct ReadOptions {
  /// A longer row is rejected, and its bytes are skipped without being kept.
  uint64_t max_row_bytes = uint64_t{64} << 20;
  /// How much text next() gathers for each thread; what is made of it should not leave the caches.
  uint64_t batch_bytes = uint64_t{512} << 10;
  uint64_t whole_batch_bytes = 0;  ///< not 0: of all threads together, instead, so that processes with other threads get the same batches
  std::shared_ptr<InputStates> states = {};  ///< what inputs were at an earlier reading, or will be compared with at a later one
  bool lines = false;  ///< every line is a row, also where the first begins with '['
};

/// What could not be read between two rows of a batch: it stands before row `before` of it.
struct Unreadable {
  size_t before;
  Rejection rejection;
};

/// What was read. Everything that was not a row is in the RejectedRows.
struct ReadReport {
  int64_t rows = 0;      ///< rows handed out
  int64_t rejected = 0;  ///< broken rows, and files that end in the middle of one
  /// Rows changed to be readable: invalid UTF-8 and lone surrogate escapes became U+FFFD, NaN and Infinity
  /// null.
  int64_t repaired = 0;
  uint64_t bytes = 0;                      ///< uncompressed
  std::vector<std::string> files;          ///< in reading order
  std::map<std::string, int64_t> formats;  ///< file kinds: "jsonl", "json array", "jsonl, gzip", … → files
};

/// Reads rows one batch after another. One thread at a time; splitting is serial, parsing is the caller's
/// (parse_row is thread-safe). Broken input never throws: it goes to `rejected`. An unreadable or missing
/// file does throw. The file kind is found from the content (magic bytes, first character), not from the
/// name.
class RowReader {
 public:
  RowReader(const std::vector<std::string>& paths, RejectedRows& rejected, ReadOptions options = {});
  ~RowReader();
  RowReader(const RowReader&) = delete;
  RowReader& operator=(const RowReader&) = delete;

  /// Replaces `batch` by the next rows; false (and an empty batch) when there are none left.
  bool next(std::vector<Row>& batch);
  /// The same, but broken input goes to `unreadable` instead, for callers that reject rows of their own and keep all in
  /// order. True also when there are no rows, but something that could not be read.
  bool next(std::vector<Row>& batch, std::vector<Unreadable>& unreadable);
  /// The same, parsed in parallel: values[i] is the object in batch[i]. Rows that are no JSON object are
  /// rejected.
  bool next(std::vector<Row>& batch, std::vector<OrderedJson>& values);
  const ReadReport& report() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All rows at once, parsed in parallel, in order, for small files and tests. Rows that are no JSON object
/// are rejected.
std::vector<OrderedJson> read_rows(const std::vector<std::string>& paths, RejectedRows& rejected,
                                   ReadReport* report = nullptr);

}  // namespace fettle::data
