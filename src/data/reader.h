#pragma once
// Rows out of data files: JSONL, a JSON array, either compressed with gzip or zstd, Parquet, from files,
// folders, patterns or "-".
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/folder.h"
#include "base/json.h"
#include "data/input_states.h"
#include "data/rejected.h"

namespace fettle::data {

/// A row as it stands in its file: one JSON value, not yet parsed. `text` is valid UTF-8.
struct Row {
  std::string text;
  int64_t number = 0;  ///< 0-based over all files; counts broken rows too
  int64_t line = 0;    ///< 1-based line where it starts in its (uncompressed) file; in Parquet, its row
  std::shared_ptr<const std::string> file;

  std::string where() const;  ///< "file:line", for errors
};

struct ReadOptions {
  /// A longer row is rejected, and its bytes are skipped without being kept.
  uint64_t max_row_bytes = uint64_t{64} << 20;
  /// How much text next() gathers for each thread; what is made of it should not leave the caches.
  uint64_t batch_bytes = uint64_t{512} << 10;
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

/// The files that `paths` mean, in a stable order: a file; a folder's data files (*.jsonl, *.json, *.ndjson,
/// *.parquet and their .gz and .zst, sorted by name, subfolders included); a pattern with * ? [ ]; "-". Error
/// when one matches nothing, CannotOpen when something cannot be looked into; folders below a folder that cannot go to
/// `unreadable` where that is given.
std::vector<std::string> expand_paths(const std::vector<std::string>& paths, const OnUnreadable& unreadable = {});

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

/// The row as a value; throws Error with file and line. Numbers beyond 64 bits become doubles; nesting is
/// limited to 512. `repaired` is set when the text had to be changed to be read.
OrderedJson parse_row(const Row& row, bool* repaired = nullptr);

/// All rows at once, parsed in parallel, in order, for small files and tests. Rows that are no JSON object
/// are rejected.
std::vector<OrderedJson> read_rows(const std::vector<std::string>& paths, RejectedRows& rejected,
                                   ReadReport* report = nullptr);

/// Writes JSON lines (or, when the path ends in .json, an array; in .parquet, Parquet) to a temporary file
/// that commit() renames; "-" is standard output; .gz and .zst compress.
class RowWriter {
 public:
  explicit RowWriter(const fs::path& path);
  ~RowWriter();
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;
  void write_text(std::string_view json_text);  ///< one JSON value on one line, without the newline
  void write(const OrderedJson& value);
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle::data
