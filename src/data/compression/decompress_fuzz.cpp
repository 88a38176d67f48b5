// Any bytes as compressed data of the kind that the first byte names: they end, within bounds, and say what
// is wrong; what comes out does not depend on how the bytes were cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "data/compression/decompress.h"

namespace {

constexpr size_t most = 1 << 18;

std::string unpacked(fettle::data::Compression compression, std::string_view bytes, size_t step) {
  auto codec = fettle::data::Decompressor::make(compression, [&](char* to, size_t size) {
    const size_t count = std::min({size, step, bytes.size()});
    std::memcpy(to, bytes.data(), count);
    bytes.remove_prefix(count);
    return count;
  });
  std::string out, piece(step, '\0');
  for (size_t got = 0; out.size() < most && (got = codec->read(piece.data(), piece.size())) > 0;)
    out.append(piece, 0, got);
  return out.substr(0, most);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fettle::data::Compression;
  if (size < 2) return 0;
  constexpr Compression kinds[] = {Compression::gzip,  Compression::zlib, Compression::deflate,
                                   Compression::zstd,  Compression::xz,   Compression::lzma,
                                   Compression::bzip2, Compression::lz4,  Compression::brotli};
  const Compression kind = kinds[data[0] % std::size(kinds)];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  // How much comes out before damage is seen depends on the pieces; one must begin the other.
  const std::string whole = unpacked(kind, bytes, 1 << 16), pieces = unpacked(kind, bytes, 1 + data[1] % 61);
  if (!whole.starts_with(pieces) && !pieces.starts_with(whole)) std::abort();
  fettle::data::compression_of(bytes);
  return 0;
}
