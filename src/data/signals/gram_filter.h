#pragma once
// A quick look whether a text can hold any of many phrases, before the exact search (after the idea of Wu and Manber,
// "A fast algorithm for multi-pattern searching", 1994: hashed blocks of a text, not every byte of it).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::data {

/// Looks up the four bytes at every second place of a text, without regard to the case of ASCII letters. Every phrase
/// is known by one such gram for even places and one for odd ones, the rarest that it has in characters whose bytes do
/// not depend on case. Immutable: safe to use from many threads.
class GramFilter {
 public:
  /// `phrases` lower-cased. One without four such bytes in a row, or thousands of phrases, make the filter say "maybe"
  /// to everything.
  explicit GramFilter(const std::vector<std::string>& phrases);
  /// False only where no phrase stands in lower_case(text). `text` need not be lower-cased.
  bool may_hold(std::string_view text) const;

 private:
  struct Place {
    std::string part;  ///< of a phrase, folded
    int64_t begins;    ///< how far from the gram, in bytes
    uint32_t gram = 0;
    int32_t next = -1;  ///< another one of this hash
  };
  void add(const char* bytes, Place place);
  bool stands_at(std::string_view text, size_t at) const;

  bool all_ = false;                                         ///< every text may hold a phrase
  std::vector<uint64_t> known_ = std::vector<uint64_t>(2048);  ///< a bit for every hash of a gram; half of a first cache
  std::vector<Place> places_;
  std::vector<int32_t> last_ = std::vector<int32_t>(4096, -1);  ///< low bits of the hash → the last place added, or -1
};

}  // namespace fettle::data
