#pragma once
// PCRE2 with Unicode properties, for patterns as tokenizer.json files write them.
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace fettle {

/// A compiled pattern. Immutable and safe to share between threads.
class Regex {
 public:
  /// Error naming `where` when PCRE2 refuses the pattern.
  Regex(std::string_view pattern, std::string_view where);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  /// Calls found(begin, end) for every match from left to right; `text` must be valid UTF-8. An Error when
  /// the pattern needs more backtracking than PCRE2's limits allow.
  void each(std::string_view text, const std::function<void(size_t, size_t)>& found) const;
  const std::string& pattern() const { return pattern_; }

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string pattern_, where_;
};

}  // namespace fettle
