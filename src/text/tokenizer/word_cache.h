#pragma once
// Remembers the ids of short words. One direct-mapped table per thread, shared by all tokenizers of that
// thread.
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace fettle {

/// Not thread-safe: use WordCache::mine(). An entry belongs to the tokenizer whose serial it was stored
/// under.
class WordCache {
 public:
  static constexpr size_t kMaxWord = 24, kMaxIds = 7;

  struct Key {
    uint64_t parts[3];
    uint64_t tag;  ///< the hash above, the owner's serial below
    uint16_t length;
  };
  struct Entry {
    uint64_t parts[3] = {};
    uint64_t tag = 0;
    uint16_t length = 0, count = 0;
    int32_t ids[kMaxIds] = {};
  };

  static WordCache& mine() {
    thread_local WordCache cache;
    return cache;
  }
  /// A number for a new tokenizer, never 0 and never used before.
  static uint32_t new_serial();

  /// `word` has 1 to kMaxWord bytes.
  static Key key(std::string_view word, uint32_t serial) {
    Key key;
    const char* text = word.data();
    const size_t size = word.size();
    key.length = static_cast<uint16_t>(size);
    if (size >= 8) {
      key.parts[0] = load(text, 8);
      key.parts[1] = load(text + size - 8, 8);
      key.parts[2] = size > 16 ? load(text + 8, 8) : 0;
    } else {
      key.parts[0] = size >= 4 ? load(text, 4) | load(text + size - 4, 4) << 32
                               : static_cast<uint8_t>(text[0]) |
                                     uint64_t{static_cast<uint8_t>(text[size / 2])} << 8 |
                                     uint64_t{static_cast<uint8_t>(text[size - 1])} << 16;
      key.parts[1] = key.parts[2] = 0;
    }
    uint64_t hash = (key.parts[0] ^ size) * 0x9e3779b97f4a7c15ull;
    hash = (hash ^ hash >> 32 ^ key.parts[1]) * 0xd6e8feb86659fd93ull;
    hash = (hash ^ hash >> 32 ^ key.parts[2] ^ serial) * 0xa0761d6478bd642full;
    hash ^= hash >> 32;
    key.tag = (hash << 32) | serial;
    return key;
  }
  const Entry* find(const Key& key) const {
    const Entry& entry = entries_[slot(key)];
    const bool same = entry.tag == key.tag && entry.length == key.length && entry.parts[0] == key.parts[0] &&
                      entry.parts[1] == key.parts[1] && entry.parts[2] == key.parts[2];
    return same ? &entry : nullptr;
  }
  void store(const Key& key, const int32_t* ids, size_t count) {
    Entry& entry = entries_[slot(key)];
    std::memcpy(entry.parts, key.parts, sizeof entry.parts);
    entry.tag = key.tag;
    entry.length = key.length;
    entry.count = static_cast<uint16_t>(count);
    std::memcpy(entry.ids, ids, count * sizeof *ids);
  }

 private:
  static constexpr size_t kSlots = 1 << 15;
  static uint64_t load(const char* text, size_t size) {
    uint64_t value = 0;
    std::memcpy(&value, text, size);
    return value;
  }
  static size_t slot(const Key& key) { return key.tag >> 32 & (kSlots - 1); }
  std::vector<Entry> entries_ = std::vector<Entry>(kSlots);
};

}  // namespace fettle
