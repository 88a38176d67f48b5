#pragma once
// Parquet files out: typed columns, optional and nested, plain encoding under Zstd, as every reader takes them.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/parquet/format.h"

namespace fettle::data {

/// A column of a file to be written. `list` has one child, its element; `structure` has its fields. All are
/// optional (may be null).
struct ColumnType {
  enum Kind { boolean, int32, int64, float32, float64, text, list, structure } kind = text;
  std::string name;
  std::vector<ColumnType> children;
};

/// Rows are written leaf by leaf: for every row, every leaf gets its entries in order, then end_row(). The file
/// appears by commit(). One thread.
class ParquetWriter {
 public:
  ParquetWriter(const fs::path& path, std::vector<ColumnType> columns,
                std::vector<std::pair<std::string, std::string>> metadata = {});
  ~ParquetWriter();
  ParquetWriter(const ParquetWriter&) = delete;
  ParquetWriter& operator=(const ParquetWriter&) = delete;

  const std::vector<ColumnType>& columns() const;
  /// Leaves are numbered over all columns, depth first. `definition` is the leaf's own level where there is a
  /// value: 1 for a column, 3 for the element of a list, and so on; every `put_` writes at that level.
  void put_null(size_t leaf, int repetition, int definition);
  void put_integer(size_t leaf, int repetition, int64_t value);  ///< boolean, int32, int64
  void put_real(size_t leaf, int repetition, double value);      ///< float32, float64
  void put_text(size_t leaf, int repetition, std::string_view value);
  void end_row();
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// JSON objects to a Parquet file whose columns are found from the rows themselves: rows wait in a temporary
/// file until commit(). A key that holds text in one row and a list in another is an Error.
class ParquetRows {
 public:
  explicit ParquetRows(const fs::path& path);
  ~ParquetRows();
  void add(std::string_view json_text);
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle::data
