// Any bytes as a web archive: it ends, whatever the lengths say, and pages do not depend on how the bytes
// were cut into pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "data/html/warc.h"

namespace {

std::vector<std::string> pages_of(std::string_view bytes, size_t step) {
  std::vector<std::string> pages;
  fettle::data::WarcReader reader(
      [&](char* to, size_t size) {
        const size_t piece = std::min({size, step, bytes.size()});
        std::memcpy(to, bytes.data(), piece);
        bytes.remove_prefix(piece);
        return piece;
      },
      [](const std::string&, const std::string&) {}, 1 << 20);
  fettle::data::WarcPage page;
  while (reader.next(page)) pages.push_back(page.address + "|" + page.charset + "|" + page.body);
  return pages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (pages_of(bytes, size) != pages_of(bytes, 1 + data[0] % 7)) std::abort();
  return 0;
}
