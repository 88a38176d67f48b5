#pragma once
// The bytes of a file or of standard input, uncompressed on the way: the one entrance of everything that reads data.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "data/decompress.h"

namespace fettle::data {

/// The compression is recognised by magic bytes (brotli, which has none, by the ending .br). One thread.
class ByteInput {
 public:
  /// "-" is standard input. Throws Error(io) when it cannot be opened, Error when it is a folder or packed in a way
  /// that is not read (a zip archive).
  explicit ByteInput(const std::string& path);
  ~ByteInput();
  ByteInput(const ByteInput&) = delete;
  ByteInput& operator=(const ByteInput&) = delete;

  /// Up to `size` bytes; 0 at the end. Damaged compressed data end the file early: see problem().
  size_t read(char* to, size_t size);
  /// "" or the name of the compression.
  const std::string& compression() const { return compression_; }
  /// What was wrong with the compressed data, and where; empty if nothing.
  const std::string& problem() const;

 private:
  size_t read_file(char* to, size_t size);
  size_t read_packed(char* to, size_t size);

  std::string path_, compression_;
  int descriptor_ = -1;
  std::string head_;  ///< bytes looked at to find the compression, not handed out yet
  size_t head_used_ = 0;
  std::unique_ptr<Decompressor> codec_;
};

}  // namespace fettle::data
