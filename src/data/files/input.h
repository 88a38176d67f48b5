#pragma once
// The bytes of a file or of standard input, uncompressed on the way: the one entrance of everything that reads data.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "data/compression/decompress.h"
#include "data/files/input_states.h"

namespace fettle::data {

/// A file that is not there, or that we may not read: of one among many, the others can be read all the same. An Error(io) that
/// is none (a disk that fails, too many open files) ends the work.
class CannotOpen : public Error {
 public:
  using Error::Error;
};
/// Throws CannotOpen or Error(io) for the system's reason.
[[noreturn]] void fail_open(std::string_view path, int code);
/// In a handler that passes over a whole input and goes on: rethrows what is no fault of the input.
void rethrow_unless_of_file(const Error& error);

/// A descriptor of the file, or a copy of standard input's for "-"; Error(io) when it cannot be had, Error(interrupted) on a
/// signal while it waits for a pipe's other end.
int open_input(const std::string& path);
/// Up to `size` bytes of it, 0 at the end; errors as above.
size_t read_input(int descriptor, const std::string& path, char* to, size_t size);

/// The compression is recognised by magic bytes (brotli, which has none, by the ending .br). One thread.
class ByteInput {
 public:
  /// "-" is standard input. Throws Error(io) when it cannot be opened, Error when it is a folder or packed in a way
  /// that is not read (a zip archive).
  explicit ByteInput(const std::string& path);
  ~ByteInput();
  ByteInput(const ByteInput&) = delete;
  ByteInput& operator=(const ByteInput&) = delete;

  /// Up to `size` bytes; 0 at the end. Damaged compressed data end the file early: see problem(). Throws Error(io) when the
  /// disk does not give them, or the file has become shorter than it was when it was opened; Error(interrupted) on a signal
  /// while it waits for a pipe.
  size_t read(char* to, size_t size);
  /// "" or the name of the compression.
  const std::string& compression() const { return compression_; }
  /// What was wrong with the compressed data, and where; empty if nothing.
  const std::string& problem() const;
  /// Of the file, as it is now.
  FileState state() const { return FileState::of(descriptor_, path_); }

 private:
  void look_at_file();
  size_t read_file(char* to, size_t size);
  size_t read_packed(char* to, size_t size);

  std::string path_, compression_;
  int descriptor_ = -1;
  bool is_file_ = false;
  int64_t left_ = 0;  ///< bytes of a file that were not read yet; below 0 when it has grown
  std::string head_;  ///< bytes looked at to find the compression, not handed out yet
  size_t head_used_ = 0;
  std::unique_ptr<Decompressor> codec_;
};

}  // namespace fettle::data
