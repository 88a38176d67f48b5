#pragma once
// The values and levels inside Parquet pages (apache/parquet-format, Encodings.md). One thread each. Damaged
// bytes throw Error.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "data/parquet/format.h"

namespace fettle::data {

/// The little-endian number at the start of `bytes`, which are long enough.
template <typename T>
T load_little(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

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

/// DELTA_BINARY_PACKED whole numbers, one after another; sums wrap around in 64 bits.
class DeltaDecoder {
 public:
  DeltaDecoder() = default;
  DeltaDecoder(std::string_view bytes, std::string_view where);
  int64_t next(std::string_view where);
  /// What follows the numbers. Only before the first next().
  std::string_view behind(std::string_view where) const;

 private:
  uint64_t varint(std::string_view where);
  void open_block(std::string_view where);
  void open_miniblock(std::string_view where);
  std::string_view bytes_, widths_, packed_;
  uint64_t per_miniblock_ = 0, miniblocks_ = 0;
  uint64_t left_ = 0;          ///< numbers not handed out yet
  uint64_t in_miniblock_ = 0;  ///< of the open one
  size_t next_miniblock_ = 0;
  bool first_ = true;
  uint64_t value_ = 0, least_ = 0;
  int width_ = 0, bit_ = 0;
};

/// The values of a data page in any encoding but a dictionary's.
class ValueDecoder {
 public:
  ValueDecoder() = default;
  /// `leaf` must outlive it. Encodings that do not fit its type, or are unknown, throw.
  ValueDecoder(int encoding, std::string_view body, const ParquetNode& leaf, std::string_view where);
  /// Its bytes live until the next call.
  ParquetValue next(std::string_view where) {
    return encoding_ == plain ? plain_.next(where) : next_other(where);
  }

 private:
  enum Encoding { plain = 0, runs = 3, delta = 5, delta_length = 6, delta_bytes = 7, split = 9 };
  ParquetValue next_other(std::string_view where);
  std::string_view take_bytes(std::string_view where);
  std::string_view rejoined(std::string_view where);

  int encoding_ = plain;
  const ParquetNode* leaf_ = nullptr;
  std::string_view body_;  ///< of byte arrays what is not handed out yet, of split values all of them
  PlainDecoder plain_;
  RunDecoder runs_;
  DeltaDecoder numbers_;                     ///< values, or the lengths of (the rest of) each
  DeltaDecoder prefixes_;                    ///< how much each shares with the one before
  std::string last_;                         ///< the value handed out last
  size_t width_ = 0, next_ = 0, count_ = 0;  ///< of split values
};

}  // namespace fettle::data
