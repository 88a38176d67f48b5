#pragma once
// Files that stay open under a name while others may remove, move or replace what has that name.
#include <sys/types.h>

#include <vector>

#include "base/file.h"

namespace fettle::serve {

/// Makes an empty file for its owner alone where there is none; nothing is made through a link. Throws Error(io).
void make_private_file(const fs::path& path);

/// What stood under some names at one moment. Not thread-safe.
class KeptFiles {
 public:
  /// Throws Error(io) when there is nothing under `path`.
  void keep(const fs::path& path);
  /// Throws Error(io) naming the first file that is gone or another one by now.
  void check() const;

 private:
  struct File {
    fs::path path;
    dev_t device;
    ino_t inode;
  };
  std::vector<File> files_;
};

}  // namespace fettle::serve
