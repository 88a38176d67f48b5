#pragma once
// A column of a Parquet file, entry by entry. One thread each. Damaged bytes throw Error.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/parquet/values.h"

namespace fettle::data {

/// A column chunk entry by entry: the levels of the one ahead, and its value when it is there. Holds one page
/// at a time.
class ColumnCursor {
 public:
  /// `file`, `chunk`, `leaf` and `where` must outlive it.
  ColumnCursor(std::string_view file, const ParquetChunk& chunk, const ParquetNode& leaf, std::string_view where);
  /// Levels of the entry ahead; repetition is 0 after the last one.
  int repetition();
  int definition();
  /// Steps over the entry ahead. The value is whole only where definition() is the leaf's, and its bytes live
  /// until the next step.
  ParquetValue take();

 private:
  void look();
  void open_page();
  void open_data(const ParquetPage& page, std::string_view body);
  void open_values(int encoding, std::string_view body);

  const ParquetNode& leaf_;
  std::string_view where_, rest_;
  int codec_;
  std::string page_, dictionary_page_;
  std::vector<ParquetValue> dictionary_;
  RunDecoder repetitions_, definitions_, indices_;
  ValueDecoder values_;
  bool is_dictionary_ = false;  ///< of the open page
  int64_t chunk_left_, page_left_ = 0;
  bool looked_ = false;
  int repetition_ = 0, definition_ = 0;
};

}  // namespace fettle::data
