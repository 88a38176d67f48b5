#include "generate/window_pages.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace fettle {

WindowPages::WindowPages(int32_t pages, int32_t page_rows, int32_t window)
    : page_rows_(page_rows), window_(window), pool_(pages), cached_as_(static_cast<size_t>(pages)) {
  FETTLE_CHECK(page_rows > 0 && window > 0);
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

void WindowPages::forget(int32_t page) {
  entries_.erase(std::exchange(cached_as_[static_cast<size_t>(page)], 0));
  pool_.leave_cache(page);
}

int32_t WindowPages::take() {
  return pool_.take([this](int32_t page) { forget(page); });
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
  for (int64_t i = 0; i < gone; ++i) pool_.let_go(table.pages[static_cast<size_t>(i)]);
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
  for (const int32_t page : branch.pages) pool_.hold(page);
  if (rest == 0) return KvPages::Copy{};
  branch.pages.push_back(take());
  return KvPages::Copy{table.pages[static_cast<size_t>(whole)] * page_rows_, branch.pages.back() * page_rows_, rest};
}

void WindowPages::release(WindowTable& table) {
  for (size_t i = table.pages.size(); i-- > 0;) pool_.let_go(table.pages[i]);
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
    pool_.hold(page);
    table.pages.push_back(page);
  }
}

void WindowPages::publish(const WindowTable& table, int64_t index, uint64_t entry) {
  const int64_t at = index - table.first;
  if (at < 0 || at >= static_cast<int64_t>(table.pages.size()) || entries_.count(entry) != 0) return;
  const int32_t page = table.pages[static_cast<size_t>(at)];
  if (cached_as_[static_cast<size_t>(page)] != 0) return;
  cached_as_[static_cast<size_t>(page)] = entry;
  entries_.emplace(entry, page);
  pool_.enter_cache(page);
}

}  // namespace fettle
