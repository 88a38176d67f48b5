#pragma once
// Opening and flushing that a signal does not disturb, and regular files where a pipe would never end. Errors: Error(io) naming
// the path and the operating system's reason. Thread-safe.
#include <sys/types.h>

#include <string>

#include "base/file.h"

namespace fettle {

/// A file descriptor that is closed with its owner; -1 holds none. Movable.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return value_; }
  int release();
  void close();

 private:
  int value_;
};

/// open(2), close-on-exec, once more after a signal that does not ask the program to end. -1 with errno where it fails.
int open_retrying(const fs::path& path, int flags, mode_t mode = 0666);

/// fsync(2), once more after a signal. False with errno where it fails; file systems that cannot flush count as flushed.
bool flush_retrying(int descriptor);

/// Opens a regular file to read. A folder, a pipe or a device is refused, and never waited for: a pipe that nobody writes
/// to would hold the program for ever.
Descriptor open_regular(const fs::path& path);

/// The first bytes of a regular file, at most `size`.
std::string read_start(const fs::path& path, size_t size);

/// Whether `path` still names the file or folder that the descriptor has open.
bool is_still_there(int descriptor, const fs::path& path);

/// The folder and those above it, where they are not there yet.
void make_folders(const fs::path& folder);

/// The path that something written to `path` goes to: symbolic links of the last component followed, also those that lead
/// to nothing yet. Throws where they lead in a circle, and for a link of another user's in a folder open to all.
fs::path follow_links(const fs::path& path);

}  // namespace fettle
