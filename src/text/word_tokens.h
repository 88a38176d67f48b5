#pragma once
// The tokens of a vocabulary by the word that they spell.
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "text/word_cache.h"

namespace fettle {

/// Most words of a text are a token of their own: finding that takes one line of memory, merging them takes several a
/// letter. find() is safe to call from many threads, add() is not.
class WordTokens {
 public:
  struct Entry {
    uint64_t parts[3] = {};
    int32_t id = -1;
    uint8_t length = 0;
    /// Whether merging is known to make the word this token, which need not be so.
    bool is_merged() const { return merged_.load(std::memory_order_relaxed); }
    void set_merged() const { merged_.store(true, std::memory_order_relaxed); }

   private:
    mutable std::atomic<bool> merged_ = false;
  };

  /// For up to `most` tokens.
  explicit WordTokens(size_t most) : entries_(std::bit_ceil(most + most / 4 + 2)) {}

  /// No two tokens spell the same word.
  void add(const WordCache::Key& key, int32_t id) {
    Entry& entry = entries_[place(key)];
    std::memcpy(entry.parts, key.parts, sizeof entry.parts);
    entry.id = id;
    entry.length = static_cast<uint8_t>(key.length);
  }
  /// Null when no token spells the word.
  const Entry* find(const WordCache::Key& key) const {
    const Entry& entry = entries_[place(key)];
    return entry.id >= 0 ? &entry : nullptr;
  }

 private:
  /// Where the word stands, or would.
  size_t place(const WordCache::Key& key) const {
    const auto is_other = [&](const Entry& entry) {
      return entry.id >= 0 && (entry.length != key.length || std::memcmp(entry.parts, key.parts, sizeof entry.parts) != 0);
    };
    size_t at = (key.tag >> 32) & (entries_.size() - 1);
    while (is_other(entries_[at])) at = (at + 1) & (entries_.size() - 1);
    return at;
  }
  std::vector<Entry> entries_;
};

}  // namespace fettle
