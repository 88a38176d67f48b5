#include "data/input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/open_file.h"

namespace fettle::data {

ByteInput::ByteInput(const std::string& path) : path_(path) {
  descriptor_ = path == "-" ? ::dup(STDIN_FILENO) : open_retrying(path, O_RDONLY);
  if (descriptor_ < 0) fail_io(path, "cannot open");
  try {
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && S_ISDIR(status.st_mode)) fail(path, "is a folder, a file was expected");
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

ByteInput::~ByteInput() {
  ::close(descriptor_);
}

const std::string& ByteInput::problem() const {
  static const std::string none;
  return codec_ ? codec_->problem() : none;
}

size_t ByteInput::read_file(char* to, size_t size) {
  for (;;) {
    const ssize_t got = ::read(descriptor_, to, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) fail_io(path_, "cannot read");
  }
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
