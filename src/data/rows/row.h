#pragma once
// A row of a data file, before anything is known of it.
#include <cstdint>
#include <memory>
#include <string>

#include "base/json.h"

namespace fettle::data {

/// A row as it stands in its file: one JSON value, not yet parsed. `text` is valid UTF-8.
struct Row {
  std::string text;
  int64_t number = 0;  ///< 0-based over all files; counts broken rows too
  int64_t line = 0;    ///< 1-based line where it starts in its (uncompressed) file; in Parquet, its row
  std::shared_ptr<const std::string> file;

  std::string where() const;  ///< "file:line", for errors
};

/// The row as a value; throws Error with file and line. Numbers beyond 64 bits become doubles; nesting is
/// limited to 512. `repaired` is set when the text had to be changed to be read.
OrderedJson parse_row(const Row& row, bool* repaired = nullptr);

}  // namespace fettle::data
