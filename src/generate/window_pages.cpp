#include "generate/window_pages.h"

#include <algorithm>

#include "base/error.h"

namespace fettle {

WindowPages::WindowPages(int32_t pages, int32_t page_rows, int32_t window)
    : page_rows_(page_rows), window_(window), info_(static_cast<size_t>(pages)) {
  FETTLE_CHECK(pages > 0 && page_rows > 0 && window > 0);
  free_.reserve(info_.size());
  for (int32_t page = pages; page-- > 0;) free_.push_back(page);
}

int64_t WindowPages::enough(int32_t window, int32_t page_rows, int64_t sequences, int64_t step_tokens) {
  // A window lies in one page more than fill it, a branch copies one, and what a step adds begins and ends inside pages.
  const int64_t each = window / page_rows + 4;
  return sequences * each + step_tokens / page_rows + 1;
}

int64_t WindowPages::first_seen(int64_t length) const {
  return std::max<int64_t>(0, length - window_ + 1) / page_rows_;
}

int32_t WindowPages::row(const WindowTable& table, int64_t position) const {
  const int64_t index = position / page_rows_ - table.first;
  FETTLE_CHECK(index >= 0 && index < static_cast<int64_t>(table.pages.size()));
  return table.pages[static_cast<size_t>(index)] * page_rows_ + static_cast<int32_t>(position % page_rows_);
}

void WindowPages::hold(int32_t index) {
  Page& page = info_[static_cast<size_t>(index)];
  if (page.references++ == 0 && page.entry != 0) idle_.erase(page.idle);
}

void WindowPages::let_go(int32_t index) {
  Page& page = info_[static_cast<size_t>(index)];
  FETTLE_CHECK(page.references > 0);
  if (--page.references > 0) return;
  if (page.entry != 0) {
    page.idle = idle_.insert(idle_.end(), index);
  } else {
    free_.push_back(index);
  }
}

void WindowPages::forget(int32_t index) {
  Page& page = info_[static_cast<size_t>(index)];
  entries_.erase(page.entry);
  page.entry = 0;
}

int32_t WindowPages::take() {
  if (free_.empty()) {
    const int32_t oldest = idle_.front();
    idle_.pop_front();
    forget(oldest);
    free_.push_back(oldest);
  }
  const int32_t page = free_.back();
  free_.pop_back();
  info_[static_cast<size_t>(page)].references = 1;
  return page;
}

bool WindowPages::grow(WindowTable& table, int64_t length) {
  const int64_t wanted = (length + page_rows_ - 1) / page_rows_;
  const int64_t missing = wanted - table.first - static_cast<int64_t>(table.pages.size());
  if (missing > available()) return false;
  for (int64_t i = 0; i < missing; ++i) table.pages.push_back(take());
  return true;
}

void WindowPages::trim(WindowTable& table, int64_t length) {
  const auto gone = std::clamp<int64_t>(first_seen(length) - table.first, 0, static_cast<int64_t>(table.pages.size()));
  for (int64_t i = 0; i < gone; ++i) let_go(table.pages[static_cast<size_t>(i)]);
  table.pages.erase(table.pages.begin(), table.pages.begin() + gone);
  table.first += gone;
}

std::optional<KvPages::Copy> WindowPages::branch(const WindowTable& table, WindowTable& branch, int64_t length) {
  FETTLE_CHECK(branch.pages.empty());
  const auto rest = static_cast<int32_t>(length % page_rows_);
  if (rest > 0 && available() == 0) return std::nullopt;
  branch = table;
  const int64_t whole = std::max<int64_t>(0, length / page_rows_ - table.first);
  branch.pages.resize(static_cast<size_t>(whole));
  for (const int32_t page : branch.pages) hold(page);
  if (rest == 0) return KvPages::Copy{};
  branch.pages.push_back(take());
  return KvPages::Copy{table.pages[static_cast<size_t>(whole)] * page_rows_, branch.pages.back() * page_rows_, rest};
}

void WindowPages::release(WindowTable& table) {
  for (size_t i = table.pages.size(); i-- > 0;) let_go(table.pages[i]);
  table = {};
}

int64_t WindowPages::adoptable(std::span<const uint64_t> entries) const {
  for (auto count = static_cast<int64_t>(entries.size()); count > 0; --count) {
    const auto seen = entries.subspan(static_cast<size_t>(first_seen(count * page_rows_)));
    const auto used = seen.first(static_cast<size_t>(count - first_seen(count * page_rows_)));
    if (std::ranges::all_of(used, [&](uint64_t entry) { return entries_.count(entry) != 0; })) return count;
  }
  return 0;
}

void WindowPages::adopt(WindowTable& table, std::span<const uint64_t> entries) {
  FETTLE_CHECK(table.pages.empty());
  table.first = first_seen(static_cast<int64_t>(entries.size()) * page_rows_);
  for (const uint64_t entry : entries.subspan(static_cast<size_t>(table.first))) {
    const int32_t page = entries_.at(entry);
    hold(page);
    table.pages.push_back(page);
  }
}

void WindowPages::publish(const WindowTable& table, int64_t index, uint64_t entry) {
  const int64_t at = index - table.first;
  if (at < 0 || at >= static_cast<int64_t>(table.pages.size()) || entries_.count(entry) != 0) return;
  const int32_t page = table.pages[static_cast<size_t>(at)];
  if (info_[static_cast<size_t>(page)].entry != 0) return;
  info_[static_cast<size_t>(page)].entry = entry;
  entries_.emplace(entry, page);
}

void WindowPages::drop_cache() {
  for (size_t i = 0; i < info_.size(); ++i) {
    if (info_[i].entry != 0) forget(static_cast<int32_t>(i));
  }
  free_.insert(free_.end(), idle_.begin(), idle_.end());
  idle_.clear();
}

}  // namespace fettle
