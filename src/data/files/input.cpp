#include "data/files/input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/interrupt.h"
#include "base/open_file.h"

namespace fettle::data {

ByteInput::ByteInput(const std::string& path) : path_(path) {
  descriptor_ = open_input(path);
  try {
    look_at_file();
    head_.resize(compression_head);
    size_t got = 0;
    while (got < head_.size()) {
      const size_t more = read_file(head_.data() + got, head_.size() - got);
      if (more == 0) break;
      got += more;
    }
    head_.resize(got);
    if (const auto packing = unread_packing(head_); !packing.empty()) {
      fail(path, "is {}, which is not read; unpack it, or pack its files with zstd, gzip, xz, bzip2 or lz4", packing);
    }
    Compression compression = compression_of(head_);
    if (compression == Compression::none && path.ends_with(".br")) compression = Compression::brotli;
    if (compression == Compression::none) return;
    compression_ = compression_name(compression);
    codec_ = Decompressor::make(compression, [this](char* to, size_t size) { return read_packed(to, size); });
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

void fail_open(std::string_view path, int code) {
  constexpr std::array own{ENOENT, EACCES, EPERM, ENOTDIR, ELOOP, ENAMETOOLONG, ENXIO, ENODEV};
  if (std::find(own.begin(), own.end(), code) == own.end()) {
    errno = code;
    fail_io(path, "cannot open");
  }
  throw CannotOpen(Error::Kind::io, fmt::format("{}: cannot open: {}", path, std::strerror(code)));
}

void rethrow_unless_of_file(const Error& error) {
  if (error.kind() != Error::Kind::input && dynamic_cast<const CannotOpen*>(&error) == nullptr) throw;
}

int open_input(const std::string& path) {
  const int descriptor = path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open_retrying(path, O_RDONLY);
  if (descriptor >= 0) return descriptor;
  if (errno == EINTR) throw_if_interrupted();
  fail_open(path, errno);
}

size_t read_input(int descriptor, const std::string& path, char* to, size_t size) {
  for (;;) {
    const ssize_t got = ::read(descriptor, to, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) fail_io(path, "cannot read");
    throw_if_interrupted();
  }
}

void ByteInput::look_at_file() {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_io(path_, "cannot be looked at");
  if (S_ISDIR(status.st_mode)) fail(path_, "is a folder, a file was expected");
  is_file_ = S_ISREG(status.st_mode) && status.st_size > 0;  // files under /proc say 0 and hold something
  const off_t at = is_file_ ? ::lseek(descriptor_, 0, SEEK_CUR) : 0;
  left_ = status.st_size - std::max<off_t>(at, 0);
}

ByteInput::~ByteInput() {
  ::close(descriptor_);
}

const std::string& ByteInput::problem() const {
  static const std::string none;
  return codec_ ? codec_->problem() : none;
}

size_t ByteInput::read_file(char* to, size_t size) {
  const size_t got = read_input(descriptor_, path_, to, size);
  left_ -= static_cast<int64_t>(got);
  if (got == 0 && size > 0 && is_file_ && left_ > 0) fail_changed(path_, fmt::format("{} bytes are missing at its end", left_));
  return got;
}

size_t ByteInput::read_packed(char* to, size_t size) {
  if (head_used_ == head_.size()) return read_file(to, size);
  const size_t count = std::min(size, head_.size() - head_used_);
  std::memcpy(to, head_.data() + head_used_, count);
  head_used_ += count;
  return count;
}

size_t ByteInput::read(char* to, size_t size) {
  return codec_ ? codec_->read(to, size) : read_packed(to, size);
}

}  // namespace fettle::data
