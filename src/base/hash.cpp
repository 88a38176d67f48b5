#include "base/hash.h"

#include <openssl/evp.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <new>
#include <vector>

#include "base/error.h"
#include "base/folder.h"
#include "base/mapped_file.h"
#include "base/open_file.h"

namespace fettle {
namespace {

std::string hex(XXH128_hash_t value) { return fmt::format("{:016x}{:016x}", value.high64, value.low64); }

/// Read, not mapped: the pages of a mapped file would count as this process's memory.
std::string hash_file(const fs::path& path) {
  const Descriptor file = open_regular(path);
  std::vector<char> piece(size_t{1} << 20);
  Hasher hasher;
  for (;;) {
    const ssize_t got = ::read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io(path.string(), "cannot read");
    if (got == 0) return hasher.hex();
    hasher.add_raw(piece.data(), static_cast<size_t>(got));
  }
}

}  // namespace

std::string hash_hex(std::string_view bytes) { return hex(XXH3_128bits(bytes.data(), bytes.size())); }
uint64_t hash64(std::string_view bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

std::string hash_path(const fs::path& path) {
  if (!fs::is_directory(path)) return hash_file(path);
  Hasher hasher;
  for (const auto& file : files_below(path)) hasher.add(fs::relative(file, path).generic_string()).add(hash_file(file));
  return hasher.hex();
}

std::string sha256_hex(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) throw Error("SHA-256 is not available");
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

std::string sha256_file(const fs::path& path) {
  const MappedFile file(path);
  std::string hash = sha256_hex(file.text());
  check_mapped(file);
  return hash;
}

struct Hasher::State {
  XXH3_state_t* value = XXH3_createState();
  State() {
    if (value == nullptr) throw std::bad_alloc();
  }
  ~State() { XXH3_freeState(value); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->value); }
Hasher::~Hasher() = default;

Hasher& Hasher::add(std::string_view bytes) {
  const uint64_t size = bytes.size();
  add_raw(&size, sizeof size);
  return add_raw(bytes.data(), bytes.size());
}

Hasher& Hasher::add_raw(const void* data, size_t size) {
  XXH3_128bits_update(state_->value, data, size);
  return *this;
}

std::string Hasher::hex() const { return fettle::hex(XXH3_128bits_digest(state_->value)); }

}  // namespace fettle
