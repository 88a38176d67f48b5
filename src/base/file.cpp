#include "base/file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/open_file.h"
#include "base/standard_output.h"
#include "base/unfinished.h"

namespace fettle {
namespace {

/// A pipe may keep a write waiting for ever; a file never does, and what is saved on the way out must be saved.
bool is_pipe(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

void write_all(int descriptor, const char* data, size_t size, const fs::path& path) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, data, size);
    if (written < 0 && errno != EINTR) fail_io(path.string(), "cannot write");
    if (written > 0) {
      data += written;
      size -= static_cast<size_t>(written);
    }
    if (size > 0 && is_pipe(descriptor)) throw_if_interrupted();  // a signal also cuts a write short
  }
}

void flush_path(const fs::path& path, int flags) {
  const Descriptor descriptor(open_retrying(path, flags));
  if (descriptor.get() < 0) fail_io(path.string(), "cannot open to flush");
  if (!flush_retrying(descriptor.get())) fail_io(path.string(), "cannot flush to the disk");
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

/// A device or a pipe (/dev/null, >(gzip > FILE)): it takes bytes as they come, and nothing may be renamed over it. So does
/// what another process has open.
bool is_stream(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return false;
  std::error_code unknown;
  return !S_ISREG(status.st_mode) || fs::canonical(parent_of(path), unknown).string().starts_with("/proc/");
}

int number_of(const std::string& name) {
  int number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : -1;
}

/// The descriptor of this process that the path itself names, its last link not followed; -1 when it names none.
int named_descriptor(const fs::path& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  fs::path folder = path.parent_path();
  if (folder != "/dev/fd") {
    std::error_code unknown;
    folder = fs::canonical(parent_of(path), unknown);
    const std::string own = fmt::format("/proc/{}/", ::getpid());
    if (unknown || folder.filename() != "fd" || !folder.string().starts_with(own)) return -1;
  }
  return number_of(path.filename().string());
}

/// The descriptor of this process that the path leads to; -1 when it leads to none. Opened by its name, a file behind it
/// would be overwritten from its start; replaced by its name, the name would be gone.
int own_descriptor(const fs::path& path) {
  if (path == "-") return STDOUT_FILENO;
  fs::path at = path;
  for (int links = 0; links < 40; ++links) {
    if (const int number = named_descriptor(at); number >= 0) return number;
    std::error_code unknown;
    const fs::path to = fs::read_symlink(at, unknown);
    if (unknown) return -1;
    at = to.is_absolute() ? to : at.parent_path() / to;
  }
  return -1;
}

/// Descriptors that hold the locks of temporary folders, by their paths.
struct FolderLocks {
  std::mutex mutex;
  std::map<std::string, Descriptor> held;
};
FolderLocks& folder_locks() {
  static FolderLocks locks;
  return locks;
}

}  // namespace

bool is_standard_output(const fs::path& path) { return own_descriptor(path) == STDOUT_FILENO; }

std::string read_file(const fs::path& path, uint64_t limit) {
  const Descriptor descriptor = path == "-" ? Descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) : open_regular(path);
  if (descriptor.get() < 0) fail_io(path.string(), "cannot open");
  std::string bytes;
  struct stat status {};
  if (::fstat(descriptor.get(), &status) == 0 && S_ISREG(status.st_mode))
    bytes.reserve(std::min<uint64_t>(static_cast<uint64_t>(status.st_size), limit) + 1);
  char chunk[1 << 16];
  for (;;) {
    const ssize_t got = ::read(descriptor.get(), chunk, sizeof chunk);
    if (got < 0 && errno != EINTR) fail_io(path.string(), "cannot read");
    if (got < 0) {
      if (is_pipe(descriptor.get())) throw_if_interrupted();
      continue;
    }
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<size_t>(got) > limit) fail(path.string(), "is larger than {} bytes", limit);
    bytes.append(chunk, static_cast<size_t>(got));
  }
}

