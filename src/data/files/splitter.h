#pragma once
// Cuts a stream of bytes into the texts of JSON values, without parsing them; rows of a table become objects.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data/files/csv.h"

namespace fettle::data {

enum class FileLayout {
  unknown,
  lines,   ///< one value a line
  array,   ///< the elements of one array
  values,  ///< values after one another, each over any number of lines
  table,   ///< CSV or TSV
};

/// Fed with the bytes in order, calls `emit` for every value. The layout is found from the first bytes: '['
/// opens an array, a line that is a lone '{' a document over several lines; what looks like a table is one; anything else
/// is lines. The layout `lines` is taken for granted, `table` where the first bytes are no JSON.
class Splitter {
 public:
  using Emit = std::function<void(ValueText&&)>;
  Splitter(uint64_t max_bytes, Emit emit, FileLayout layout = FileLayout::unknown)
      : max_bytes_(max_bytes), emit_(std::move(emit)), layout_(layout), expects_table_(layout == FileLayout::table) {
    if (expects_table_) layout_ = FileLayout::unknown;
  }

  void feed(std::string_view bytes);
  /// `problem` says what cut the stream short, if anything did.
  void finish(const std::string& problem);
  /// "jsonl", "json array", "json", "csv", "tsv" or "empty".
  std::string_view layout_name() const;

 private:
  void decide(bool at_end);
  void feed_lines(std::string_view bytes);
  void feed_values(std::string_view bytes);
  size_t skip_string(std::string_view bytes, size_t at);
  void keep(std::string_view bytes);
  void close(const std::string& problem);

  uint64_t max_bytes_;
  Emit emit_;
  FileLayout layout_;
  bool expects_table_;
  std::unique_ptr<CsvSplitter> table_;
  std::string head_;    ///< bytes that came before the layout was known
  bool begun_ = false;  ///< the first bytes were seen, where a byte order mark may stand
  ValueText piece_;
  bool open_ = false;  ///< a value has begun
  int64_t line_ = 1;
  // Of arrays and of values over several lines:
  int64_t depth_ = 0;
  bool in_string_ = false, escaped_ = false, in_array_ = false, array_closed_ = false;
};

}  // namespace fettle::data
