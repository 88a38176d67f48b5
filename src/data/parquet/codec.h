#pragma once
// The compression of Parquet pages (apache/parquet-format, Compression.md).
#include <cstdint>
#include <string>
#include <string_view>

namespace fettle::data {

/// Uncompressed bytes of a page. `size` is what its header states. Every published codec but LZO: none,
/// Snappy, gzip, Brotli, LZ4 (Hadoop's framing, bare blocks, frames), Zstd, LZ4_RAW. Damaged bytes throw
/// Error.
std::string parquet_uncompress(int codec, std::string_view bytes, int64_t size, std::string_view where);
/// With Zstd.
std::string parquet_compress(std::string_view bytes);

}  // namespace fettle::data
