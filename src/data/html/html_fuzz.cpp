// Any bytes as HTML: both parsers and converters must read it or refuse it with an Error, and a clean text
// stays valid.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "data/html/markdown.h"
#include "data/html/segment.h"
#include "data/openchat/clean.h"
#include "data/openchat/tag_soup.h"
#include "text/unicode/unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  namespace data = fettle::data;
  const std::string html = fettle::unicode::lossy({reinterpret_cast<const char*>(bytes), size});
  for (const auto blocks : {data::CodeBlocks::repaired, data::CodeBlocks::upstream}) {
    try {
      data::sharegpt_to_markdown(html, blocks);
    } catch (const data::SoupError&) {
    }
  }
  try {
    const std::string text = data::html_to_markdown(html);
    if (fettle::unicode::lossy(text) != text) std::abort();
  } catch (const fettle::Error&) {
  }
  data::Page page;
  page.text = html;
  data::PageVerdict cleaned, segments;
  data::clean_page(page, {}, cleaned);
  if (cleaned.made.size() + cleaned.dropped.size() != 1) std::abort();
  data::segment_page(page, {}, segments);
  if (segments.made.size() + segments.dropped.size() == 0) std::abort();
  return 0;
}
