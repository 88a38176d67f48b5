// Any bytes as HTML: both parsers and converters must read it or refuse it with an Error, and a clean text
// stays valid.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "data/clean.h"
#include "data/html_markdown.h"
#include "data/segment.h"
#include "data/tag_soup.h"
#include "data/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  namespace data = fettle::data;
  const std::string html = data::replace_invalid_utf8({reinterpret_cast<const char*>(bytes), size});
  for (const auto blocks : {data::CodeBlocks::repaired, data::CodeBlocks::upstream}) {
    try {
      data::sharegpt_to_markdown(html, blocks);
    } catch (const data::SoupError&) {
    }
  }
  try {
    const std::string text = data::html_to_markdown(html);
    if (data::replace_invalid_utf8(text) != text) std::abort();
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
