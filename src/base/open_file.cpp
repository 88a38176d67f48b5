#include "base/open_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"

namespace fettle {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    value_ = other.release();
  }
  return *this;
}

int Descriptor::release() { return std::exchange(value_, -1); }

void Descriptor::close() {
  if (value_ >= 0) ::close(std::exchange(value_, -1));
}

int open_retrying(const fs::path& path, int flags, mode_t mode) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (descriptor >= 0 || errno != EINTR || interrupted()) return descriptor;
  }
}

bool flush_retrying(int descriptor) {
  while (::fsync(descriptor) != 0) {
    if (errno == EINTR) continue;
    return errno == EINVAL || errno == EROFS;
  }
  return true;
}

Descriptor open_regular(const fs::path& path) {
  Descriptor descriptor(open_retrying(path, O_RDONLY | O_NONBLOCK));
  if (descriptor.get() < 0) fail_io(path.string(), "cannot open");
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) fail_io(path.string(), "cannot look at it");
  if (S_ISDIR(status.st_mode)) fail(path.string(), "is a folder, a file was expected");
  if (!S_ISREG(status.st_mode)) fail(path.string(), "is a pipe or a device, a regular file was expected; write it to a file first");
  return descriptor;
}

std::string read_start(const fs::path& path, size_t size) {
  const Descriptor descriptor = open_regular(path);
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor.get(), bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io(path.string(), "cannot read");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

bool is_still_there(int descriptor, const fs::path& path) {
  struct stat open {}, named {};
  return ::fstat(descriptor, &open) == 0 && ::lstat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

void make_folders(const fs::path& folder) {
  std::error_code problem;
  if (folder.empty() || fs::create_directories(folder, problem) || !problem) return;
  errno = problem.value();
  fail_io(folder.string(), "cannot create the folder");
}

namespace {

/// A link that somebody else has put into a folder where everybody may (/tmp): it may lead to a file of this user's. Linux
/// refuses to open such ones (fs.protected_symlinks), which does not see a link that is only read.
void refuse_planted(const fs::path& link) {
  struct stat own {}, folder {};
  const fs::path parent = link.has_parent_path() ? link.parent_path() : fs::path(".");
  if (::lstat(link.c_str(), &own) != 0 || ::stat(parent.c_str(), &folder) != 0) return;
  const bool open_to_all = (folder.st_mode & S_ISVTX) != 0 && (folder.st_mode & S_IWOTH) != 0;
  if (open_to_all && own.st_uid != ::geteuid() && own.st_uid != folder.st_uid)
    fail(link.string(), "is a link that another user has put into a folder open to all; name what it leads to");
}

}  // namespace

fs::path follow_links(const fs::path& path) {
  constexpr int most_links = 40;
  fs::path at = path;
  for (int links = 0;; ++links) {
    std::error_code unknown;
    if (!fs::is_symlink(fs::symlink_status(at, unknown))) return at;
    refuse_planted(at);
    if (links == most_links) {
      errno = ELOOP;
      fail_io(path.string(), "cannot follow its links");
    }
    const fs::path to = fs::read_symlink(at, unknown);
    if (unknown) {
      errno = unknown.value();
      fail_io(at.string(), "cannot read the link");
    }
    at = to.is_absolute() ? to : at.parent_path() / to;
  }
}

}  // namespace fettle
