#include "base/python_random.h"

#include <openssl/evp.h>

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace fettle {

PythonRandom::PythonRandom(uint64_t seed) {
  std::vector<uint32_t> key{static_cast<uint32_t>(seed)};
  if (seed >> 32 != 0) key.push_back(static_cast<uint32_t>(seed >> 32));
  seed_by(key);
}

PythonRandom::PythonRandom(std::string_view seed) {
  // The text and its SHA-512 behind it, as one number; the key is its 32-bit digits from the lowest.
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(seed.data(), seed.size(), digest, &size, EVP_sha512(), nullptr) != 1) throw Error("SHA-512 is not available");
  std::string bytes(seed);
  bytes.append(reinterpret_cast<const char*>(digest), size);
  std::vector<uint32_t> key;
  for (size_t end = bytes.size(); end > 0; end -= std::min<size_t>(4, end)) {
    uint32_t word = 0;
    for (size_t i = end - std::min<size_t>(4, end); i < end; ++i) word = word << 8 | static_cast<unsigned char>(bytes[i]);
    key.push_back(word);
  }
  while (key.size() > 1 && key.back() == 0) key.pop_back();
  seed_by(key);
}

void PythonRandom::seed_by(const std::vector<uint32_t>& key) {
  // init_by_array of the reference implementation.
  state_[0] = 19650218;
  for (uint32_t i = 1; i < 624; ++i) state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  size_t i = 1, j = 0;
  for (size_t k = 0; k < std::max<size_t>(624, key.size()); ++k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] +
                static_cast<uint32_t>(j);
    if (++i == 624) {
      state_[0] = state_[623];
      i = 1;
    }
    if (++j == key.size()) j = 0;
  }
  for (size_t k = 0; k < 623; ++k) {
    state_[i] =
        (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - static_cast<uint32_t>(i);
    if (++i == 624) {
      state_[0] = state_[623];
      i = 1;
    }
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  for (size_t i = 0; i < 624; ++i) {
    const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % 624] & 0x7FFFFFFFu);
    state_[i] = state_[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908B0DFu : 0u);
  }
  used_ = 0;
}

uint32_t PythonRandom::next() {
  if (used_ == 624) refill();
  uint32_t y = state_[used_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680u;
  y ^= (y << 15) & 0xEFC60000u;
  return y ^ (y >> 18);
}

uint64_t PythonRandom::bits(int bits) {
  const uint64_t low = next();
  if (bits <= 32) return low >> (32 - bits);
  return low | (static_cast<uint64_t>(next() >> (64 - bits)) << 32);
}

uint64_t PythonRandom::below(uint64_t bound) {
  const int width = std::bit_width(bound);
  uint64_t drawn = bits(width);
  while (drawn >= bound) drawn = bits(width);
  return drawn;
}

double PythonRandom::uniform() {
  const uint32_t a = next() >> 5, b = next() >> 6;
  return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

}  // namespace fettle
