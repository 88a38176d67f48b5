#pragma once
// Random numbers that are a pure function of (seed, stream, counter): no state to save, same on every machine.
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace fettle {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t stream, uint64_t counter) {
  std::array<uint32_t, 4> c{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
                            static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

/// A sequence drawn from one (seed, stream). Its whole state is `counter`, so it can be saved and resumed. Satisfies
/// UniformRandomBitGenerator, but prefer the members: the standard distributions differ between libraries.
class Random {
 public:
  using result_type = uint64_t;
  __extension__ using Wide = unsigned __int128;
  explicit Random(uint64_t seed, uint64_t stream = 0, uint64_t counter = 0)
      : seed_(seed), stream_(stream), counter_(counter) {}
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }
  uint64_t operator()() {
    const auto words = philox(seed_, stream_, counter_++);
    return (static_cast<uint64_t>(words[1]) << 32) | words[0];
  }
  /// Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }
  /// Uniform in [0, bound), without modulo bias worth speaking of (64-bit multiply-shift). bound > 0.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<Wide>((*this)()) * bound) >> 64);
  }
  /// Standard normal (Box–Muller, one of the pair).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }
  uint64_t counter() const { return counter_; }

 private:
  uint64_t seed_, stream_, counter_;
};

/// Fisher–Yates.
template <typename T>
void shuffle(std::vector<T>& values, Random& random) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

}  // namespace fettle
