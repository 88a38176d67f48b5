#pragma once
// The inside of Parquet pages: compression, levels, values. One thread each. Damaged bytes throw Error.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/parquet_format.h"

namespace fettle::data {

/// Uncompressed bytes of a page. `size` is what its header states. Codecs: none, Snappy, Gzip, Zstd.
std::string parquet_uncompress(int codec, std::string_view bytes, int64_t size, std::string_view where);
/// With Zstd.
std::string parquet_compress(std::string_view bytes);

/// Parquet's mixture of runs and bit-packed groups, one number after another.
class RunDecoder {
 public:
  RunDecoder() = default;
  RunDecoder(std::string_view bytes, int width) : bytes_(bytes), width_(width) {}
  uint32_t next(std::string_view where);

 private:
  void open_run(std::string_view where);
  std::string_view bytes_;
  int width_ = 0;
  uint64_t left_ = 0;
  bool packed_ = false;
  uint32_t value_ = 0;
  uint64_t bits_ = 0;
  int bit_count_ = 0;
};

/// The other way; runs of eight and more become runs.
std::string encode_runs(const std::vector<uint8_t>& values, int width);

/// One value of any type: `integer` for booleans and whole numbers, `real` for floating point, `bytes` else.
struct ParquetValue {
  int64_t integer = 0;
  double real = 0;
  std::string_view bytes;
};

/// Values one after another in the PLAIN encoding.
class PlainDecoder {
 public:
  PlainDecoder() = default;
  PlainDecoder(std::string_view bytes, const ParquetNode& leaf) : bytes_(bytes), leaf_(&leaf) {}
  ParquetValue next(std::string_view where);
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view take(size_t count, std::string_view where);
  std::string_view bytes_;
  const ParquetNode* leaf_ = nullptr;
  int bit_ = 0;
};

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
  PlainDecoder plain_;
  enum class Values { plain, dictionary, runs } values_ = Values::plain;
  int64_t chunk_left_, page_left_ = 0;
  bool looked_ = false;
  int repetition_ = 0, definition_ = 0;
};

}  // namespace fettle::data
