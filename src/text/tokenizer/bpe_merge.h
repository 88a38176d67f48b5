#pragma once
// The heart of byte-pair encoding: merge the adjacent pair of lowest rank, the leftmost among equals, until
// none is left. (Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword
// Units".)
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fettle {

/// (left, right) -> rank and merged id. Open addressing; built once.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank = kNone;
    int32_t id = -1;
  };
  static constexpr uint32_t kNone = 0xffffffff;

  void reserve(size_t count);
  /// The last entry of a pair stands.
  void insert(int32_t left, int32_t right, Merge merge);
  /// rank == kNone when the pair does not merge. Negative ids never do.
  Merge find(int32_t left, int32_t right) const {
    if (left < 0 || right < 0 || mask_ == 0) return {};
    const uint64_t key = make_key(left, right);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      if (entries_[slot].key == key) return entries_[slot].merge;
      if (entries_[slot].key == kEmpty) return {};
    }
  }
  size_t size() const { return size_; }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Entry {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static uint64_t make_key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const { return (key * 0x9e3779b97f4a7c15ull) >> shift_; }
  void grow(size_t slots);

  std::vector<Entry> entries_;
  size_t mask_ = 0, size_ = 0;
  int shift_ = 64;
};

/// One symbol of a word: a token id (negative: no merges) and its length in source bytes.
struct Symbol {
  int32_t id;
  uint32_t length;
};

/// Merges `symbols` in place. O(n log n) in their number; short words take a quadratic path that is faster
/// for them.
void merge_symbols(const MergeTable& table, std::vector<Symbol>& symbols);

}  // namespace fettle
