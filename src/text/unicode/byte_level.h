#pragma once
// GPT-2's reversible spelling of bytes as printable characters: "Ġ" is a space, "Ċ" a newline.
#include <optional>
#include <string>
#include <string_view>

namespace fettle::byte_level {

/// The character that stands for `byte`, in UTF-8.
const std::string& spelling(uint8_t byte);
/// Every byte of `bytes` spelled.
std::string spell(std::string_view bytes);
/// The bytes behind a spelled token; nothing when it has a character that stands for no byte.
std::optional<std::string> unspell(std::string_view token);

}  // namespace fettle::byte_level
