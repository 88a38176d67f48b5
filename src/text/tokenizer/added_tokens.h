#pragma once
// Tokens that are found in the text before anything else looks at it: special tokens and what users added.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/vocabulary.h"

namespace fettle {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  std::string spelled;       ///< what decoding writes: the content, normalized when `normalized`
  bool special = false;      ///< written by templates; inside a user's text it is text unless asked for
  bool normalized = false;   ///< searched for after normalization, else before
  bool lstrip = false;       ///< swallows the whitespace before it
  bool rstrip = false;       ///< swallows the whitespace behind it
  bool single_word = false;  ///< only where no word character touches it
};

/// What finding made of a text: token `id` at [begin, end), or plain text when id is -1.
struct Fragment {
  uint32_t begin, end;
  int32_t id;
};

/// Says whether the special token found at bytes [begin, end) may be one. `never` and `always` need no
/// function.
enum class Allowed { no, yes, skip };
using SpecialRule = std::function<Allowed(uint32_t begin, uint32_t end)>;

/// Finds the leftmost, longest tokens. Immutable after the last add(); thread-safe from then on.
class TokenFinder {
 public:
  void add(std::string_view content, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }
  /// Splits `text` (valid UTF-8). A special token that `rule` answers with `no` is passed over as a whole, as
  /// the `tokenizers` library does; `skip` searches on from its second character.
  std::vector<Fragment> find(std::string_view text, const SpecialRule& rule) const;

 private:
  struct Node {
    std::map<uint8_t, uint32_t> next;
    int32_t token = -1;
  };
  const AddedToken* longest(std::string_view text, size_t at, size_t& length) const;
  size_t next_start(std::string_view text, size_t at) const;
  std::vector<Node> nodes_{1};
  std::vector<AddedToken> tokens_;
  bool starts_[256] = {};
  std::string distinct_starts_;
};

/// The added tokens of a tokenizer: both finders, and ids both ways.
class AddedTokens {
 public:
  /// `normalize` gives the spelling to search for when the token is `normalized`.
  void add(AddedToken token, const std::function<std::string(const std::string&)>& normalize);
  const TokenFinder& raw() const { return raw_; }
  const TokenFinder& normalized() const { return normalized_; }
  const AddedToken* by_id(int32_t id) const;
  const AddedToken* by_content(std::string_view content) const;
  const std::map<int32_t, AddedToken>& all() const { return by_id_; }

 private:
  TokenFinder raw_, normalized_;
  std::map<int32_t, AddedToken> by_id_;
  std::map<std::string, int32_t, std::less<>> by_content_;
};

}  // namespace fettle
