#pragma once
// Which rows say the same: OpenChat's key, the texts of all turns one after another, without separators or roles, and
// their number.
#include <cstdint>
#include <span>
#include <vector>

#include "data/rows/row_view.h"

namespace fettle::data {

/// XXH3-128 of the joined texts. `texts` is 0 for a row of no known format, which is like no other.
struct TextKey {
  uint64_t high = 0, low = 0;
  int64_t texts = 0;
  bool operator==(const TextKey&) const = default;
};
TextKey text_key(std::span<const TextPart> texts);

/// Remembers the first row of every key, in one flat table of at most 128 bytes a key. Not thread-safe.
class FirstRows {
 public:
  /// The row that `key` came with first: `row` when it is new.
  int64_t first(const TextKey& key, int64_t row);

 private:
  struct Entry {
    TextKey key;  ///< texts is 0 in a free place
    int64_t row = 0;
  };
  Entry& place_of(const TextKey& key);
  void grow();

  std::vector<Entry> entries_ = std::vector<Entry>(1024);  ///< a power of two; at most half is taken
  size_t taken_ = 0;
};

}  // namespace fettle::data
