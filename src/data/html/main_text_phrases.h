#pragma once
// Lines that stand in or around the text of a page and are no part of it, told by their first words.
#include <string>
#include <string_view>

namespace fettle::data {

/// All take the text of one block, spaces collapsed, in lower case.

/// Calls the reader away: "Read more", "Related:", "Sign up", "Share this", "Lesen Sie auch", "Leggi anche",
/// …
bool is_call(std::string_view text);
/// Wants a subscriber or follower, anywhere in it: newsletters, social networks.
bool is_promotion(std::string_view text);
/// Says where a picture is from: "Photo: …", "Image credit …".
bool is_credit(std::string_view text);
/// Says who wrote it, or when: "By …", "Published …", "Updated …", or a date alone.
bool is_date_or_author(std::string_view text);
/// Begins what follows an article: "Comments", "Related articles", "About the author", "You may also like", …
bool begins_appendix(std::string_view text);

}  // namespace fettle::data
