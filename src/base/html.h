#pragma once
// Pages that are one file: escaping, a shell with its own style, tables. Nothing in them loads from
// elsewhere.
#include <string>
#include <string_view>
#include <vector>

namespace fettle {

/// Text as it must stand in HTML content or in a quoted attribute. Invalid UTF-8 becomes U+FFFD.
std::string html_escape(std::string_view text);

/// A whole page: title, fettle's style (light and dark), the given body.
std::string html_page(std::string_view title, std::string_view body);

/// A table; cells are text and are escaped. Cells that read as numbers are set to the right.
std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows);

}  // namespace fettle