void write_file(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  if (const int own = own_descriptor(path_); own >= 0 || is_stream(path_)) {
    descriptor_ = own >= 0 ? ::fcntl(own, F_DUPFD_CLOEXEC, 0) : open_retrying(path_, O_WRONLY);
    if (descriptor_ < 0) fail_io(path_.string(), "cannot open");
    if (path_ == "-") path_ = "standard output";  // for messages
    return;
  }
  path_ = follow_links(path_);
  if (fs::is_directory(path_)) fail(path_.string(), "is a folder, a file should be written there");
  make_folders(path_.parent_path());
  remove_unfinished(parent_of(path_), path_);
  descriptor_ = create_unfinished(path_, temporary_).release();
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!committed_ && !temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::flush() {
  write_all(descriptor_, buffer_.data(), buffer_.size(), path_);
  buffer_.clear();
}

void AtomicFile::write(const void* data, size_t size) {
  constexpr size_t buffered = size_t{256} << 10;
  size_ += size;
  if (buffer_.size() + size > buffered) flush();
  if (size > buffered) {
    write_all(descriptor_, static_cast<const char*>(data), size, path_);
  } else {
    buffer_.append(static_cast<const char*>(data), size);
  }
}

void AtomicFile::commit() {
  flush();
  if (temporary_.empty()) {
    committed_ = true;
    if (::close(std::exchange(descriptor_, -1)) != 0) fail_io(path_.string(), "cannot close");
    return;
  }
  if (!flush_retrying(descriptor_)) fail_io(path_.string(), "cannot flush to the disk");
  // Closed behind the renaming: with its lock given back, another process would take it for a leftover.
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io(path_.string(), "cannot rename into place");
  committed_ = true;
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_io(path_.string(), "cannot close");
  flush_path(parent_of(path_), O_RDONLY | O_DIRECTORY);
}

bool is_half_written(const fs::path& path) { return is_unfinished_name(path.filename().string()); }

void flush_folder(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    flush_path(entry.path(), entry.is_directory() ? O_RDONLY | O_DIRECTORY : O_RDONLY);
  }
  flush_path(folder, O_RDONLY | O_DIRECTORY);
}

void replace_folder(const fs::path& made, const fs::path& named_target) {
  const fs::path target = follow_links(named_target);
  const bool had_old = fs::exists(target);
  if (had_old && !fs::is_directory(target)) fail(target.string(), "is a file, a folder should be written there");
  flush_folder(made);
  const fs::path old = unfinished_name(target);
  // RENAME_EXCHANGE is one step: there is no moment without a folder under the target's name.
  if (had_old && ::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(made);
  } else {
    if (had_old && ::rename(target.c_str(), old.c_str()) != 0) fail_io(target.string(), "cannot move the old folder away");
    if (::rename(made.c_str(), target.c_str()) != 0) fail_io(target.string(), "cannot rename into place");
    if (had_old) fs::remove_all(old);
  }
  flush_path(parent_of(target), O_RDONLY | O_DIRECTORY);
}

namespace {

fs::path home_folder() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') return home;
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 1 << 14> room{};
  const bool known = ::getpwuid_r(::geteuid(), &entry, room.data(), room.size(), &found) == 0 && found != nullptr;
  return known && entry.pw_dir != nullptr && *entry.pw_dir == '/' ? fs::path(entry.pw_dir) : fs::path();
}

}  // namespace

fs::path cache_folder() {
  fs::path folder;
  if (const char* own = std::getenv("FETTLE_CACHE"); own != nullptr && *own != '\0') {
    folder = own;
  } else if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0') {
    folder = fs::path(xdg) / "fettle";
  } else {
    // Not in /tmp: a folder of that name may be anybody's there, with models of theirs in it.
    folder = home_folder();
    if (folder.empty()) throw Error(Error::Kind::io, "there is no home folder for the cache; set HOME or FETTLE_CACHE");
    folder = folder / ".cache" / "fettle";
  }
  if (!fs::is_directory(folder)) {
    make_folders(folder.parent_path());
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail_io(folder.string(), "cannot create the cache");
  }
  return folder;
}

TemporaryFolder::TemporaryFolder() {
  std::error_code missing;
  const fs::path parent = fs::temp_directory_path(missing);
  if (missing) {
    errno = missing.value();
    const char* named = std::getenv("TMPDIR");
    fail_io(named != nullptr ? named : "/tmp", "cannot be used for temporary files (TMPDIR)");
  }
  remove_unfinished(parent);
  Descriptor lock =
      create_unfinished_folder([&] { return parent / fmt::format("fettle-{}-{}", ::getpid(), random_name()); }, 0700, path_);
  auto& locks = folder_locks();
  const std::lock_guard guard(locks.mutex);
  locks.held.emplace(path_.string(), std::move(lock));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  auto& locks = folder_locks();
  const std::lock_guard guard(locks.mutex);
  locks.held.erase(path_.string());
}

}  // namespace fettle
