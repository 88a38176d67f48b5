#pragma once
// Key/value memory of layers with a sliding window: a sequence holds the pages that its next tokens can still see and
// gives the others back. Pages are dealt out and shared as in KvPages, beside which this is used: pages stand at the same
// positions, and the prefix cache knows a page by the entry that KvPages gave the page of the same tokens. Bookkeeping
// alone.
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "generate/kv_pages.h"

namespace fettle {

/// The pages [first, first + pages.size()) of one sequence. Held by the sequence, changed by WindowPages alone.
struct WindowTable {
  int64_t first = 0;
  std::vector<int32_t> pages;
};

/// Not thread-safe.
class WindowPages {
 public:
  WindowPages(int32_t pages, int32_t page_rows, int32_t window);

  int32_t window() const { return window_; }
  int32_t page_count() const { return pool_.size(); }
  int32_t available() const { return pool_.available(); }
  /// Pages with which `sequences` that compute `step_tokens` together never want for one.
  static int64_t enough(int32_t window, int32_t page_rows, int64_t sequences, int64_t step_tokens);

  /// Row of the memory that token `position` has; its page must be held.
  int32_t row(const WindowTable& table, int64_t position) const;

  /// Makes room for the tokens up to `length`. False, and nothing changed, when there are not enough pages.
  bool grow(WindowTable& table, int64_t length);
  /// Gives back the pages that no token from `length` on sees.
  void trim(WindowTable& table, int64_t length);
  /// Makes `branch` (empty) see what a sequence of `length` tokens sees. As KvPages::branch.
  std::optional<KvPages::Copy> branch(const WindowTable& table, WindowTable& branch, int64_t length);
  /// Gives all pages back; the table is empty then.
  void release(WindowTable& table);

  /// Of a beginning whose pages have these entries in KvPages: how many of the pages, at most, a sequence can begin with,
  /// since all that it would see is here.
  int64_t adoptable(std::span<const uint64_t> entries) const;
  /// Fills an empty table for a sequence that begins with these pages; adoptable() said so.
  void adopt(WindowTable& table, std::span<const uint64_t> entries);
  /// Page `index` of the table, if it is still held, is the one of this entry.
  void publish(const WindowTable& table, int64_t index, uint64_t entry);

 private:
  int64_t first_seen(int64_t length) const;  ///< page of the first token that token `length` sees
  int32_t take();
  void forget(int32_t page);

  int32_t page_rows_, window_;
  PagePool pool_;
  std::vector<uint64_t> cached_as_;  ///< each page's entry; 0: not in the prefix cache
  std::unordered_map<uint64_t, int32_t> entries_;
};

}  // namespace fettle
