#pragma once
// The bytes of a file or of standard input, uncompressed on the way.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace fettle::data {

/// gzip (RFC 1952, several members) and zstd (RFC 8878, several frames) are recognised by their magic bytes.
/// One thread.
class ByteInput {
 public:
  /// "-" is standard input. Throws Error(io) when it cannot be opened, Error when it is a folder.
  explicit ByteInput(const std::string& path);
  ~ByteInput();
  ByteInput(const ByteInput&) = delete;
  ByteInput& operator=(const ByteInput&) = delete;

  /// Up to `size` bytes; 0 at the end. Damaged compressed data end the file early: see problem().
  size_t read(char* to, size_t size);
  /// "", "gzip" or "zstd".
  const std::string& compression() const { return compression_; }
  /// What was wrong with the compressed data; empty if nothing.
  const std::string& problem() const { return problem_; }

  struct Codec;

 private:
  size_t read_file(char* to, size_t size);

  std::string path_, compression_, problem_;
  int descriptor_ = -1;
  std::string head_;  ///< bytes looked at to find the compression, not handed out yet
  size_t head_used_ = 0;
  std::unique_ptr<Codec> codec_;
};

}  // namespace fettle::data
