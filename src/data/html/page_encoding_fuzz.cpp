// Any bytes as a page, under any label: its text is valid UTF-8, or the page is refused.
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "data/html/encoding_labels.h"
#include "data/html/page_encoding.h"
#include "data/html/text_encoding.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace data_ = fettle::data;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(bytes.find('\n'), bytes.size());
  const auto label = bytes.substr(0, end), page = bytes.substr(std::min(end + 1, bytes.size()));
  const auto decoded = data_::decode_page(page, label);
  if (!simdjson::validate_utf8(decoded.text.data(), decoded.text.size())) std::abort();
  if (!decoded.problem.empty() && !decoded.text.empty()) std::abort();
  const auto encoding = data_::encoding_of_label(label);
  if (encoding.empty() || encoding == "replacement") return 0;
  const auto text = data_::decode_text(encoding, page).text;
  if (!simdjson::validate_utf8(text.data(), text.size())) std::abort();
  return 0;
}
