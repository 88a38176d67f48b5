#pragma once
// Remembers the ids of stretches of chats: a prompt is encoded by itself and again in its conversation, answers of
// a pair share one prompt, and a server sees a conversation again at every turn.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace fettle {

/// One direct-mapped table per thread, shared by all tokenizers of that thread; at most ten megabytes. Not
/// thread-safe: use StretchCache::mine().
class StretchCache {
 public:
  static constexpr size_t kLeast = 32, kMost = size_t{32} << 10;  ///< bytes of a stretch worth remembering

  static StretchCache& mine() {
    thread_local StretchCache cache;
    return cache;
  }

  /// Where the ids of `stretch`, encoded by the tokenizer with this serial, stand or belong.
  class Place {
   public:
    /// Null when they are not there.
    const std::vector<int32_t>* ids() const {
      return entry_.owner == owner_ && entry_.text == stretch_ ? &entry_.ids : nullptr;
    }
    void store(std::span<const int32_t> ids) {
      entry_.owner = owner_;
      entry_.text.assign(stretch_);
      entry_.ids.assign(ids.begin(), ids.end());
    }

   private:
    friend class StretchCache;
    struct Entry {
      uint32_t owner = 0;
      std::string text;
      std::vector<int32_t> ids;
    };
    Place(Entry& entry, std::string_view stretch, uint32_t owner) : entry_(entry), stretch_(stretch), owner_(owner) {}
    Entry& entry_;
    std::string_view stretch_;
    uint32_t owner_;
  };
  Place place(std::string_view stretch, uint32_t owner) {
    return {entries_[hash64(stretch, owner) % kSlots], stretch, owner};
  }

 private:
  static constexpr size_t kSlots = 64;
  std::vector<Place::Entry> entries_ = std::vector<Place::Entry>(kSlots);
};

}  // namespace fettle
