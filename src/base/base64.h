#pragma once
// Base64 of RFC 4648, section 4.
#include <string>
#include <string_view>

namespace fettle {

std::string encode_base64(std::string_view bytes);
/// Error naming `where` when a character is not of the alphabet or the length is wrong.
std::string decode_base64(std::string_view text, std::string_view where);

}  // namespace fettle
