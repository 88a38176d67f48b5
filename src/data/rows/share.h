#pragma once
// Which share of the rows a weight takes: by hash, so that a row's fate never depends on the others.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/hash.h"

namespace fettle::data {

/// A place in [0, 1), uniform over keys.
inline double hash_place(std::string_view key, uint64_t seed) {
  return static_cast<double>(hash64(key, seed) >> 11) * 0x1.0p-53;
}

/// How often a row of a source with this weight comes: its whole part, and once more for a share of the ids.
inline int64_t copies_of(double weight, std::string_view id, uint64_t seed) {
  const double whole = std::floor(weight);
  return static_cast<int64_t>(whole) + (hash_place(id, seed) < weight - whole ? 1 : 0);
}

}  // namespace fettle::data
