#pragma once
// Texts in UTF-16 and UTF-32, as Windows writes them, turned into UTF-8 piece by piece.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fettle {

class WideText {
 public:
  /// `unit` is 2 or 4 bytes. A byte order mark at the beginning is left out.
  WideText(int unit, bool big_endian) : unit_(unit), big_endian_(big_endian) {}
  /// From at least four first bytes: by the byte order mark, or without one where a JSON text or a page
  /// begins ('{',
  /// '[' or '<' beside a zero). Nothing for UTF-8.
  static std::optional<WideText> found(std::string_view head);

  /// Appends what `bytes` mean. Surrogates without their other half and numbers beyond Unicode become U+FFFD.
  void append(std::string_view bytes, std::string& utf8);
  /// After the last bytes: what is left over becomes U+FFFD.
  void finish(std::string& utf8);
  int64_t replaced() const { return replaced_; }  ///< how often something became U+FFFD
  std::string name() const;                       ///< "UTF-16LE" and the like

 private:
  void put(uint32_t unit, std::string& utf8);
  void replace(std::string& utf8);

  int unit_;
  bool big_endian_;
  std::string rest_;   ///< the beginning of a unit
  uint32_t high_ = 0;  ///< a surrogate that waits for its second half
  bool begun_ = false;
  int64_t replaced_ = 0;
};

/// Appends one character of Unicode.
void append_utf8(uint32_t character, std::string& utf8);
/// The first character of valid UTF-8 that is not empty.
uint32_t first_character(std::string_view utf8);

}  // namespace fettle
