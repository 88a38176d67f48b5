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

struct PartTrailer {
  char magic[8];
  uint32_t format, width;
  uint64_t records, entries, index_begin, size;
  char hash[hash_digits];
  uint64_t check;  ///< hash of all of the trailer before it
};
static_assert(sizeof(PartTrailer) == 88);

uint64_t check_of(const PartTrailer& trailer) {
  return hash64({reinterpret_cast<const char*>(&trailer), offsetof(PartTrailer, check)});
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

TokenPartWriter::TokenPartWriter(const fs::path& path, int width) : path_(path), width_(width), file_(path) {}

void TokenPartWriter::add(std::string_view record, int64_t entries, bool continues) {
  const uint64_t offset = file_.size();
  FETTLE_CHECK(offset < continues_bit);
  file_.write(record);
  hasher_.add_raw(record.data(), record.size());
  for (int64_t i = 0; i < entries; ++i) index_.push_back(static_cast<uint32_t>(offset) | (continues ? continues_bit : 0));
  ++records_;
}

PartState TokenPartWriter::finish() {
  const std::string padding((sizeof(uint32_t) - file_.size() % sizeof(uint32_t)) % sizeof(uint32_t), '\0');
  file_.write(padding);
  PartTrailer trailer{};
  std::memcpy(trailer.magic, part_magic, sizeof part_magic);
  trailer.format = part_format;
  trailer.width = static_cast<uint32_t>(width_);
  trailer.records = static_cast<uint64_t>(records_);
  trailer.entries = index_.size();
  trailer.index_begin = file_.size();
  file_.write(index_.data(), index_.size() * sizeof(uint32_t));
  trailer.size = file_.size() + sizeof trailer;
  hasher_.add_raw(padding.data(), padding.size()).add_raw(index_.data(), index_.size() * sizeof(uint32_t));
  PartState state{.entries = entries(), .records = records_, .hash = hasher_.hex()};
  std::memcpy(trailer.hash, state.hash.data(), hash_digits);
  trailer.check = check_of(trailer);
  file_.write(&trailer, sizeof trailer);
  file_.commit();
  state.look(path_);
  return state;
}

TokenPart::TokenPart(const fs::path& path) : path_(path), file_(path) {
  const auto bytes = file_.bytes();
  PartTrailer trailer{};
  if (bytes.size() < sizeof trailer) fail_damaged(path, "is too short for a token file");
  std::memcpy(&trailer, bytes.data() + bytes.size() - sizeof trailer, sizeof trailer);
  if (std::memcmp(trailer.magic, part_magic, sizeof part_magic) != 0 || trailer.check != check_of(trailer)) fail_damaged(path, "is no token file, or its end is damaged or missing");
  if (trailer.format != part_format || (trailer.width != 2 && trailer.width != 4)) fail_damaged(path, "is a token file of another version");
  const uint64_t size = bytes.size(), index_end = size - sizeof trailer;
  if (trailer.size != size || trailer.index_begin > index_end || trailer.index_begin % sizeof(uint32_t) != 0 ||
      (index_end - trailer.index_begin) % sizeof(uint32_t) != 0 || trailer.entries != (index_end - trailer.index_begin) / sizeof(uint32_t) ||
      trailer.records > trailer.entries)
    fail_damaged(path, fmt::format("{} bytes were expected, there are {}", trailer.size, size));
  width_ = static_cast<int>(trailer.width);
  records_ = static_cast<int64_t>(trailer.records);
  hash_.assign(trailer.hash, hash_digits);
  body_ = bytes.first(trailer.index_begin);
  index_ = {reinterpret_cast<const uint32_t*>(bytes.data() + trailer.index_begin), static_cast<size_t>(trailer.entries)};
}

void TokenPart::verify() const {
  constexpr size_t step = size_t{32} << 20;
  Hasher hasher;
  const auto rest = file_.bytes().first(file_.bytes().size() - sizeof(PartTrailer));
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
