#include "train/sums_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/hash.h"

namespace fettle::train {
namespace {

constexpr size_t hash_size = 32;  ///< of hash_hex

/// A block is the number of its values, the values, and a hash of both that also names the file's key and the block's place.
std::string block_of(const std::string& key, uint64_t place, std::span<const double> values) {
  const uint64_t count = values.size();
  std::string block(reinterpret_cast<const char*>(&count), sizeof count);
  block.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  return block + hash_hex(fmt::format("{} {} ", key, place) + block);
}

void write_all(int descriptor, const fs::path& path, std::string_view bytes, uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io(path.string(), "cannot write");
    bytes.remove_prefix(static_cast<size_t>(written));
    at += static_cast<uint64_t>(written);
  }
}

}  // namespace

SumsFile::SumsFile(const fs::path& path, const std::string& key) : path_(path), key_(key) {
  make_folders(path.parent_path());
  file_ = Descriptor(open_retrying(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (file_.get() < 0) fail_io(path.string(), "cannot open");
  is_ours_ = ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0;
  read();
  if (is_ours_) cut(size_);
}

void SumsFile::read() {
  const std::string bytes = read_file(path_);
  size_t at = key_.size();
  if (bytes.compare(0, at, key_) != 0) at = 0;
  while (at > 0) {
    const std::string_view rest = std::string_view(bytes).substr(at);
    uint64_t count = 0;
    if (rest.size() < sizeof count + hash_size) break;
    std::memcpy(&count, rest.data(), sizeof count);
    if (count == 0 || count > (rest.size() - sizeof count - hash_size) / sizeof(double)) break;
    std::vector<double> values(count);
    std::memcpy(values.data(), rest.data() + sizeof count, count * sizeof(double));
    const std::string block = block_of(key_, at, values);
    if (rest.substr(0, block.size()) != block) break;
    stored_.insert(stored_.end(), values.begin(), values.end());
    at += block.size();
  }
  size_ = at;
}

void SumsFile::cut(uint64_t size) {
  while (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) fail_io(path_.string(), "cannot shorten");
  }
  size_ = size;
}

void SumsFile::clear() {
  stored_.clear();
  if (is_ours_) cut(0);
}

void SumsFile::append(std::span<const double> values) {
  if (!is_ours_ || values.empty()) return;
  std::string bytes = size_ == 0 ? key_ : "";
  bytes += block_of(key_, size_ + bytes.size(), values);
  write_all(file_.get(), path_, bytes, size_);
  size_ += bytes.size();
}

}  // namespace fettle::train
