#pragma once
// SentencePiece's precompiled character map.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fettle {

/// Immutable and thread-safe. A map whose inner offsets lie outside simply finds nothing there.
class CharacterMap {
 public:
  CharacterMap(std::string_view bytes, std::string_view where);
  /// Calls found(length, replacement) for every entry that starts `text`, shortest first, until it returns
  /// false.
  void prefixes(std::string_view text, const std::function<bool(size_t, std::string_view)>& found) const;
  /// The replacement of the longest entry that starts `text`, which has `length` bytes.
  std::optional<std::string_view> longest(std::string_view text, size_t& length) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace fettle
