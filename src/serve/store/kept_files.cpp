#include "serve/store/kept_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace fettle::serve {

void make_private_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file >= 0) {
    ::close(file);
  } else if (errno != EEXIST) {
    fail_io(path.string(), "cannot be made");
  }
}

void KeptFiles::keep(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) fail_io(path.string(), "is gone already");
  files_.push_back({path, info.st_dev, info.st_ino});
}

void KeptFiles::check() const {
  for (const File& file : files_) {
    struct stat info {};
    const bool there = ::stat(file.path.c_str(), &info) == 0;
    if (there && info.st_dev == file.device && info.st_ino == file.inode) continue;
    throw Error(Error::Kind::io, fmt::format("{}: was {} while the server runs; put it back, or start the server anew", file.path.string(),
                                             there ? "replaced" : "removed or moved"));
  }
}

}  // namespace fettle::serve
