#include "data/minhash.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "base/hash.h"
#include "base/random.h"

// The loop over permutations is compiled for wider vectors too, and the loader picks. Sanitizers run before
// such picking works.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define FETTLE_WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FETTLE_WIDEST
#endif

namespace fettle::data {
namespace {

struct Coefficients {
  alignas(64) std::array<uint32_t, permutations> multiply, add;
};

const Coefficients& coefficients(uint64_t seed) {
  static std::mutex mutex;
  static std::map<uint64_t, Coefficients> all;
  const std::lock_guard lock(mutex);
  const auto [found, fresh] = all.try_emplace(seed);
  if (fresh) {
    Random random(seed);
    for (size_t i = 0; i < permutations; ++i) {
      found->second.multiply[i] =
          static_cast<uint32_t>(random()) | 1;  // odd: a permutation of the 32-bit numbers
      found->second.add[i] = static_cast<uint32_t>(random());
    }
  }
  return found->second;
}

/// Eight permutations side by side; a compiler left to itself keeps to one at a time here.
using Lanes = uint32_t __attribute__((vector_size(32)));

FETTLE_WIDEST void lower_all(const uint32_t* shingles, size_t count, const uint32_t* multiply,
                             const uint32_t* add, uint32_t* least) {
  constexpr size_t lanes = 8, held = 4;  // so many vectors of each kind stay in registers over all shingles
  static_assert(permutations % (lanes * held) == 0);
  for (size_t first = 0; first < permutations; first += lanes * held) {
    Lanes m[held], a[held], l[held];
    std::memcpy(m, multiply + first, sizeof m);
    std::memcpy(a, add + first, sizeof a);
    std::memcpy(l, least + first, sizeof l);
    for (size_t s = 0; s < count; ++s) {
#pragma GCC unroll 4
      for (size_t i = 0; i < held; ++i) {
        const Lanes value = m[i] * shingles[s] + a[i];
        l[i] = value < l[i] ? value : l[i];
      }
    }
    std::memcpy(least + first, l, sizeof l);
  }
}

uint64_t mix(uint64_t value) {  // the finaliser of SplitMix64
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

/// Byte by byte from the lowest; the comparisons of std::sort are guessed wrong half of the time.
void sort_numbers(std::vector<uint32_t>& numbers) {
  if (numbers.size() < 64) return std::sort(numbers.begin(), numbers.end());
  thread_local std::vector<uint32_t> other;
  other.resize(numbers.size());
  std::array<std::array<uint32_t, 256>, 4> ends{};
  for (const uint32_t number : numbers) {
    for (size_t byte = 0; byte < 4; ++byte) ++ends[byte][number >> (8 * byte) & 255];
  }
  for (size_t byte = 0; byte < 4; ++byte) {
    uint32_t begin = 0;
    for (auto& end : ends[byte]) begin += std::exchange(end, begin);
    for (const uint32_t number : numbers) other[ends[byte][number >> (8 * byte) & 255]++] = number;
    numbers.swap(other);
  }
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

void Shingler::add(std::string_view text) {
  // A shingle is a polynomial of its words' hashes, so the next one follows from the last: one word comes, one goes.
  constexpr uint64_t base = 0xD1342543DE82EF95u;
  recent_.clear();
  const auto wanted = static_cast<size_t>(words_);
  uint64_t word = 0, shingle = 0, gone = 1;
  for (size_t i = 0; i < wanted; ++i) gone *= base;
  const auto emit = [&] { hashes_.push_back(static_cast<uint32_t>(mix(shingle) >> 32)); };
  bool inside = false;
  const auto end_word = [&] {
    recent_.push_back(mix(word));
    shingle = shingle * base + recent_.back();
    if (recent_.size() > wanted) shingle -= gone * recent_[recent_.size() - wanted - 1];
    word = 0;
    inside = false;
    if (recent_.size() >= wanted) emit();
  };
  for (const char c : text) {
    if (is_space(c)) {
      if (inside) end_word();
      continue;
    }
    inside = true;
    const auto low = static_cast<uint8_t>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    word = (word + low + 1) * 0x9E3779B97F4A7C15u;
    word ^= word >> 29;
  }
  if (inside) end_word();
  if (!recent_.empty() && recent_.size() < wanted) emit();
}

std::vector<uint32_t> Shingler::take() {
  sort_numbers(hashes_);
  hashes_.erase(std::unique(hashes_.begin(), hashes_.end()), hashes_.end());
  return std::exchange(hashes_, {});
}

Signature minhash(std::span<const uint32_t> shingles, uint64_t seed) {
  alignas(64) Signature least;
  least.fill(std::numeric_limits<uint32_t>::max());
  const auto& c = coefficients(seed);
  lower_all(shingles.data(), shingles.size(), c.multiply.data(), c.add.data(), least.data());
  return least;
}

double jaccard(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  size_t i = 0, j = 0, both = 0;
  while (i < a.size() && j < b.size()) {
    both += a[i] == b[j];
    const bool step_a = a[i] <= b[j], step_b = b[j] <= a[i];
    i += step_a;
    j += step_b;
  }
  const size_t either = a.size() + b.size() - both;
  return either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
}

Bands Bands::for_threshold(double threshold) {
  constexpr double wanted = 0.99;
  Bands best{static_cast<int>(permutations), 1};
  for (int rows = 2; rows <= 32; ++rows) {
    const int bands = static_cast<int>(permutations) / rows;
    if (1 - std::pow(1 - std::pow(threshold, rows), bands) >= wanted) best = {bands, rows};
  }
  return best;
}

uint32_t Bands::hash(const Signature& signature, int band) const {
  const auto* first = signature.data() + static_cast<size_t>(band) * static_cast<size_t>(rows);
  return static_cast<uint32_t>(hash64({reinterpret_cast<const char*>(first), static_cast<size_t>(rows) * 4},
                                      static_cast<uint64_t>(band)));
}

}  // namespace fettle::data
