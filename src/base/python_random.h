#pragma once
// Python's `random` module, draw for draw: published data sets were split, shuffled and paired with it.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle {

/// MT19937 (Matsumoto and Nishimura, 1998) seeded as `random.seed(n)` does for an integer n >= 0. Not
/// thread-safe.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);
  /// As `random.seed(text)` does (version 2) for the UTF-8 bytes of a text.
  explicit PythonRandom(std::string_view seed);
  /// getrandbits(bits), 1 <= bits <= 64.
  uint64_t bits(int bits);
  /// _randbelow(bound): what choice, shuffle and randrange draw with. bound > 0.
  uint64_t below(uint64_t bound);
  /// random(): 53 bits in [0, 1).
  double uniform();
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  void seed_by(const std::vector<uint32_t>& key);
  uint32_t next();
  void refill();
  std::array<uint32_t, 624> state_{};
  size_t used_ = 624;
};

}  // namespace fettle
