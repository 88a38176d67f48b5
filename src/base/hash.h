#pragma once
// Stable content hashes: the same on every machine and in every version of fettle (XXH3, 128 bits).
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"

namespace fettle {

/// 32 lower-case hexadecimal digits of XXH3-128 of `bytes`. Not cryptographic.
std::string hash_hex(std::string_view bytes);
uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

/// The same over a file's content, or over a folder: the sorted relative names with the hash of each file.
std::string hash_path(const fs::path& path);

/// 64 hexadecimal digits of SHA-256; for files whose published hash must hold.
std::string sha256_hex(std::string_view bytes);
std::string sha256_file(const fs::path& path);

/// Feed in pieces, ask for hex() at the end.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher& add(std::string_view bytes);  ///< length-prefixed, so that {"a","b"} and {"ab"} differ
  Hasher& add_raw(const void* data, size_t size);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fettle
