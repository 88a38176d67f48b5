#pragma once
// Rows of a Parquet file as JSON texts, one after another, holding a page of each column at a time.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/parquet/format.h"

namespace fettle::data {

class ColumnCursor;

/// Lists, structures and maps (as objects) of any depth; whole numbers, floating point, booleans, text,
/// decimals (as numbers), dates, times, timestamps and intervals (as ISO 8601 text), UUIDs. Every published encoding of
/// values, data pages of both versions. Damaged, encrypted or otherwise unsupported files throw Error. One thread.
class ParquetReader {
 public:
  /// `file` must outlive the reader; `where` names it in errors.
  ParquetReader(std::string_view file, std::string where);
  ~ParquetReader();

  /// Appends the next row to `text`; false at the end. Throws when the row grows beyond `max_bytes`.
  bool next(std::string& text, uint64_t max_bytes = uint64_t{64} << 20);
  int64_t rows() const { return footer_.rows; }
  /// The file's own key-value pairs.
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return footer_.metadata; }

 private:
  void open_group();
  void write(const ParquetNode& node, std::string& text);
  /// A structure inside a row, without its null fields: Arrow gives every structure of a column all its keys.
  void write_fields(const ParquetNode& structure, std::string& text);
  void write_list(const ParquetNode& repeated, const ParquetNode& element, std::string& text);
  void write_map(const ParquetNode& repeated, std::string& text);
  void write_value(const ParquetNode& leaf, std::string& text);
  void skip(const ParquetNode& node);

  std::string_view file_;
  std::string where_;
  ParquetFooter footer_;
  std::vector<const ParquetNode*> leaves_;
  std::vector<std::unique_ptr<ColumnCursor>> cursors_;
  size_t next_group_ = 0;
  int64_t rows_left_ = 0;
  uint64_t limit_ = 0;
};

}  // namespace fettle::data
