#include "data/compression/decompress.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace fettle::data {
namespace {

constexpr size_t compressed_chunk = size_t{1} << 18;

bool is_bzip2(std::string_view head) {
  // A level, then the first block's or the end's magic number.
  return head.size() >= 10 && head.starts_with("BZh") && head[3] >= '1' && head[3] <= '9' &&
         (head.substr(4, 6) == "\x31\x41\x59\x26\x53\x59" || head.substr(4, 6) == "\x17\x72\x45\x38\x50\x90");
}

}  // namespace

std::string_view compression_name(Compression compression) {
  constexpr std::string_view names[] = {"",   "gzip", "zlib",  "deflate", "zstd",
                                        "xz", "lzma", "bzip2", "lz4",     "brotli"};
  return names[static_cast<size_t>(compression)];
}

Compression compression_of(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\x1f\x8b")) return Compression::gzip;
  if (head.starts_with("\x28\xb5\x2f\xfd")) return Compression::zstd;
  // A skippable frame; LZ4 knows it too, but only writers of zstd begin with one.
  if (head.size() >= 4 && (head[0] & 0xF0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18")
    return Compression::zstd;
  if (head.starts_with("\xfd\x37zXZ\0"sv)) return Compression::xz;
  if (head.starts_with("\x5d\0\0"sv)) return Compression::lzma;
  if (is_bzip2(head)) return Compression::bzip2;
  if (head.starts_with("\x04\x22\x4d\x18")) return Compression::lz4;
  return Compression::none;
}

std::string_view unread_packing(std::string_view head) {
  using namespace std::string_view_literals;
  constexpr std::pair<std::string_view, std::string_view> known[] = {
      {"PK\x03\x04"sv, "a zip archive"},
      {"PK\x05\x06"sv, "an empty zip archive"},
      {"7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
      {"Rar!\x1a\x07"sv, "a rar archive"},
      {"\x1f\x9d"sv, "a file of the old program compress"},
      {"\x02\x21\x4c\x18"sv, "LZ4 in its old format"},
      {"\xff\x06\0\0sNaPpY"sv, "framed Snappy"},
      {"\x89LZO\0"sv, "an lzop file"},
  };
  for (const auto& [magic, name] : known) {
    if (head.starts_with(magic)) return name;
  }
  return "";
}

std::string_view without_packing(std::string_view name) {
  for (const std::string_view ending : {".gz", ".zst", ".xz", ".bz2", ".lz4", ".br"}) {
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  return name;
}

Decompressor::Decompressor(Compression compression, Fill fill)
    : compression_(compression), fill_(std::move(fill)), buffer_(compressed_chunk) {}

void Decompressor::unread(std::string_view begin) {
  FETTLE_CHECK(begin.size() <= buffer_.size());
  std::memcpy(buffer_.data(), begin.data(), begin.size());
  in_ = buffer_.data();
  in_size_ = begin.size();
}

void Decompressor::refill() {
  in_ = buffer_.data();
  in_size_ = fill_(buffer_.data(), buffer_.size());
}

std::string Decompressor::place() const {
  return " (byte " + std::to_string(taken_) + " of the compressed data)";
}

size_t Decompressor::read(char* to, size_t size) {
  Step now{in_, in_size_, to, size, {}};
  while (!done_ && size > 0 && now.out_size == size) {
    if (in_size_ == 0 && !more_inside_) refill();
    if (in_size_ == 0 && !more_inside_) {
      const std::string name(compression_name(compression_));
      if (in_frame_ || !any_frame_) problem_ = "the " + name + " data end in the middle" + place();
      done_ = true;
      break;
    }
    if (!in_frame_ && any_frame_ && *in_ == 0 &&
        compression_ != Compression::deflate) {  // padding behind a frame
      ++in_;
      --in_size_;
      ++taken_;
      continue;
    }
    now.in = in_;
    now.in_size = in_size_;
    const Status status = step(now);
    taken_ += in_size_ - now.in_size;
    in_ = now.in;
    in_size_ = now.in_size;
    in_frame_ = status == Status::going;
    any_frame_ = true;
    more_inside_ = in_frame_ && now.out_size == 0;  // more may wait although all input was taken
    if (status == Status::damaged) {
      problem_ =
          "the " + std::string(compression_name(compression_)) + " data are damaged: " + now.damage + place();
      done_ = true;
    }
  }
  return size - now.out_size;
}

bool decompress(Compression compression, std::string_view bytes, size_t most, std::string& out,
                std::string& problem) {
  out.clear();
  auto codec = Decompressor::make(compression, [&](char* to, size_t size) {
    const size_t count = std::min(size, bytes.size());
    std::memcpy(to, bytes.data(), count);
    bytes.remove_prefix(count);
    return count;
  });
  constexpr size_t piece = size_t{1} << 16;
  for (;;) {
    const size_t before = out.size();
    out.resize(before + piece);
    const size_t got = codec->read(out.data() + before, piece);
    out.resize(before + got);
    problem = codec->problem();
    if (got == 0) return problem.empty();
    if (out.size() > most) {
      problem = "it unpacks to more than " + std::to_string(most) + " bytes";
      return false;
    }
  }
}

}  // namespace fettle::data
