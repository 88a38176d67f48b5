#pragma once
// Finds stop strings in a text that arrives in pieces, and never lets out a piece of one.
#include <string>
#include <string_view>
#include <vector>

namespace fettle {

/// One per answer. The result is the same however the text is cut into pieces: the stop string that is
/// complete first counts, of those that end together the one that begins first.
class StopMatcher {
 public:
  /// Empty stop strings are ignored.
  explicit StopMatcher(const std::vector<std::string>& stops);

  /// Text that is now certain to stand before any stop string, possibly empty. After a match: always empty.
  std::string push(std::string_view piece);
  /// What was held back because it might have become a stop string.
  std::string flush();

  bool matched() const { return !match_.empty(); }
  const std::string& match() const { return match_; }

 private:
  std::vector<std::string> stops_;
  size_t longest_ = 0;
  std::string pending_;
  std::string match_;
};

}  // namespace fettle
