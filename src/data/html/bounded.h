#pragma once
// gumbo within bounds. What the HTML standard asks of a parser costs more than linear time in places: attributes of one tag are
// compared with each other, formatting elements are opened anew in every paragraph, ends of tags look up the whole stack.
#include <gumbo.h>

#include <cstddef>
#include <memory_resource>
#include <string>
#include <string_view>

namespace fettle::data {

/// Parses `html`, taking memory from `pool`, which also frees it. Throws Error(input) for a page that takes far more than pages
/// of its size do: a tag of too many attributes, more memory or more processor time than any honest page; Error(io) when the
/// machine has no memory. `html` and `pool` must outlive the result.
const GumboOutput* parse_html_bounded(std::string_view html, std::pmr::monotonic_buffer_resource& pool);

/// Makes of numeric character references far beyond Unicode (&#99999999999;) ones that are just beyond it, in as many digits: gumbo's sum
/// of the digits runs over, and what it then writes is no UTF-8.
void tame_references(std::string& html);

/// The most attributes that one tag may have.
inline constexpr size_t most_attributes = 2000;

}  // namespace fettle::data
