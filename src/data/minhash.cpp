#include "data/minhash.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

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

FETTLE_WIDEST void lower_all(const uint32_t* shingles, size_t count, const uint32_t* multiply,
                             const uint32_t* add, uint32_t* least) {
  for (size_t s = 0; s < count; ++s) {
    const uint32_t shingle = shingles[s];
    for (size_t i = 0; i < permutations; ++i) {
      const uint32_t value = multiply[i] * shingle + add[i];
      least[i] = value < least[i] ? value : least[i];
    }
  }
}

uint64_t mix(uint64_t value) {  // the finaliser of SplitMix64
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

void Shingler::add(std::string_view text) {
  recent_.clear();
  const auto emit = [&](size_t from) {
    uint64_t hash = 0;
    for (size_t i = from; i < recent_.size(); ++i) hash = mix(hash + recent_[i]);
    hashes_.push_back(static_cast<uint32_t>(hash >> 32));
  };
  const auto wanted = static_cast<size_t>(words_);
  uint64_t word = 0;
  bool inside = false;
  const auto end_word = [&] {
    recent_.push_back(mix(word));
    word = 0;
    inside = false;
    if (recent_.size() >= wanted) emit(recent_.size() - wanted);
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
  if (!recent_.empty() && recent_.size() < wanted) emit(0);
}

std::vector<uint32_t> Shingler::take() {
  std::sort(hashes_.begin(), hashes_.end());
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
