#pragma once
// Many phrases found in one pass over a text (Aho and Corasick, "Efficient string matching", CACM 1975).
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "data/signals/gram_filter.h"

namespace fettle::data {

/// Lower case, character by character, by Unicode's simple mapping and U+0130 as Python maps it ("i" and
/// U+0307).
std::string lower_case(std::string_view text);

/// Finds phrases anywhere in a text, upper and lower case alike, without regard to word boundaries: what
/// `phrase.lower() in text.lower()` finds. Immutable: safe to use from many threads.
class PhraseMatcher {
 public:
  /// Empty phrases are an error.
  explicit PhraseMatcher(const std::vector<std::string>& phrases);

  struct Hit {
    int32_t phrase;
    int64_t begin, end;  ///< bytes of the lower-cased text
  };
  /// All hits in order of their end, overlapping ones too, each with the lower-cased text.
  void find(std::string_view text, const std::function<void(const Hit&, std::string_view lowered)>& visit) const;
  bool any(std::string_view text) const;
  const std::vector<std::string>& phrases() const { return phrases_; }

 private:
  PhraseMatcher(const std::vector<std::string>& phrases, const std::vector<std::string>& lowered);
  void build(const std::vector<std::string>& lowered);
  void number_states();
  template <typename Visit>
  void scan(std::string_view text, const Visit& visit) const;

  std::vector<std::string> phrases_;
  GramFilter filter_;
  std::vector<int32_t> lengths_;
  std::vector<uint8_t> classes_ =
      std::vector<uint8_t>(256, 0);  ///< bytes that no phrase tells apart share a class
  size_t class_count_ = 1;
  /// state × class → state × class_count_, so that a step is one addition and one look. States where a phrase ends
  /// (or has a suffix that does) come last.
  std::vector<uint32_t> next_;
  uint32_t first_hit_ = 0;        ///< the first of those, × class_count_
  std::vector<int32_t> ends_;     ///< state → phrase that ends here, or -1
  std::vector<uint32_t> suffix_;  ///< state → the longest proper suffix state where a phrase ends, or 0
};

/// "wizardlm-unfiltered", "vicuna-unfiltered", "openchat", "openchat-later".
std::vector<std::string> phrase_list_names();
/// A published list by name, or a file with one phrase a line (lines that begin with # are comments).
std::vector<std::string> phrase_list(const std::string& name_or_file);

}  // namespace fettle::data
