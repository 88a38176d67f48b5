#include "generate/kv_pages.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"

namespace fettle {
namespace {

/// Salts are parents of a chain's first page; entries begin above them.
constexpr uint64_t first_entry = uint64_t{1} << 32;

std::span<const int32_t> page_tokens(std::span<const int32_t> tokens, int64_t page, int32_t rows) {
  return tokens.subspan(static_cast<size_t>(page * rows), static_cast<size_t>(rows));
}

}  // namespace

KvPages::KvPages(int32_t pages, int32_t page_rows, bool prefix_cache)
    : page_rows_(page_rows),
      prefix_cache_(prefix_cache),
      pool_(pages),
      info_(static_cast<size_t>(pages)),
      next_entry_(first_entry) {
  FETTLE_CHECK(page_rows > 0);
}

uint64_t KvPages::hash_of(uint64_t parent, std::span<const int32_t> tokens) {
  return hash64({reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()}, parent);
}

int32_t KvPages::find(uint64_t parent, std::span<const int32_t> tokens) const {
  const auto [begin, end] = entries_.equal_range(hash_of(parent, tokens));
  for (auto i = begin; i != end; ++i) {
    const Page& page = info_[static_cast<size_t>(i->second)];
    if (page.parent == parent && std::ranges::equal(page.tokens, tokens)) return i->second;
  }
  return -1;
}

void KvPages::forget(int32_t index) {
  Page& page = info_[static_cast<size_t>(index)];
  const auto [begin, end] = entries_.equal_range(page.hash);
  const auto entry = std::find_if(begin, end, [&](const auto& e) { return e.second == index; });
  FETTLE_CHECK(entry != end);
  entries_.erase(entry);
  page.entry = 0;
  page.tokens.clear();
  pool_.leave_cache(index);
}

int32_t KvPages::take() {
  return pool_.take([this](int32_t page) { forget(page); });
}

int64_t KvPages::adopt(PageTable& table, uint64_t salt, std::span<const int32_t> tokens) {
  FETTLE_CHECK(table.pages.empty() && salt < first_entry);
  table.chain = salt;
  if (!prefix_cache_) return 0;
  const auto whole = (static_cast<int64_t>(tokens.size()) - 1) / page_rows_;
  for (int64_t i = 0; i < whole; ++i) {
    const int32_t page = find(table.chain, page_tokens(tokens, i, page_rows_));
    if (page < 0) break;
    pool_.hold(page);
    table.pages.push_back(page);
    table.chain = info_[static_cast<size_t>(page)].entry;
    table.entries.push_back(table.chain);
  }
  table.published = static_cast<int64_t>(table.pages.size());
  table.length = table.published * page_rows_;
  return table.length;
}

void KvPages::adopt_fewer(PageTable& table, int64_t count) {
  FETTLE_CHECK(count >= 0 && count <= table.published && table.length == table.published * page_rows_);
  if (count == table.published) return;
  while (static_cast<int64_t>(table.pages.size()) > count) {
    pool_.let_go(table.pages.back());
    table.pages.pop_back();
  }
  table.entries.resize(static_cast<size_t>(count));
  // publish() begins a chain without pages with its salt.
  if (count > 0) table.chain = table.entries.back();
  table.published = count;
  table.length = count * page_rows_;
}

bool KvPages::grow(PageTable& table, int64_t length) {
  const auto missing = pages_for(length) - static_cast<int32_t>(table.pages.size());
  if (missing > available()) return false;
  for (int32_t i = 0; i < missing; ++i) table.pages.push_back(take());
  return true;
}

void KvPages::publish(PageTable& table, uint64_t salt, std::span<const int32_t> tokens) {
  if (!prefix_cache_) return;
  if (table.published == 0) table.chain = salt;
  for (; (table.published + 1) * page_rows_ <= table.length; ++table.published) {
    const auto content = page_tokens(tokens, table.published, page_rows_);
    const int32_t index = table.pages[static_cast<size_t>(table.published)];
    const int32_t twin = find(table.chain, content);
    if (twin >= 0) {
      // Two sequences computed the same page side by side; the first to be entered is the one that others
      // will share.
      table.chain = info_[static_cast<size_t>(twin)].entry;
      table.entries.push_back(table.chain);
      continue;
    }
    Page& page = info_[static_cast<size_t>(index)];
    page.entry = next_entry_++;
    page.parent = table.chain;
    page.hash = hash_of(table.chain, content);
    page.tokens.assign(content.begin(), content.end());
    entries_.emplace(page.hash, index);
    pool_.enter_cache(index);
    table.chain = page.entry;
    table.entries.push_back(table.chain);
  }
}

std::optional<KvPages::Copy> KvPages::branch(const PageTable& table, PageTable& branch) {
  FETTLE_CHECK(branch.pages.empty());
  const auto whole = static_cast<size_t>(table.length / page_rows_);
  const auto rest = static_cast<int32_t>(table.length % page_rows_);
  if (rest > 0 && available() == 0) return std::nullopt;
  branch = table;
  branch.pages.resize(whole);
  for (const int32_t page : branch.pages) pool_.hold(page);
  if (rest == 0) return Copy{};
  branch.pages.push_back(take());
  return Copy{table.pages[whole] * page_rows_, branch.pages.back() * page_rows_, rest};
}

void KvPages::release(PageTable& table) {
  for (size_t i = table.pages.size(); i-- > 0;) pool_.let_go(table.pages[i]);
  table = {};
}

}  // namespace fettle
