#pragma once
// Files that are never left half-written, and mapped reads. Errors: Error(io) naming the path.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fettle {

namespace fs = std::filesystem;

/// A regular file as bytes; a pipe or device is refused, but for "-", standard input. Throws when larger than `limit` bytes.
std::string read_file(const fs::path& path, uint64_t limit = uint64_t{1} << 40);

/// Writes to a temporary file beside `path`, flushes it to the disk, renames it over `path`, and flushes the folder: after a
/// crash or kill `path` is the old file or the whole new one. A link is written at its target. "-" writes standard output.
void write_file(const fs::path& path, std::string_view bytes);

/// A read-only memory map. Movable; unmapped when destroyed. An empty file maps to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// A file being written piece by piece; it appears under its name only by commit(). Destroyed without commit(), it
/// leaves nothing behind; what a killed process left goes with the next one for this folder. One writer, not thread-safe.
class AtomicFile {
 public:
  explicit AtomicFile(fs::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t size() const { return size_; }
  void commit();

 private:
  void flush();
  fs::path path_, temporary_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  std::string buffer_;
  bool committed_ = false;
};

/// Whether the name is one that AtomicFile gives a file before commit(): a killed program leaves such files behind.
bool is_half_written(const fs::path& path);

/// Replaces the folder `target` (or what it links to) by `made`, on one file system: readers see the old folder or the new one.
void replace_folder(const fs::path& made, const fs::path& target);

/// Flushes every file in `folder`, and the folder, to the disk.
void flush_folder(const fs::path& folder);

/// The user's cache folder for fettle: $FETTLE_CACHE, else $XDG_CACHE_HOME/fettle, else ~/.cache/fettle. Created, for its user.
fs::path cache_folder();

/// A fresh folder under $TMPDIR or /tmp, for its user alone; removed when destroyed, or after a kill when the next one is made.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace fettle
