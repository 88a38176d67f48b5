#pragma once
// Compressed bytes turned into plain ones, piece by piece.
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::data {

enum class Compression { none, gzip, zlib, deflate, zstd, xz, lzma, bzip2, lz4, brotli };
std::string_view compression_name(Compression compression);

/// So many of a file's first bytes tell its compression.
constexpr size_t compression_head = 16;
/// By magic bytes; raw deflate and brotli have none and are never found. zlib's two bytes are too few to
/// tell.
Compression compression_of(std::string_view head);
/// "a zip archive" and the like: packed data that are not read; "" for anything else.
std::string_view unread_packing(std::string_view head);

/// `name` without the ending that a compression program gave it (.gz, .zst, .xz, .bz2, .lz4, .br).
std::string_view without_packing(std::string_view name);

/// Reads all members, streams or frames that follow one another, and skips skippable frames and zeros between
/// them: gzip (RFC 1952), zlib (RFC 1950), deflate (RFC 1951), zstd (RFC 8878, windows up to 2 GiB, and the
/// dictionary that a .warc.zst file begins with), xz and lzma (liblzma), bzip2, LZ4 frames, brotli (RFC
/// 7932). Memory: its window and half a MiB, whatever the data unpack to. Damaged data never throw. One
/// thread.
class Decompressor {
 public:
  using Fill = std::function<size_t(char* to, size_t size)>;  ///< up to `size` compressed bytes; 0 at the end
  static std::unique_ptr<Decompressor> make(Compression compression, Fill fill);
  virtual ~Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  /// Up to `size` plain bytes; 0 at the end, which damaged data reach early: see problem().
  size_t read(char* to, size_t size);
  /// What was wrong with the data, and where; empty if nothing.
  const std::string& problem() const { return problem_; }

 protected:
  enum class Status { going, frame_end, damaged };
  struct Step {
    const char* in;
    size_t in_size;
    char* out;
    size_t out_size;
    std::string damage;  ///< the library's words
  };
  Decompressor(Compression compression, Fill fill);
  /// Moves `in` and `out` by what was taken and made. After frame_end the next step begins a new frame.
  virtual Status step(Step& step) = 0;
  /// For formats that say something before their first frame: `begin` are bytes to be unpacked first.
  void unread(std::string_view begin);
  size_t fill(char* to, size_t size) { return fill_(to, size); }

 private:
  void refill();
  std::string place() const;

  Compression compression_;
  Fill fill_;
  std::vector<char> buffer_;
  const char* in_ = nullptr;
  size_t in_size_ = 0;
  uint64_t taken_ = 0;  ///< compressed bytes before in_
  bool in_frame_ = false, any_frame_ = false, more_inside_ = false, done_ = false;
  std::string problem_;
};

/// Unpacks a text as a whole. False, with what could be read, when it is damaged or grows beyond `most`
/// bytes; `problem` then says why.
bool decompress(Compression compression, std::string_view bytes, size_t most, std::string& out,
                std::string& problem);

}  // namespace fettle::data
