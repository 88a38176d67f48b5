#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/standard_output.h"

namespace fettle {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

void write_all(int descriptor, const char* data, size_t size, const fs::path& path) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_io(path.string(), "cannot write");
    }
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void flush_path(const fs::path& path, int flags) {
  Descriptor descriptor{::open(path.c_str(), flags | O_CLOEXEC)};
  if (descriptor.value < 0) fail_io(path.string(), "cannot open to flush");
  if (::fsync(descriptor.value) != 0 && errno != EINVAL && errno != EROFS) fail_io(path.string(), "cannot flush to the disk");
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

constexpr std::string_view temporary_mark = ".tmp-";

std::string unique_suffix() {
  static std::atomic<int> counter{0};
  return fmt::format("{}{}-{}", temporary_mark, ::getpid(), counter.fetch_add(1));
}

/// A device or a pipe (/dev/null, >(gzip > FILE)): it takes bytes as they come, and nothing may be renamed over it.
bool is_stream(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

/// The descriptor of this process that the path names; -1 when it names none. Opened by its name, a file behind it would
/// be overwritten from its start.
int own_descriptor(const fs::path& path) {
  if (path == "-" || path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  const fs::path folder = path.parent_path();
  if (folder != "/dev/fd" && folder != "/proc/self/fd") return -1;
  const std::string name = path.filename().string();
  int number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : -1;
}

}  // namespace

bool is_standard_output(const fs::path& path) { return own_descriptor(path) == STDOUT_FILENO; }

std::string read_file(const fs::path& path, uint64_t limit) {
  const bool standard_input = path == "-";
  Descriptor descriptor{standard_input ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.value < 0) fail_io(path.string(), "cannot open");
  std::string bytes;
  struct stat status {};
  if (::fstat(descriptor.value, &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail(path.string(), "is a folder, a file was expected");
    if (S_ISREG(status.st_mode)) bytes.reserve(std::min<uint64_t>(static_cast<uint64_t>(status.st_size), limit) + 1);
  }
  char chunk[1 << 16];
  for (;;) {
    const ssize_t got = ::read(descriptor.value, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io(path.string(), "cannot read");
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

MappedFile::MappedFile(const fs::path& path) {
  Descriptor descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.value < 0) fail_io(path.string(), "cannot open");
  struct stat status {};
  if (::fstat(descriptor.value, &status) != 0) fail_io(path.string(), "cannot read its size");
  if (S_ISDIR(status.st_mode)) fail(path.string(), "is a folder, a file was expected");
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor.value, 0);
  if (mapped == MAP_FAILED) fail_io(path.string(), "cannot map");
  data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  if (const int own = own_descriptor(path_); own >= 0 || is_stream(path_)) {
    descriptor_ = own >= 0 ? ::fcntl(own, F_DUPFD_CLOEXEC, 0) : ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_io(path_.string(), "cannot open");
    return;
  }
  temporary_ = path_.string() + unique_suffix();
  if (path_.has_parent_path()) fs::create_directories(path_.parent_path());
  descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_io(path_.string(), "cannot create");
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

void AtomicFile::write_at(uint64_t offset, const void* data, size_t size) {
  FETTLE_CHECK(offset + size <= size_);
  flush();
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::pwrite(descriptor_, bytes, size, static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_io(path_.string(), "cannot write");
    }
    bytes += written;
    offset += static_cast<uint64_t>(written);
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  flush();
  if (temporary_.empty()) {
    committed_ = true;
    if (::close(std::exchange(descriptor_, -1)) != 0) fail_io(path_.string(), "cannot close");
    return;
  }
  if (::fsync(descriptor_) != 0) fail_io(path_.string(), "cannot flush to the disk");
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_io(path_.string(), "cannot close");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io(path_.string(), "cannot rename into place");
  committed_ = true;
  flush_path(parent_of(path_), O_RDONLY | O_DIRECTORY);
}

bool is_half_written(const fs::path& path) {
  return path.filename().string().find(temporary_mark) != std::string::npos;
}

void flush_folder(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    flush_path(entry.path(), entry.is_directory() ? O_RDONLY | O_DIRECTORY : O_RDONLY);
  }
  flush_path(folder, O_RDONLY | O_DIRECTORY);
}

void replace_folder(const fs::path& made, const fs::path& target) {
  flush_folder(made);
  const fs::path old = target.string() + unique_suffix();
  const bool had_old = fs::exists(target);
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

fs::path cache_folder() {
  fs::path folder;
  if (const char* own = std::getenv("FETTLE_CACHE"); own != nullptr && *own != '\0') {
    folder = own;
  } else if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0') {
    folder = fs::path(xdg) / "fettle";
  } else {
    const char* home = std::getenv("HOME");
    folder = fs::path(home != nullptr && *home != '\0' ? home : "/tmp") / ".cache" / "fettle";
  }
  fs::create_directories(folder);
  return folder;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "fettle-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) fail_io(pattern, "cannot create a temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace fettle
