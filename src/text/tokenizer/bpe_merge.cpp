#include "text/tokenizer/bpe_merge.h"

#include <algorithm>
#include <bit>
#include <queue>

namespace fettle {

void MergeTable::grow(size_t slots) {
  std::vector<Entry> old(slots);
  old.swap(entries_);
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
  for (const Entry& entry : old) {
    if (entry.key == kEmpty) continue;
    size_t slot = slot_of(entry.key);
    while (entries_[slot].key != kEmpty) slot = (slot + 1) & mask_;
    entries_[slot] = entry;
  }
}

void MergeTable::reserve(size_t count) {
  const size_t slots = std::bit_ceil(std::max<size_t>(16, count * 2 + 2));
  if (slots > entries_.size()) grow(slots);
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  reserve(size_ + 1);
  const uint64_t key = make_key(left, right);
  size_t slot = slot_of(key);
  while (entries_[slot].key != kEmpty && entries_[slot].key != key) slot = (slot + 1) & mask_;
  if (entries_[slot].key == kEmpty) ++size_;
  entries_[slot] = {key, merge};
}

namespace {

using Merge = MergeTable::Merge;

/// Up to this many symbols, scanning all ranks beats a heap.
constexpr size_t kShort = 48;

void merge_short(const MergeTable& table, std::vector<Symbol>& symbols) {
  Merge merges[kShort];
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = table.find(symbols[i].id, symbols[i + 1].id);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == MergeTable::kNone) break;
    symbols[best] = {merges[best].id, symbols[best].length + symbols[best + 1].length};
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<std::ptrdiff_t>(count),
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(merges + best + 1, merges + count - 1, merges + best);
    --count;
    if (best + 1 < count) merges[best] = table.find(symbols[best].id, symbols[best + 1].id);
    if (best > 0) merges[best - 1] = table.find(symbols[best - 1].id, symbols[best].id);
  }
  symbols.resize(count);
}

/// A doubly linked list over the symbols and a heap of candidate merges; a candidate that its neighbours have
/// overtaken no longer finds its rank and is dropped when it comes up.
void merge_long(const MergeTable& table, std::vector<Symbol>& symbols) {
  constexpr uint32_t none = 0xffffffff;
  const auto count = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(count), before(count);
  for (uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? i + 1 : none;
    before[i] = i > 0 ? i - 1 : none;
  }
  std::vector<uint64_t> storage;
  storage.reserve(count);
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap(std::greater<>(),
                                                                            std::move(storage));
  const auto offer = [&](uint32_t left) {
    if (left == none || next[left] == none) return;
    const Merge merge = table.find(symbols[left].id, symbols[next[left]].id);
    if (merge.rank != MergeTable::kNone) heap.push(uint64_t{merge.rank} << 32 | left);
  };
  for (uint32_t i = 0; i < count; ++i) offer(i);
  while (!heap.empty()) {
    const auto left = static_cast<uint32_t>(heap.top());
    const auto rank = static_cast<uint32_t>(heap.top() >> 32);
    heap.pop();
    const uint32_t right = next[left];
    if (symbols[left].length == 0 || right == none) continue;
    const Merge merge = table.find(symbols[left].id, symbols[right].id);
    if (merge.rank != rank) continue;
    symbols[left] = {merge.id, symbols[left].length + symbols[right].length};
    symbols[right].length = 0;
    next[left] = next[right];
    if (next[left] != none) before[next[left]] = left;
    offer(before[left]);
    offer(left);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.length == 0; });
}

}  // namespace

void merge_symbols(const MergeTable& table, std::vector<Symbol>& symbols) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShort) {
    merge_short(table, symbols);
  } else {
    merge_long(table, symbols);
  }
}

}  // namespace fettle
