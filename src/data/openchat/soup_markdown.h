#pragma once
// HTML to Markdown byte for byte as markdownify 0.11.6 with its default options makes it.
#include <string>
#include <string_view>

namespace fettle::data {

/// Throws SoupError where Python raises an exception (see TagSoup; also a list that starts at what is no
/// number). `html` is UTF-8; the result may hold lone surrogates as three bytes each. Thread-safe.
std::string soup_to_markdown(std::string_view html);

}  // namespace fettle::data
