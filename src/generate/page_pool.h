#pragma once
// Pages that sequences share by reference counts, and that a prefix cache may keep when nobody holds them: the bookkeeping
// under KvPages and WindowPages.
#include <cstdint>
#include <list>
#include <vector>

#include "base/error.h"

namespace fettle {

/// A page is free, held, or idle: in the cache, with nobody who holds it. Not thread-safe.
class PagePool {
 public:
  explicit PagePool(int32_t pages) : pages_(static_cast<size_t>(pages)) {
    FETTLE_CHECK(pages > 0);
    free_.reserve(pages_.size());
    // Taken from the back: a lone sequence gets ascending rows, which attention reads fastest.
    for (int32_t page = pages; page-- > 0;) free_.push_back(page);
  }

  int32_t size() const { return static_cast<int32_t>(pages_.size()); }
  int32_t idle() const { return static_cast<int32_t>(idle_.size()); }
  /// Free or idle ones.
  int32_t available() const { return static_cast<int32_t>(free_.size()) + idle(); }

  /// A page with one holder; there must be one available. Where none is free, `forget(page)` takes the idle one that was
  /// used longest ago out of the cache, and calls leave_cache() for it.
  template <typename Forget>
  int32_t take(const Forget& forget) {
    if (free_.empty()) {
      FETTLE_CHECK(!idle_.empty());
      forget(idle_.front());
    }
    const int32_t page = free_.back();
    free_.pop_back();
    at(page).references = 1;
    return page;
  }
  void hold(int32_t page) {
    Page& one = at(page);
    if (one.references++ == 0 && one.is_cached) idle_.erase(one.idle);
  }
  void let_go(int32_t page) {
    Page& one = at(page);
    FETTLE_CHECK(one.references > 0);
    if (--one.references > 0) return;
    if (one.is_cached) {
      one.idle = idle_.insert(idle_.end(), page);
    } else {
      free_.push_back(page);
    }
  }
  /// For a page that somebody holds.
  void enter_cache(int32_t page) {
    FETTLE_CHECK(at(page).references > 0);
    at(page).is_cached = true;
  }
  void leave_cache(int32_t page) {
    Page& one = at(page);
    FETTLE_CHECK(one.is_cached);
    one.is_cached = false;
    if (one.references > 0) return;
    idle_.erase(one.idle);
    free_.push_back(page);
  }

 private:
  struct Page {
    int32_t references = 0;
    bool is_cached = false;
    std::list<int32_t>::iterator idle;  ///< valid for idle ones
  };
  Page& at(int32_t page) { return pages_[static_cast<size_t>(page)]; }

  std::vector<Page> pages_;
  std::vector<int32_t> free_;
  std::list<int32_t> idle_;  ///< least recently used first
};

}  // namespace fettle
