#include "data/signals/text_quality.h"

#include <utf8proc.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "base/hash.h"
#include "base/white_space.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

bool is_symbol(utf8proc_int32_t point) {
  switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
      return true;
    default:
      return false;
  }
}

}  // namespace

double repeated_share(std::string_view text, int words) {
  std::vector<uint64_t> hashes;
  std::string word;
  for (size_t at = 0; at <= text.size(); ++at) {
    if (at < text.size() && !is_space(text[at])) {
      word += text[at] >= 'A' && text[at] <= 'Z' ? static_cast<char>(text[at] + 32) : text[at];
    } else if (!word.empty()) {
      hashes.push_back(hash64(word));
      word.clear();
    }
  }
  const auto count = static_cast<size_t>(words);
  if (hashes.size() <= count) return 0;
  std::unordered_set<uint64_t> seen;
  size_t repeated = 0;
  const size_t runs = hashes.size() - count + 1;
  for (size_t i = 0; i < runs; ++i) {
    const std::string_view run(reinterpret_cast<const char*>(hashes.data() + i), count * sizeof(uint64_t));
    repeated += !seen.insert(hash64(run)).second;
  }
  return static_cast<double>(repeated) / static_cast<double>(runs);
}

double symbol_share(std::string_view text) {
  int64_t symbols = 0, all = 0;
  for (size_t at = 0; at < text.size();) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    utf8proc_int32_t point = 0;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                         static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    ++all;
    symbols += length <= 0 || is_symbol(point);
    at += length <= 0 ? 1 : static_cast<size_t>(length);
  }
  return all == 0 ? 0 : static_cast<double>(symbols) / static_cast<double>(all);
}

double non_ascii_share(std::string_view text) {
  const int64_t all = unicode::count_characters(text);
  const auto ascii = std::count_if(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
  return all == 0 ? 0 : static_cast<double>(all - ascii) / static_cast<double>(all);
}

int64_t longest_digit_run(std::string_view text) {
  int64_t longest = 0, run = 0;
  char last = 0;
  for (const char c : text) {
    run = c >= '0' && c <= '9' ? (c == last ? run + 1 : 1) : 0;
    longest = std::max(longest, run);
    last = c;
  }
  return longest;
}

}  // namespace fettle::data
