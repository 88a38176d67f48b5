#include "data/rows/text_key.h"

#include <xxhash.h>

#include <memory>
#include <utility>

namespace fettle::data {

TextKey text_key(std::span<const TextPart> texts) {
  XXH128_hash_t hash;
  if (texts.size() == 1) {
    hash = XXH3_128bits(texts[0].text.data(), texts[0].text.size());
  } else {
    thread_local const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
    if (!state) throw std::bad_alloc();
    XXH3_128bits_reset(state.get());
    for (const auto& part : texts) XXH3_128bits_update(state.get(), part.text.data(), part.text.size());
    hash = XXH3_128bits_digest(state.get());
  }
  return {hash.high64, hash.low64, static_cast<int64_t>(texts.size())};
}

FirstRows::Entry& FirstRows::place_of(const TextKey& key) {
  const size_t mask = entries_.size() - 1;
  size_t at = key.low & mask;
  while (entries_[at].key.texts != 0 && entries_[at].key != key) at = (at + 1) & mask;
  return entries_[at];
}

void FirstRows::grow() {
  std::vector<Entry> old(2 * entries_.size());
  old.swap(entries_);
  for (const auto& entry : old) {
    if (entry.key.texts != 0) place_of(entry.key) = entry;
  }
}

int64_t FirstRows::first(const TextKey& key, int64_t row) {
  Entry* entry = &place_of(key);
  if (entry->key.texts != 0) return entry->row;
  if (2 * ++taken_ > entries_.size()) {
    grow();
    entry = &place_of(key);
  }
  *entry = {key, row};
  return row;
}

}  // namespace fettle::data
