#pragma once
// Bytes that this process writes and reads again: no flush to the disk, but every error of it is one.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/file.h"

namespace fettle::data {

/// write() all, close(), then either read() through it or map path(). Errors: Error(io) naming the file. Not thread-safe.
class SpillFile {
 public:
  /// Created, or emptied.
  explicit SpillFile(fs::path path);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  void write(const void* data, size_t size);
  uint64_t size() const { return size_; }  ///< of all that was written
  const fs::path& path() const { return path_; }
  /// The end of writing.
  void close();
  /// Up to `size` bytes, as many as were written; 0 at their end alone. A file that is shorter than what was written to it is
  /// an error.
  size_t read(void* to, size_t size);

 private:
  void flush();

  fs::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0, read_ = 0;
  std::string buffer_;
};

}  // namespace fettle::data
