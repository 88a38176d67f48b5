#pragma once
// Rows into a file that appears whole or not at all.
#include <memory>
#include <string_view>

#include "base/file.h"
#include "base/json.h"

namespace fettle::data {

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
