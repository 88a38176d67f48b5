#include "data/parquet/codec.h"

#include <lz4.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/error.h"
#include "data/compression/decompress.h"

namespace fettle::data {
namespace {

constexpr int64_t largest_page = int64_t{1} << 30;
constexpr int64_t largest_lz4 = LZ4_MAX_INPUT_SIZE;

enum Codec { none = 0, snappy_raw = 1, gzip = 2, lzo = 3, brotli = 4, lz4_hadoop = 5, zstd = 6, lz4_raw = 7 };

std::string unsnappy(std::string_view in, int64_t size, std::string_view where) {
  size_t stated = 0;
  if (!snappy::GetUncompressedLength(in.data(), in.size(), &stated) || stated != static_cast<size_t>(size)) {
    fail(where, "a Parquet page's Snappy data state another size than its head");
  }
  // No Snappy element makes more than 64 bytes of three.
  if (stated > in.size() * 32 + 64) fail(where, "a Parquet page's Snappy data are damaged");
  std::string out(stated, '\0');
  if (!snappy::RawUncompress(in.data(), in.size(), out.data()))
    fail(where, "a Parquet page's Snappy data are damaged");
  return out;
}

std::string gunzip(std::string_view in, int64_t size, std::string_view where) {
  // No deflate stream grows more than a thousandfold.
  if (size > static_cast<int64_t>(in.size()) * 1100 + 64)
    fail(where, "a Parquet page's gzip data are damaged");
  std::string out(static_cast<size_t>(size), '\0');
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 32) != Z_OK) throw Error(Error::Kind::io, "zlib cannot be started: is there no memory left?");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  if (status != Z_STREAM_END) fail(where, "a Parquet page's gzip data are damaged");
  out.resize(stream.total_out);
  return out;
}

std::string unzstd(std::string_view in, int64_t size, std::string_view where) {
  const unsigned long long stated = ZSTD_getFrameContentSize(in.data(), in.size());
  const bool known = stated != ZSTD_CONTENTSIZE_UNKNOWN;
  if (known && stated != static_cast<unsigned long long>(size))
    fail(where, "a Parquet page's zstd data are damaged");
  std::string out(static_cast<size_t>(size), '\0');
  const size_t got = ZSTD_decompress(out.data(), out.size(), in.data(), in.size());
  if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  if (ZSTD_isError(got)) fail(where, "a Parquet page's zstd data are damaged ({})", ZSTD_getErrorName(got));
  out.resize(got);
  return out;
}

std::string unbrotli(std::string_view in, int64_t size, std::string_view where) {
  std::string out, problem;
  if (!decompress(Compression::brotli, in, static_cast<size_t>(size), out, problem) && out.size() <= static_cast<size_t>(size))
    fail(where, "a Parquet page's Brotli data are damaged: {}", problem);
  return out;
}

/// Bytes that `in`, one LZ4 block, holds; negative when it is none or does not fit.
int64_t unlz4_block(std::string_view in, char* out, int64_t room) {
  if (in.size() > static_cast<size_t>(largest_lz4) || room > largest_lz4) return -1;
  return LZ4_decompress_safe(in.data(), out, static_cast<int>(in.size()), static_cast<int>(room));
}

uint32_t big_endian(std::string_view in) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(in[static_cast<size_t>(i)]);
  return value;
}

/// Hadoop's framing: the size of a stretch, then blocks with their sizes until it is whole.
bool unlz4_hadoop(std::string_view in, std::string& out) {
  size_t done = 0;
  while (in.size() >= 8) {
    const size_t stretch = big_endian(in), end = done + stretch;
    if (end > out.size()) return false;
    in.remove_prefix(4);
    do {
      if (in.size() < 4) return false;
      const size_t packed = big_endian(in);
      in.remove_prefix(4);
      if (packed > in.size()) return false;
      const int64_t got =
          unlz4_block(in.substr(0, packed), out.data() + done, static_cast<int64_t>(end - done));
      if (got < 0 || (got == 0 && done < end)) return false;
      done += static_cast<size_t>(got);
      in.remove_prefix(packed);
    } while (done < end);
  }
  return in.empty() && done == out.size();
}

/// The codec named LZ4 means three things: Hadoop's framing, a bare block or (older Arrow) a frame.
std::string unlz4(int codec, std::string_view in, int64_t size, std::string_view where) {
  // No LZ4 block grows more than 255 times.
  if (size > static_cast<int64_t>(in.size()) * 255 + 64) fail(where, "a Parquet page's LZ4 data are damaged");
  std::string out(static_cast<size_t>(size), '\0');
  if (codec == lz4_hadoop && unlz4_hadoop(in, out)) return out;
  std::string plain, problem;
  if (codec == lz4_hadoop && compression_of(in) == Compression::lz4 &&
      decompress(Compression::lz4, in, out.size(), plain, problem)) {
    return plain;
  }
  const int64_t got = unlz4_block(in, out.data(), size);
  if (got < 0) fail(where, "a Parquet page's LZ4 data are damaged");
  out.resize(static_cast<size_t>(got));
  return out;
}

}  // namespace

std::string parquet_uncompress(int codec, std::string_view bytes, int64_t size, std::string_view where) {
  if (size < 0 || size > largest_page) fail(where, "a Parquet page states a size of {} bytes", size);
  std::string out;
  if (codec == none) {
    out = std::string(bytes);
  } else if (bytes.empty() && size == 0) {  // a page of nulls only, left as it is by some writers
  } else if (codec == snappy_raw) {
    out = unsnappy(bytes, size, where);
  } else if (codec == gzip) {
    out = gunzip(bytes, size, where);
  } else if (codec == brotli) {
    out = unbrotli(bytes, size, where);
  } else if (codec == zstd) {
    out = unzstd(bytes, size, where);
  } else if (codec == lz4_hadoop || codec == lz4_raw) {
    out = unlz4(codec, bytes, size, where);
  } else {
    fail(where, "Parquet pages are compressed with {}; write it with zstd, snappy, gzip, brotli or lz4",
         codec == lzo ? "LZO" : "an unknown codec");
  }
  if (static_cast<int64_t>(out.size()) != size) {
    fail(where, "a Parquet page should hold {} bytes, found {}", size, out.size());
  }
  return out;
}

std::string parquet_compress(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  if (ZSTD_isError(size))
    throw Error(Error::Kind::io, std::string("zstd cannot compress: ") + ZSTD_getErrorName(size));
  out.resize(size);
  return out;
}

}  // namespace fettle::data
