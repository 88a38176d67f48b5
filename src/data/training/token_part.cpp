#include "data/training/token_part.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/mapped_pages.h"

namespace fettle::data {
namespace {

constexpr char part_magic[8] = {'f', 'e', 't', 't', 'l', 'e', 'T', 'K'};
constexpr uint32_t part_format = 1;
/// In the index, beside the offset of a record.
constexpr uint32_t continues_bit = uint32_t{1} << 31;
constexpr size_t hash_digits = 32;

struct PartHeader {
  char magic[8];
  uint32_t format, width;
  uint64_t records, entries, index_begin, size;
  char hash[hash_digits];
  uint64_t check;  ///< hash of all before it
};
static_assert(sizeof(PartHeader) == 88);

uint64_t check_of(const PartHeader& header) {
  return hash64({reinterpret_cast<const char*>(&header), offsetof(PartHeader, check)});
}

[[noreturn]] void fail_damaged(const fs::path& path, std::string_view what) {
  throw DamagedTokens(Error::Kind::io, fmt::format("{}: {}", path.string(), what));
}

}  // namespace

bool PartState::look(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  size = status.st_size;
  inode = status.st_ino;
  seconds = status.st_mtim.tv_sec;
  nanoseconds = status.st_mtim.tv_nsec;
  return true;
}

bool PartState::same_file(const PartState& other) const {
  return size == other.size && inode == other.inode && seconds == other.seconds && nanoseconds == other.nanoseconds;
}

TokenPartWriter::TokenPartWriter(const fs::path& path, int width) : path_(path), width_(width), file_(path) {
  const PartHeader blank{};
  file_.write(&blank, sizeof blank);
}

void TokenPartWriter::add(std::string_view record, int64_t entries, bool continues) {
  const uint64_t offset = file_.size() - sizeof(PartHeader);
  FETTLE_CHECK(offset < continues_bit);
  file_.write(record);
  hasher_.add_raw(record.data(), record.size());
  for (int64_t i = 0; i < entries; ++i) index_.push_back(static_cast<uint32_t>(offset) | (continues ? continues_bit : 0));
  ++records_;
}

PartState TokenPartWriter::finish() {
  const std::string padding((sizeof(uint32_t) - file_.size() % sizeof(uint32_t)) % sizeof(uint32_t), '\0');
  file_.write(padding);
  PartHeader header{};
  std::memcpy(header.magic, part_magic, sizeof part_magic);
  header.format = part_format;
  header.width = static_cast<uint32_t>(width_);
  header.records = static_cast<uint64_t>(records_);
  header.entries = index_.size();
  header.index_begin = file_.size();
  file_.write(index_.data(), index_.size() * sizeof(uint32_t));
  header.size = file_.size();
  hasher_.add_raw(padding.data(), padding.size()).add_raw(index_.data(), index_.size() * sizeof(uint32_t));
  PartState state{.entries = entries(), .records = records_, .hash = hasher_.hex()};
  std::memcpy(header.hash, state.hash.data(), hash_digits);
  header.check = check_of(header);
  file_.write_at(0, &header, sizeof header);
  file_.commit();
  state.look(path_);
  return state;
}

TokenPart::TokenPart(const fs::path& path) : path_(path), file_(path) {
  const auto bytes = file_.bytes();
  PartHeader header{};
  if (bytes.size() < sizeof header) fail_damaged(path, "is too short for a token file");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, part_magic, sizeof part_magic) != 0 || header.check != check_of(header)) fail_damaged(path, "is no token file, or its header is damaged");
  if (header.format != part_format || (header.width != 2 && header.width != 4)) fail_damaged(path, "is a token file of another version");
  const uint64_t size = bytes.size();
  if (header.size != size || header.index_begin < sizeof header || header.index_begin > size || header.index_begin % sizeof(uint32_t) != 0 ||
      header.entries != (size - header.index_begin) / sizeof(uint32_t) || (size - header.index_begin) % sizeof(uint32_t) != 0 || header.records > header.entries)
    fail_damaged(path, fmt::format("{} bytes were expected, there are {}", header.size, size));
  width_ = static_cast<int>(header.width);
  records_ = static_cast<int64_t>(header.records);
  hash_.assign(header.hash, hash_digits);
  body_ = bytes.subspan(sizeof header, header.index_begin - sizeof header);
  index_ = {reinterpret_cast<const uint32_t*>(bytes.data() + header.index_begin), static_cast<size_t>(header.entries)};
}

void TokenPart::verify() const {
  constexpr size_t step = size_t{32} << 20;
  Hasher hasher;
  const auto rest = file_.bytes().subspan(sizeof(PartHeader));
  for (size_t begin = 0; begin < rest.size(); begin += step) {
    throw_if_interrupted();
    const auto piece = rest.subspan(begin, std::min(step, rest.size() - begin));
    hasher.add_raw(piece.data(), piece.size());
    forget();
  }
  check();
  if (hasher.hex() != hash_) fail_damaged(path_, "its content is not what was written");
}

uint32_t TokenPart::offset(int64_t entry) const {
  return index_[static_cast<size_t>(entry)] & ~continues_bit;
}

int64_t TokenPart::piece(int64_t entry) const {
  const auto end = index_.begin() + entry;
  const auto masked = [](uint32_t value) { return value & ~continues_bit; };
  return end - std::lower_bound(index_.begin(), end, masked(*end), [&](uint32_t one, uint32_t wanted) { return masked(one) < wanted; });
}

bool TokenPart::continues(int64_t entry) const {
  return (index_[static_cast<size_t>(entry)] & continues_bit) != 0;
}

bool TokenPart::read(int64_t entry, TokenRange range, TokenRecord& to, size_t* size) const {
  const size_t begin = offset(entry);
  return begin < body_.size() && read_record(body_.subspan(begin), width_, range, to, size);
}

void TokenPart::check() const {
  check_mapped(file_);
}

void TokenPart::forget() const {
  forget_pages(file_);
}

}  // namespace fettle::data
