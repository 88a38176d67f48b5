#pragma once
// One file of a token set: records one after another (token_row.h), an index of entries, and a trailer. An entry is what
// training takes for a row: a record, or a piece of one that holds a long text. Everything is in this machine's byte order.
#include <optional>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/training/token_row.h"

namespace fettle::data {

/// A token file that is cut, damaged, or of another version.
class DamagedTokens : public Error {
 public:
  using Error::Error;
};

/// What tells one state of a part from another: unchanged as long as all of it is the same.
struct PartState {
  int64_t entries = 0, records = 0, size = 0;
  uint64_t inode = 0;
  int64_t seconds = 0, nanoseconds = 0;  ///< when it was written last
  std::string hash;                      ///< of what stands before the trailer

  /// The file's size, inode and time; the rest as it is here. False when there is no such file.
  bool look(const fs::path& path);
  bool same_file(const PartState& other) const;
};

/// Records gathered into a file that appears by finish(). One thread. Errors: Error(io) naming the file.
class TokenPartWriter {
 public:
  /// `width`: bytes of an id, 2 or 4.
  TokenPartWriter(const fs::path& path, int width);
  /// `entries`: how many pieces the record is (1 but for long texts). `continues`: it is of the conversation of the entry before.
  void add(std::string_view record, int64_t entries, bool continues);
  int64_t entries() const { return static_cast<int64_t>(index_.size()); }
  int64_t bytes() const { return static_cast<int64_t>(file_.size() + index_.size() * sizeof(uint32_t)); }
  PartState finish();

 private:
  fs::path path_;
  int width_;
  AtomicFile file_;
  Hasher hasher_;
  std::vector<uint32_t> index_;
  int64_t records_ = 0;
};

/// The same, mapped. Thread-safe. Throws DamagedTokens where the file is not what it says it is.
class TokenPart {
 public:
  explicit TokenPart(const fs::path& path);
  int64_t entries() const { return static_cast<int64_t>(index_.size()); }
  int64_t records() const { return records_; }
  int64_t size() const { return static_cast<int64_t>(file_.bytes().size()); }
  const std::string& hash() const { return hash_; }
  int width() const { return width_; }
  const fs::path& path() const { return path_; }

  /// Reads all of it, and throws DamagedTokens when its hash is another.
  void verify() const;
  /// Which piece of its record the entry is, from 0.
  int64_t piece(int64_t entry) const;
  bool begins_record(int64_t entry) const { return entry == 0 || offset(entry) != offset(entry - 1); }
  bool continues(int64_t entry) const;
  /// False when the record is damaged. `size`: its bytes.
  bool read(int64_t entry, TokenRange range, TokenRecord& to, size_t* size) const;
  /// Throws Error(io) when the file was cut or rewritten since it was opened.
  void check() const;
  /// Pages read so far no longer count as this process's memory.
  void forget() const;

 private:
  uint32_t offset(int64_t entry) const;

  fs::path path_;
  MappedFile file_;
  int width_ = 2;
  int64_t records_ = 0;
  std::string hash_;
  std::span<const std::byte> body_;
  std::span<const uint32_t> index_;
};

}  // namespace fettle::data
