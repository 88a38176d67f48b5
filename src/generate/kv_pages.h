#pragma once
// Which rows of the key/value memory belong to whom. Rows are dealt out in pages of a fixed number of tokens:
// token p of a sequence lies in page p / page_rows of its table, row p % page_rows. Whole pages can belong to
// many sequences at once (reference counts); a page that is only partly full has one owner, so a sequence
// that branches off inside a page gets a copy of it (copy on write). Bookkeeping alone: the keys and values
// themselves are never touched here.
//
// Prefix cache: a whole page whose tokens are known is entered under (its predecessor's entry, its tokens),
// so that a later sequence finds it when everything before it is the same too. Entries compare tokens, not
// only hashes. Pages that nobody holds keep their content until the memory is needed; the least recently used
// goes first, and ends of a chain before its beginning.
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "generate/page_pool.h"

namespace fettle {

/// The pages of one sequence. Held by the sequence, changed by KvPages alone.
struct PageTable {
  std::vector<int32_t> pages;
  int64_t length = 0;  ///< tokens whose keys and values are (or are about to be) in the pages

  int64_t published = 0;  ///< first pages that are in the prefix cache
  std::vector<uint64_t> entries;  ///< of these pages, or of others with the same tokens behind the same beginning
  uint64_t chain = 0;     ///< entry of the last of them
};

/// Not thread-safe.
class KvPages {
 public:
  KvPages(int32_t pages, int32_t page_rows, bool prefix_cache);

  int32_t page_rows() const { return page_rows_; }
  int32_t page_count() const { return pool_.size(); }
  /// Pages that grow() could deal out now; those that only the prefix cache holds included.
  int32_t available() const { return pool_.available(); }
  int32_t cached() const { return pool_.idle(); }
  int32_t pages_for(int64_t tokens) const {
    return static_cast<int32_t>((tokens + page_rows_ - 1) / page_rows_);
  }

  /// Row of the memory that token `position` of the sequence has.
  int32_t row(const PageTable& table, int64_t position) const {
    return table.pages[static_cast<size_t>(position / page_rows_)] * page_rows_ +
           static_cast<int32_t>(position % page_rows_);
  }

  /// Fills an empty table with cached pages that hold a beginning of `tokens`, but never all of them: at
  /// least one token is left to compute. `salt` separates what must not be shared (adapters). Returns
  /// table.length.
  int64_t adopt(PageTable& table, uint64_t salt, std::span<const int32_t> tokens);
  /// Gives back all but the first `count` pages of a table that adopt() filled.
  void adopt_fewer(PageTable& table, int64_t count);
  /// Makes room for `length` tokens in all. False, and nothing changed, when there are not enough pages. Does
  /// not set length.
  bool grow(PageTable& table, int64_t length);
  /// Enters the whole pages of `table` into the prefix cache; `tokens` are at least the sequence's first
  /// table.length.
  void publish(PageTable& table, uint64_t salt, std::span<const int32_t> tokens);

  /// Rows to copy, in both key and value memory of every layer.
  struct Copy {
    int32_t from_row = 0, to_row = 0, rows = 0;
  };
  /// Makes `branch` (empty) see the same tokens as `table`. Nothing when there is no page for the copy; rows
  /// == 0 when none is needed.
  std::optional<Copy> branch(const PageTable& table, PageTable& branch);

  /// Gives all pages back; the table is empty then.
  void release(PageTable& table);

 private:
  struct Page {
    uint64_t entry = 0;  ///< 0: not in the prefix cache
    uint64_t parent = 0;
    uint64_t hash = 0;
    std::vector<int32_t> tokens;
  };
  static uint64_t hash_of(uint64_t parent, std::span<const int32_t> tokens);
  int32_t find(uint64_t parent, std::span<const int32_t> tokens) const;  ///< -1: none
  int32_t take();
  void forget(int32_t page);

  int32_t page_rows_;
  bool prefix_cache_;
  PagePool pool_;
  std::vector<Page> info_;
  std::unordered_multimap<uint64_t, int32_t> entries_;
  uint64_t next_entry_;
};

}  // namespace fettle
