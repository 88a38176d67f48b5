#include "data/files/spill_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/open_file.h"

namespace fettle::data {
namespace {

int open_spill(const fs::path& path, int flags) {
  const int descriptor = open_retrying(path, flags, 0600);
  if (descriptor < 0) fail_io(path.string(), "cannot open");
  return descriptor;
}

void write_spill(int descriptor, const fs::path& path, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io(path.string(), "cannot write");
    data += written;
    size -= static_cast<size_t>(written);
  }
}

}  // namespace

SpillFile::SpillFile(fs::path path) : path_(std::move(path)), descriptor_(open_spill(path_, O_WRONLY | O_CREAT | O_TRUNC)) {}

SpillFile::~SpillFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void SpillFile::flush() {
  write_spill(descriptor_, path_, buffer_.data(), buffer_.size());
  buffer_.clear();
}

void SpillFile::write(const void* data, size_t size) {
  constexpr size_t buffered = size_t{256} << 10;
  if (buffer_.size() + size > buffered) flush();
  if (size > buffered) {
    write_spill(descriptor_, path_, static_cast<const char*>(data), size);
  } else {
    buffer_.append(static_cast<const char*>(data), size);
  }
  size_ += size;
}

void SpillFile::close() {
  flush();
  buffer_ = {};
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) fail_io(path_.string(), "cannot write");
}

size_t SpillFile::read(void* to, size_t size) {
  size = static_cast<size_t>(std::min<uint64_t>(size, size_ - read_));
  if (descriptor_ < 0) descriptor_ = open_spill(path_, O_RDONLY);
  for (size_t got = 0; got < size;) {
    const ssize_t more = ::read(descriptor_, static_cast<char*>(to) + got, size - got);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) fail_io(path_.string(), "cannot read");
    if (more == 0) {
      throw Error(Error::Kind::io, fmt::format("{}: ends after {} of the {} bytes that were written to it; who cuts files in the temporary folder?",
                                               path_.string(), read_ + got, size_));
    }
    got += static_cast<size_t>(more);
  }
  read_ += size;
  return size;
}

}  // namespace fettle::data
