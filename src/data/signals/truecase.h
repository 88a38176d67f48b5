#pragma once
// The repairs that Zephyr's authors made to UltraChat (Tunstall et al. 2023, section 4.1; their code was not published).
#include <string>
#include <string_view>
#include <vector>

namespace fettle::data {

/// Capitalises the first letter of the text and of every sentence (after '.', '!' or '?' and white space), and a standalone
/// "i". Text inside ``` fences is left alone. ASCII letters only.
std::string truecase(std::string_view text);

/// The index of the first phrase that stands in `text`, upper and lower case alike (ASCII); -1 when none does.
int find_phrase(std::string_view text, const std::vector<std::string>& phrases);

}  // namespace fettle::data
