#include "text/unicode/byte_level.h"

#include <array>

#include "text/unicode/unicode.h"

namespace fettle::byte_level {
namespace {

// Bytes that print as themselves in Latin-1 stand for themselves; the others take the code points from 256
// on, in order.
constexpr char32_t kLast = 0x143;

struct Tables {
  std::array<std::string, 256> spelling;
  std::array<int16_t, kLast + 1> byte{};
  Tables() {
    byte.fill(-1);
    char32_t spare = 256;
    for (int value = 0; value < 256; ++value) {
      const bool prints = (value >= '!' && value <= '~') || (value >= 0xa1 && value <= 0xac) || value >= 0xae;
      const char32_t code = prints ? static_cast<char32_t>(value) : spare++;
      spelling[static_cast<size_t>(value)] = unicode::encode(code);
      byte[code] = static_cast<int16_t>(value);
    }
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

}  // namespace

const std::string& spelling(uint8_t byte) {
  return tables().spelling[byte];
}

std::string spell(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char c : bytes) out += spelling(static_cast<uint8_t>(c));
  return out;
}

std::optional<std::string> unspell(std::string_view token) {
  std::string out;
  if (unicode::valid_prefix(token) != token.size()) return std::nullopt;
  for (size_t at = 0; at < token.size();) {
    const char32_t code = unicode::next(token, at);
    if (code > kLast || tables().byte[code] < 0) return std::nullopt;
    out.push_back(static_cast<char>(tables().byte[code]));
  }
  return out;
}

}  // namespace fettle::byte_level
