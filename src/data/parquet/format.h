#pragma once
// The metadata of a Parquet file: schema, row groups, column chunks, page headers (apache/parquet-format,
// parquet.thrift), in Thrift's compact protocol. Damaged bytes throw Error.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle::data {

enum class ParquetType { boolean, int32, int64, int96, float32, float64, bytes, fixed };

/// What a column's values mean beyond their physical type, as far as a JSON row shows it.
enum class ParquetMeaning {
  plain,
  unsigned_number,
  decimal,
  date,
  time,
  timestamp,
  float16,
  uuid,
  interval,
  variant,  ///< and other types that no JSON value shows
  list,
  map,
};

/// A node of the schema. A leaf has a type, a group has children.
struct ParquetNode {
  std::string name;
  enum Repetition { required, optional, repeated } repetition = required;
  ParquetType type = ParquetType::bytes;
  ParquetMeaning meaning = ParquetMeaning::plain;
  bool is_text = false;   ///< a leaf of UTF-8
  int32_t type_length = 0;  ///< of `fixed`
  int32_t scale = 0;        ///< of decimals
  int64_t unit = 1;         ///< of times and timestamps: how many make a second
  std::vector<ParquetNode> children;
  // Filled by parquet_footer():
  int definition = 0, repetition_level = 0;  ///< the node's levels when it is there
  size_t first_leaf = 0, leaf_count = 0;
};

struct ParquetChunk {
  int codec = 0;
  int64_t values = 0, bytes = 0, uncompressed_bytes = 0, data_at = 0, dictionary_at = 0;
  std::string path;  ///< names from the root, joined by '\0', for writing
  int type = 0;
  bool encrypted = false, elsewhere = false;  ///< cannot be read: its key is missing, it lies in another file
};
struct ParquetGroup {
  int64_t rows = 0;
  std::vector<ParquetChunk> chunks;  ///< one per leaf, in the schema's order
};
struct ParquetFooter {
  ParquetNode root;
  int64_t rows = 0;
  std::vector<ParquetGroup> groups;
  std::vector<std::pair<std::string, std::string>> metadata;
};

struct ParquetPage {
  enum Kind { data = 0, index = 1, dictionary = 2, data_v2 = 3 } kind = data;
  int64_t uncompressed = 0, compressed = 0, values = 0;
  int encoding = 0, definition_encoding = 3, repetition_encoding = 3;
  int64_t definition_bytes = 0, repetition_bytes = 0;  ///< of data_v2
  bool is_compressed = true;
};

/// `where` names the file in errors.
ParquetFooter parquet_footer(std::string_view file, std::string_view where);
/// Reads the page header that starts at `bytes`, and moves `bytes` behind it.
ParquetPage parquet_page(std::string_view& bytes, std::string_view where);

/// The other way. The footer's chunks and root must be filled; levels need not be.
std::string encode_parquet_footer(const ParquetFooter& footer);
std::string encode_parquet_page(const ParquetPage& page);

}  // namespace fettle::data
